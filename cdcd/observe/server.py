"""The HTTP listener for status, metrics and health, and its bounds: in connections, and in the time of each.

Who has connected last is served first of all: who asks is answered at once, so connections that have been open for
long have nothing to ask, and give way when there are too many. One is accepted at a time, between other work of the
loop. aiohttp is loaded when the first client comes, beside the loop, and clients wait in the kernel until it is there.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Self

import structlog

from cdcd.errors import ConfigError
from cdcd.observe.own_thread import in_own_thread
from cdcd.observe.pages import Pages
from cdcd.observe.status import LinkView
from cdcd.observe.token import Token

if TYPE_CHECKING:
    from cdcd.observe.connection import Server

log = structlog.get_logger()

# From the connection to the end of the answer, however busily a client trickles.
REQUEST_SECONDS_MAX = 5
CONNECTIONS_MAX = 32
# Connections that the kernel holds until the loop comes round to them.
BACKLOG = 512
# While the process has no descriptor left, nobody can be accepted.
PAUSE_SECONDS = 0.1


class StatusServer:
    """Listens while entered: ``async with StatusServer("127.0.0.1:9180", links): …``.

    ``listen`` is ``host:port`` (``[::1]:9180`` for IPv6, port 0 for any free one); empty listens nowhere.
    ``links`` is asked anew for every request, which must carry ``token``.
    """

    def __init__(self, listen: str, links: Callable[[], Iterable[LinkView]], token: Token | None = None) -> None:
        self._listen = listen
        self._pages = Pages(links, token or Token())
        self._clients = _Clients()
        self._listeners: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._server: Server | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, 0 when none is."""
        return int(self._listeners[0].getsockname()[1]) if self._listeners else 0

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._clients)

    async def __aenter__(self) -> Self:
        """Start to listen; raise ConfigError when the address can't be had."""
        if self._listen:
            host, port = parse_listen(self._listen)
            try:
                self._listeners = await _bind(host, port)
            except OSError as error:
                raise ConfigError([f"daemon.listen: {self._listen}: {_reason(error)}"]) from error
            self._accepting = [asyncio.create_task(self._accept(each), name="accept") for each in self._listeners]
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Stop to listen, and drop requests that are under way."""
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        for listener in self._listeners:
            listener.close()
        self._listeners = []
        self._clients.drop_all()
        if self._server is not None:
            await self._server.shutdown(REQUEST_SECONDS_MAX)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await _called(listener)
        try:
            server = await self._load()
        except Exception:
            log.exception("listener_failed")
            listener.close()
            return
        while True:
            await _called(listener)
            try:
                client, _ = listener.accept()
            except BlockingIOError:  # It has gone.
                continue
            except OSError:
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            client.setblocking(False)
            try:
                await loop.connect_accepted_socket(server, client)
            except Exception:  # A defect of ours must not end the listener.
                log.exception("connection_failed")
                client.close()

    async def _load(self) -> Server:
        make = await in_own_thread(_import)
        # Listeners of two addresses may both come here.
        self._server = self._server or make(self._pages, self._clients)
        return self._server


class _Clients:
    """The connections that are open, the oldest first."""

    def __init__(self) -> None:
        self._ends: dict[asyncio.Transport, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._ends)

    def admit(self, transport: asyncio.Transport) -> None:
        """Have room for a connection, and an end of its time."""
        while len(self) >= CONNECTIONS_MAX:
            self._drop(next(iter(self._ends)))
        loop = asyncio.get_running_loop()
        self._ends[transport] = loop.call_later(REQUEST_SECONDS_MAX, self._drop, transport)

    def leave(self, transport: asyncio.Transport) -> None:
        """Forget a connection that has ended."""
        if end := self._ends.pop(transport, None):
            end.cancel()

    def drop_all(self) -> None:
        """End all."""
        for transport in list(self._ends):
            self._drop(transport)

    def _drop(self, transport: asyncio.Transport) -> None:
        self.leave(transport)
        transport.abort()


def parse_listen(listen: str) -> tuple[str, int]:
    """Split ``host:port``; raise ConfigError for anything else."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError([f'daemon.listen: "{listen}" is not host:port, as in "127.0.0.1:9180"'])
    return host.removeprefix("[").removesuffix("]"), int(port)


async def _bind(host: str, port: int) -> list[socket.socket]:
    """Listen on every address that a name has."""
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(addresses):
            try:
                listener = socket.create_server(address, family=family, backlog=BACKLOG)
            except OSError as error:
                if error.errno == errno.EAFNOSUPPORT and len(addresses) > 1:
                    continue  # A machine without IPv6, which may still know such an address of its own name.
                raise
            listeners.append(listener)
            listener.setblocking(False)
            # Connections inherit it: the kernel too holds an answer no longer for a client that does not read.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(REQUEST_SECONDS_MAX * 1000))
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


async def _called(listener: socket.socket) -> None:
    """Wait until a client waits to be accepted."""
    loop, called = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(listener, called.set)
    try:
        await called.wait()
    finally:
        loop.remove_reader(listener)


def _import() -> type[Server]:
    from cdcd.observe.connection import Server

    return Server


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "address in use: another cdcd or another program listens there; choose another port"
    if error.errno == errno.EACCES:
        return "permission denied: choose a port above 1023"
    return f"can't listen: {os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror}"
