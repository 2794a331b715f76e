"""One SQL connection of our own, with deadlines, and every driver error turned into ours."""

from __future__ import annotations

import asyncio
import fcntl
import ipaddress
import re
import socket
import ssl
import sys
import termios
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from asyncmy.connection import Connection
from asyncmy.constants.CLIENT import FOUND_ROWS, SSL
from asyncmy.errors import MySQLError

from cdcd.config.schema import Site
from cdcd.errors import AccessDenied, CdcdError, Lost, ServerError, TargetBusy, UnsupportedServer
from cdcd.mysql import codes, flavor, password
from cdcd.mysql.flavor import Errors, Flavor
from cdcd.mysql.messages import without_values

CONNECT_SECONDS = 10
# A question about the server that takes longer will not be answered; a statement that may wait for a lock has no limit.
ANSWER_SECONDS = 30
# A peer that vanished without a FIN is found by the kernel after about this long, whatever the statement.
DEAD_PEER_SECONDS = 30
COM_QUERY, COM_STATISTICS = 0x03, 0x09
CANCEL_SECONDS = 0.05
_OPENS = re.compile(rb"\bOpens: (\d+)")

_NO_SPACE = "error 28"


def translate(error: Exception, lost: type[Lost], errors: Errors = flavor.ANY_ERRORS) -> CdcdError:
    """Turn a driver's error into ours, without values of rows; ``lost`` says which side this connection belongs to.

    ``errors`` are the server's, once it is known which it is.
    """
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    message = str(error.args[1]) if len(error.args) > 1 else str(error) or type(error).__name__
    if code in errors.denied:
        return AccessDenied(message)
    if isinstance(error, OSError | RuntimeError) or code in errors.lost or 2000 <= code < 3000:
        return lost(f"connection lost: {message}")
    shown = without_values(code, message, errors.names_only)
    # A server that enforces another engine than ours says so with the code of one that is read-only.
    is_busy = code in errors.busy or (code == codes.STORAGE and _NO_SPACE in message)
    if is_busy and "NO_ENGINE_SUBSTITUTION" not in message:
        busy = TargetBusy(f"server error {code}: {shown}")
        busy.code = code
        return busy
    return ServerError(code, shown)


def is_full(error: CdcdError) -> bool:
    """Return whether a server that is well refused one connection more."""
    cause = error.__cause__
    return cause is not None and bool(cause.args) and cause.args[0] in flavor.ANY_ERRORS.full


def is_verified(context: ssl.SSLContext | None) -> bool:
    """Return whether a connection under this context is to a server whose certificate was verified."""
    return context is not None and context.verify_mode is ssl.CERT_REQUIRED


def is_loopback(site: Site) -> bool:
    """Return whether the site is reached without leaving this machine."""
    if site.socket or site.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(site.host).is_loopback
    except ValueError:
        return False


def tls_context(site: Site) -> ssl.SSLContext | None:
    """Return how to encrypt the connection, or None for a plain one.

    ``auto`` verifies the certificate unless the server is on this machine. There is no fallback to plain.
    """
    if site.tls == "off" or (site.tls == "auto" and is_loopback(site)):
        return None
    context = ssl.create_default_context(cafile=site.tls_ca or None)
    if site.tls == "required":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def guard_socket(transport: Any) -> None:
    """Let the kernel find a dead peer, whatever statement is being waited for."""
    raw = transport.get_extra_info("socket")
    if raw is None or raw.family == socket.AF_UNIX:
        return
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, DEAD_PEER_SECONDS // 3)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, DEAD_PEER_SECONDS // 6)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_SECONDS * 1000)


class _GuardedConnection(Connection):
    """The driver's connection, without its ways to tell the password to a server that is not proven."""

    _ssl_context: ssl.SSLContext | None
    _auth_plugin_name: str
    server_capabilities: int

    async def _request_authentication(self) -> Any:
        if self._ssl_context and not self.server_capabilities & SSL:
            # Another server may answer here soon, so this is no reason to give up.
            raise OSError("the server offers no TLS, and the site's `tls` asks for it")
        self._verified = is_verified(self._ssl_context)
        self._auth_plugin_name = password.greeted(
            self._auth_plugin_name, self.server_capabilities, verified=self._verified
        )
        return await super()._request_authentication()  # type: ignore[misc]

    async def _process_auth(self, plugin_name: bytes, auth_packet: Any) -> Any:
        password.check_switch(plugin_name.decode("latin1"), verified=self._verified)
        return await super()._process_auth(plugin_name, auth_packet)  # type: ignore[misc]


class Waiting(NamedTuple):
    """A command whose answer is awaited."""

    number: int  # counted over the session
    seconds: float  # since it was sent, or the one before it answered
    bytes_sent: int  # of it, and of those sent after it
    bytes_held: int  # of these, what the other side's machine has not confirmed yet


