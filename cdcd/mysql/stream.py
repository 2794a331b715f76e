"""The replication connection: asyncmy's handshake, then raw chunks from the same socket.

What the server must be told first, and the command that asks for the log, are its flavor's. COM_REGISTER_SLAVE:
MariaDB Knowledge Base.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from asyncmy.errors import MySQLError

from cdcd.config.schema import Site
from cdcd.errors import SourceLost
from cdcd.mysql.session import ANSWER_SECONDS, Session, translate
from cdcd.sql import quote

COM_REGISTER_SLAVE = 0x15
# One read takes what the kernel holds, up to this; a hop through the loop then costs nothing per event.
CHUNK_BYTES = 1024 * 1024
# Below this much room the socket is left alone until the chunk is taken: back-pressure reaches the source.
ROOM_BYTES_MIN = 64 * 1024


Check = Callable[[Session], Awaitable[None]]


class ReplicationStream:
    """Chunks of one source's log, from the position that it was opened at."""

    def __init__(self, session: Session, chunks: _Chunks) -> None:
        self._session = session
        self._chunks = chunks

    @classmethod
    async def open(
        cls, site: Site, *, position: str, server_id: int, heartbeat_seconds: float, check: Check | None = None
    ) -> ReplicationStream:
        """Connect as a replica and ask for the log after ``position``, in the flavor's own form.

        ``check`` may ask this very connection about the server first, since another one may lead to another server.
        Raises SourceLost, AccessDenied, and what ``check`` raises. A server that
        no longer has the position says so in the stream.
        """
        session = await Session.open(
            site,
            SourceLost,
        )
        log = session.flavor.log
        heartbeat_nanoseconds = int(heartbeat_seconds * 1e9)
        try:
            for setting in log.replica_settings:
                await session.execute(
                    setting.format(position=quote.text(position), heartbeat_nanoseconds=heartbeat_nanoseconds)
                )
            if check is not None:
                await check(session)
        except BaseException:
            session.abort()
            raise
        driver = session.driver
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await driver._execute_command(COM_REGISTER_SLAVE, struct.pack("<IBBBHII", server_id, 0, 0, 0, 0, 0, 0))
                await driver._read_ok_packet()
                await driver._execute_command(*log.dump(position, server_id))
        except (MySQLError, OSError, RuntimeError) as error:
            session.abort()
            raise translate(error, SourceLost, session.flavor.errors).at(site=site.name) from error
        return cls(session, _take_over(driver))

    async def wait(self, seconds: float) -> None:
        """Return when there is something to take; raise SourceLost after ``seconds`` of silence or at the end."""
        await self._chunks.wait(seconds)

    @property
    def bytes_received(self) -> int:
        """What has arrived and is not taken yet."""
        return self._chunks.filled

    @contextmanager
    def taken(self) -> Iterator[memoryview]:
        """Give what has arrived, for as long as the context is open; then reading goes on."""
        view = self._chunks.take()
        try:
            yield view
        finally:
            view.release()
            self._chunks.release()

    def close(self) -> None:
        """Drop the connection; the source ends its dump thread when it next writes."""
        self._session.abort()


def _take_over(driver: object) -> _Chunks:
    """Put our own protocol on the driver's transport, with the bytes that the driver has read already."""
    transport: asyncio.Transport = driver._transport  # type: ignore[attr-defined]
    received = driver._proto  # type: ignore[attr-defined]
    early = bytes(received.buffer[received.pos : received.length])
    chunks = _Chunks(transport, early)
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * CHUNK_BYTES)
    transport.set_protocol(chunks)
    if received.eof:
        chunks.eof_received()
    return chunks


class _Chunks(asyncio.BufferedProtocol):
    """Receives into one buffer, and stops reading while the buffer is full."""

    def __init__(self, transport: asyncio.Transport, early: bytes) -> None:
        self._transport = transport
        self._buffer = bytearray(max(CHUNK_BYTES, 2 * len(early)))
        self._buffer[: len(early)] = early
        self.filled = len(early)
        self._paused = False
        self._ended = ""
        self._waiter: asyncio.Future[None] | None = None

    def get_buffer(self, _sizehint: int) -> memoryview:
        return memoryview(self._buffer)[self.filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self.filled += nbytes
        if not self._paused and len(self._buffer) - self.filled < ROOM_BYTES_MIN:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._ended = self._ended or "the source closed the connection"
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = self._ended or (f"connection lost: {exc}" if exc else "the source closed the connection")
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, seconds: float) -> None:
        if self.filled:
            return
        if self._ended:
            raise SourceLost(self._ended)
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(seconds, self._wake)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None
        if not self.filled:
            raise SourceLost(self._ended or f"no event and no heartbeat for {seconds:g} s")

    def take(self) -> memoryview:
        return memoryview(self._buffer)[: self.filled]

    def release(self) -> None:
        self.filled = 0
        if self._paused and not self._ended:
            self._paused = False
            self._transport.resume_reading()
