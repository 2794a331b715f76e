"""A connection knows which kind of server it is to, by the server's own word, or is not used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from msgspec.structs import replace

from cdcd.errors import Lost, UnsupportedServer
from cdcd.mysql.flavor.mariadb import MARIADB
from cdcd.mysql.reader import Reader
from cdcd.mysql.session import Session
from cdcd.precheck import precheck
from tests.fixtures.mariadb import HOST, MariaDB
from tests.fixtures.servers import ServerFactory
from tests.fixtures.sites import site
from tests.integration.precheck.conftest import configure

OTHER = "8.0.31-commercial"
REFUSAL = f"the server is {OTHER}; only MariaDB's log can be followed so far"
both_clients = pytest.mark.parametrize("client", [Session, Reader])


@pytest.fixture
def other(server_factory: ServerFactory) -> MariaDB:
    """Start a server that says that it is of another kind."""
    return server_factory(options={"version": OTHER})


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while some := await reader.read(1 << 16):
            writer.write(some)
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def greeting_as(version: bytes, server: MariaDB) -> AsyncIterator[int]:
    """Give the port of a proxy that greets with a version of its own."""
    served: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        to, of = (await asyncio.open_connection(HOST, server.port))[::-1]
        head = await of.readexactly(5)  # length, number, version of the protocol
        rest = await of.readexactly(int.from_bytes(head[:3], "little") - 1)
        told = version + rest[rest.index(b"\0") :]
        writer.write((len(told) + 1).to_bytes(3, "little") + head[3:] + told)
        await asyncio.gather(_forward(of, writer), _forward(reader, to))

    proxy = await asyncio.start_server(serve, HOST, 0)
    try:
        yield proxy.sockets[0].getsockname()[1]
    finally:
        proxy.close()
        async with asyncio.timeout(30):
            await asyncio.gather(*filter(None, served))


@both_clients
async def test_a_connection_learns_its_flavor(client: type[Session | Reader], east: MariaDB) -> None:
    """All that it is asked afterwards is worded for that kind of server."""
    opened = await client.open(site(east, "east"), Lost)
    try:
        assert opened.flavor is MARIADB
    finally:
        await opened.close()


@both_clients
async def test_what_a_proxy_greets_with_tells_nothing(client: type[Session | Reader], east: MariaDB) -> None:
    """Proxies greet with versions that no server behind them has."""
    async with greeting_as(b"5.6.25", east) as port:
        opened = await client.open(replace(site(east, "east"), port=port), Lost)
        try:
            assert opened.flavor is MARIADB
        finally:
            await opened.close()


@both_clients
async def test_a_server_of_no_known_flavor_is_refused(client: type[Session | Reader], other: MariaDB) -> None:
    """Its log would be misread and its settings be missed, so nothing else is asked of it."""
    with pytest.raises(UnsupportedServer) as refused:
        await client.open(site(other, "east"), Lost)

    assert REFUSAL == refused.value.message
    assert "east" == refused.value.where["site"]


async def test_the_precheck_tells_a_server_of_no_known_flavor(other: MariaDB, west: MariaDB) -> None:
    """It says which version it met, and nothing that would follow from it."""
    problems = await precheck(configure(other, west, "shop"))

    assert [("error", "sites.east", REFUSAL)] == [(p.level, p.path, p.text) for p in problems]
    assert not problems[0].transient