class Answer(NamedTuple):
    """What a server says to one statement."""

    matched: int  # rows
    rows: Sequence[tuple[Any, ...]]  # of a query


class Session:
    """One connection, used by one task at a time."""

    flavor: Flavor  # of the server, as it says itself at connect

    def __init__(self, connection: Any, site: Site, lost: type[Lost], answer_seconds: float | None) -> None:
        self._connection = connection
        self._errors = flavor.ANY_ERRORS
        self._answer_seconds = answer_seconds
        self.site = site
        self._lost = lost
        # Of each command: its statements, its answer's first number, its bytes.
        self._unanswered: deque[tuple[int, int, int]] = deque()
        self._answered = 0  # commands
        self._since = 0.0  # when the oldest of them was sent, or the one before it answered
        self._task: asyncio.Task[Any] | None = None  # whose answers are awaited

    @classmethod
    async def open(cls, site: Site, lost: type[Lost], *settings: str) -> Session:
        """Connect, make the session ours, and apply ``settings`` (SET statements).

        Raises ``lost``, AccessDenied, and UnsupportedServer for one of a kind that is not known.

        What the server's defaults and its ``init_connect`` left in the session does not matter (``flavor``).
        Affected-row counts are of matched rows (CLIENT_FOUND_ROWS), so an UPDATE that changes nothing still
        counts the row that it found.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await _connect(site)
        except TimeoutError:
            raise lost(f"no answer from {site.address} within {CONNECT_SECONDS} s").at(site=site.name) from None
        except AccessDenied as error:
            raise error.at(site=site.name, address=site.address) from None
        except (MySQLError, OSError, RuntimeError) as error:
            raise translate(error, lost).at(site=site.name, address=site.address) from error
        session = cls(connection, site, lost, ANSWER_SECONDS)
        guard_socket(connection._transport)
        try:
            await session._learn()
            await session.execute_many(session.flavor.session_settings)
            await session._check_log_settings()
            for setting in settings:
                await session.execute(setting)
        except BaseException:
            session.abort()
            raise
        return session

    async def _learn(self) -> None:
        """Ask the server which it is."""
        try:
            self.flavor = flavor.told(await self.fetch(flavor.VERSION))
        except UnsupportedServer as error:
            raise error.at(site=self.site.name, address=self.site.address) from None
        self._errors = self.flavor.errors

    async def store_exactly(self) -> None:
        """From now on, store the values that are given, and none that a server would put in their place."""
        await self.execute_many(self.flavor.writer_settings)

    def be_patient(self) -> None:
        """From now on, wait for an answer however long it takes, as long as the server's machine is there."""
        self._answer_seconds = None

    @property
    def waiting(self) -> Waiting | None:
        """The command whose answer is awaited, or None."""
        if not self._unanswered:
            return None
        sent = sum(size for _, _, size in self._unanswered)
        return Waiting(self._answered, time.monotonic() - self._since, sent, self._bytes_held())

    def _bytes_held(self) -> int:
        transport = self._connection._transport
        raw = transport.get_extra_info("socket")
        unconfirmed = bytearray(4)
        with suppress(OSError, AttributeError):
            fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, unconfirmed)
        return int(transport.get_write_buffer_size()) + int.from_bytes(unconfirmed, sys.byteorder)

    async def _check_log_settings(self) -> None:
        """Put back what decides how this session's work is logged; raise AccessDenied where that is forbidden.

        Setting one of them takes a privilege even where it changes nothing, so they are looked at first.
        """
        wanted = self.flavor.log_settings
        right = await self.fetch_one("SELECT " + ",".join(f"@@{name} <=> {value}" for name, value in wanted.items()))
        for (name, value), is_right in zip(wanted.items(), right or (), strict=True):
            if not is_right:
                try:
                    await self.execute(f"SET SESSION {name} = {value}")
                except AccessDenied as error:
                    raise AccessDenied(
                        f"something set {name} for this session, and the account may not set it back: {error.message}",
                        hint="see init_connect of the server, or give the account the privilege",
                    ).at(site=self.site.name) from None

    @property
    def thread_id(self) -> int:
        """The server's id of this connection, as in its process list."""
        return int(self._connection.thread_id())

    @property
    def driver(self) -> Any:
        """The driver's connection: for ``stream``, which takes its socket over."""
        return self._connection

    async def execute(self, statement: str | bytes) -> int:
        """Run one statement and return the number of rows that it matched."""
        return (await self.execute_many([statement]))[0]

    async def execute_many(self, statements: Sequence[str | bytes]) -> list[int]:
        """Run statements in one round trip and return how many rows each matched.

        The server stops at the first that fails, and its error is raised; what ran before it stays in the
        open transaction.
        """
        return [answer.matched for answer in await self._ask(statements)]

    async def _ask(self, statements: Sequence[str | bytes]) -> list[Answer]:
        assert not self._unanswered, "the answer to what was sent before would be taken for this one's"
        await self.send(statements)
        return await self.receive()

    async def send(self, statements: Sequence[str | bytes]) -> None:
        """Send statements for the server to run after those sent before; :meth:`receive` gives their answer.

        A server runs what was sent whether or not what came before it failed.
        """
        parts = [part.encode() if isinstance(part, str) else part for part in statements]
        await self._command(COM_QUERY, b";".join(parts), len(parts))

    async def send_opens(self) -> None:
        """Ask how many tables the server has opened; :meth:`receive` gives the number as ``matched`` of one answer.

        COM_STATISTICS (MariaDB Knowledge Base) has it as "Opens", the global status Opened_tables, and costs the
        server a tenth of what a query for it does.
        """
        await self._command(COM_STATISTICS, b"", 0)

    async def _command(self, kind: int, content: bytes, statements: int) -> None:
        assert not self._unanswered or self._task is asyncio.current_task(), "two tasks use one session"
        self._task = asyncio.current_task()
        try:
            await self._connection._execute_command(kind, content)
        except (MySQLError, OSError, RuntimeError) as error:
            raise translate(error, self._lost, self._errors).at(site=self.site.name) from error
        if not self._unanswered:
            self._since = time.monotonic()
        # The answer's packets are numbered on from the command's own, of which a long one has several.
        self._unanswered.append((statements, self._connection._next_seq_id, len(content) or 1))

    async def receive(self) -> list[Answer]:
        """Return the answers to the command that was sent first and is not answered yet, one for each statement."""
        assert self._task is asyncio.current_task(), "two tasks use one session: each would get the other's answer"
        statements, self._connection._next_seq_id, _ = self._unanswered[0]
        answers: list[Answer] = []
        try:
            if self._answer_seconds is None:
                await self._take(answers, statements)
            else:
                async with asyncio.timeout(self._answer_seconds):
                    await self._take(answers, statements)
            return answers
        except TimeoutError as error:
            self.abort()
            raise self._lost("the server no longer answers").at(site=self.site.name) from error
        except (MySQLError, OSError, RuntimeError) as error:
            raised = translate(error, self._lost, self._errors).at(site=self.site.name)
            if isinstance(raised, ServerError):
                raised.answered = len(answers)
            raise raised from error
        finally:
            self._unanswered.popleft()
            self._answered += 1
            self._since = time.monotonic()

    async def _take(self, answers: list[Answer], statements: int) -> None:
        """Take the answers as they come, also those before one that is an error."""
        connection = self._connection
        if not statements:
            found = _OPENS.search((await connection.read_packet()).get_all_data())
            answers.append(Answer(int(found[1]) if found else -1, ()))
            return
        # MariaDB forgets to say that more follows after a BINLOG statement.
        while len(answers) < statements or connection._result.has_next:
            await connection._read_query_result()
            answers.append(Answer(connection._affected_rows, connection._result.rows or ()))

    async def fetch(self, query: str) -> list[tuple[Any, ...]]:
        """Run one query and return its rows."""
        return list((await self._ask([query]))[-1].rows)

    async def fetch_one(self, query: str) -> tuple[Any, ...] | None:
        """Run one query and return its first row, or None."""
        rows = await self.fetch(query)
        return rows[0] if rows else None

    async def end(self, thread_id: int) -> None:
        """End another session of the server, which may be gone already."""
        try:
            await self.execute(f"KILL {thread_id}")
        except ServerError as error:
            if error.code != codes.NO_SUCH_THREAD:
                raise

    async def close(self) -> None:
        """Say goodbye, so that the server ends the session at once; never raises for a lost connection."""
        with suppress(MySQLError, OSError, TimeoutError):
            async with asyncio.timeout(2):
                await self._connection.ensure_closed()

    def abort(self) -> None:
        """Drop the connection now; the server rolls back what is open when it notices."""
        self._connection.close()


async def _connect(site: Site) -> Any:
    """Return the driver's connection; a cancellation always ends it, and at once.

    Before Python 3.12 ``asyncio.wait_for``, which the driver uses, forgets one that comes with the connection, and the
    driver would then wait for the server's first word.
    """
    connecting = asyncio.ensure_future(_connected(site))
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        while not connecting.done():
            connecting.cancel()
            await asyncio.wait({connecting}, timeout=CANCEL_SECONDS)
        if not connecting.cancelled() and connecting.exception() is None:
            connecting.result().close()
        raise


async def _connected(site: Site) -> Any:
    connection = _GuardedConnection(**_arguments(site))  # type: ignore[no-untyped-call]
    await connection.connect()
    return connection


def _arguments(site: Site) -> dict[str, Any]:
    where = {"unix_socket": site.socket} if site.socket else {"host": site.host, "port": site.port}
    return {
        **where,
        "user": site.user,
        "password": site.password.encode(),
        "charset": "utf8mb4",
        "autocommit": None,
        "client_flag": FOUND_ROWS,
        "ssl": tls_context(site),
        "program_name": "cdcd",
    }
