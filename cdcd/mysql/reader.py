"""A read-only connection for `verify`, through aiomysql: the judge does not share the writer's client.

Numbers without a fraction come as int, binary columns as bytes, and everything else (decimals, reals, dates)
as the text that the server wrote, so that no conversion of the client can hide or make a difference.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from aiomysql import MySQLError  # type: ignore[import-untyped]
from aiomysql.connection import FIELD_TYPE, Connection  # type: ignore[import-untyped]

from cdcd.config.schema import Site
from cdcd.errors import AccessDenied, Lost, UnsupportedServer
from cdcd.mysql import flavor, password
from cdcd.mysql.flavor import Flavor
from cdcd.mysql.session import CONNECT_SECONDS, guard_socket, is_verified, tls_context, translate

_INTEGERS = ("TINY", "SHORT", "INT24", "LONG", "LONGLONG", "YEAR")
_DECODERS = {getattr(FIELD_TYPE, name): int for name in _INTEGERS}
_CLIENT_SSL = 1 << 11  # The capability bit by which a server offers TLS.

_READ_ONLY = "SET SESSION TRANSACTION READ ONLY"


class _GuardedConnection(Connection):  # type: ignore[misc]
    """aiomysql's connection, without its ways to tell the password to a server that is not proven."""

    _server_auth_plugin: str

    async def _request_authentication(self) -> None:
        if self._ssl_context and not self.server_capabilities & _CLIENT_SSL:
            raise AccessDenied(
                "the server offers no TLS, and the site's `tls` asks for it",
                hint="enable TLS on the server, or set `tls` to what is meant",
            )
        self._verified = is_verified(self._ssl_context)
        self._server_auth_plugin = password.greeted(
            self._server_auth_plugin, self.server_capabilities, verified=self._verified
        )
        await super()._request_authentication()

    async def _process_auth(self, plugin_name: bytes, auth_packet: Any) -> Any:
        password.check_switch(plugin_name.decode("latin1"), verified=self._verified)
        return await super()._process_auth(plugin_name, auth_packet)


class Reader:
    """One read-only connection in READ COMMITTED, used by one task at a time."""

    flavor: Flavor  # of the server, as it says itself at connect

    def __init__(self, connection: Any, site: Site, lost: type[Lost]) -> None:
        self._errors = flavor.ANY_ERRORS
        self._connection = connection
        self.site = site
        self._lost = lost

    @classmethod
    async def open(cls, site: Site, lost: type[Lost]) -> Reader:
        """Connect, and set how values are read: UTC, utf8mb4, our sql_mode.

        Raises ``lost``, AccessDenied, and UnsupportedServer for one of a kind that is not known.
        """
        connection = _GuardedConnection(**_arguments(site))
        reader = cls(connection, site, lost)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await connection._connect()
                guard_socket(connection._writer.transport)
                await connection.query(flavor.VERSION)
                reader.flavor = flavor.told(connection._result.rows)
                reader._errors = reader.flavor.errors
                for setting in (*reader.flavor.session_settings, _READ_ONLY):
                    await connection.query(setting)
        except TimeoutError:
            reader.abort()
            raise lost(f"no answer from {site.address} within {CONNECT_SECONDS} s").at(site=site.name) from None
        except (AccessDenied, UnsupportedServer) as error:
            reader.abort()
            raise error.at(site=site.name, address=site.address) from None
        except (MySQLError, OSError, RuntimeError) as error:
            reader.abort()
            reason = error.__cause__ if isinstance(error.__cause__, OSError) else error
            raise translate(reason, lost, reader._errors).at(site=site.name, address=site.address) from error
        except BaseException:
            reader.abort()
            raise
        return reader

    async def fetch(self, query: str) -> list[tuple[Any, ...]]:
        """Run one query and return its rows; raise ``lost``, AccessDenied or ServerError."""
        try:
            await self._connection.query(query)
        except (MySQLError, OSError, RuntimeError) as error:
            raise translate(error, self._lost, self._errors).at(site=self.site.name) from error
        return list(self._connection._result.rows or ())

    async def close(self) -> None:
        """Say goodbye; never raises for a lost connection."""
        with suppress(MySQLError, OSError, TimeoutError):
            async with asyncio.timeout(2):
                await self._connection.ensure_closed()
        self.abort()

    def abort(self) -> None:
        """Drop the connection now."""
        self._connection.close()


def _arguments(site: Site) -> dict[str, Any]:
    where = {"unix_socket": site.socket} if site.socket else {"host": site.host, "port": site.port}
    return {
        **where,
        "user": site.user,
        # aiomysql encodes passwords as latin1; this way the server gets their UTF-8 bytes.
        "password": site.password.encode().decode("latin1"),
        "charset": "utf8mb4",
        "autocommit": None,
        "conv": _DECODERS,
        "ssl": tls_context(site),
        "program_name": "cdcd",
    }
