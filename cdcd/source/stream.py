"""Follow one server's log: connect, decode, and reconnect from the last whole transaction."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from cdcd.binlog.decoder import Decoder
from cdcd.config.schema import Link, Site
from cdcd.errors import BinlogError, CdcdError, Lost, SourceLost, SourceRewound
from cdcd.model.backoff import Backoff
from cdcd.model.position import Coordinates, Gtid, Position
from cdcd.mysql.identity import read_identity
from cdcd.mysql.session import Session
from cdcd.mysql.stream import ReplicationStream
from cdcd.source.continuity import check_continuity
from cdcd.source.contract import ByteStream, Chunk, SourceFigures
from cdcd.source.start import current_position

log = structlog.get_logger()

SILENT_HEARTBEATS = 3
BACKOFF_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5)


def replica_server_id(link: Link, target_server: str) -> int:
    """Return the server_id under which a link reads: the same at every run, different for every link and target.

    A source ends an older dump of the same server_id, which is how a run replaces one that hangs. Two files may
    give the same names to different targets, so ``target_server``, the target's identity, is part of it.
    """
    return 0x80000000 | zlib.crc32(f"{link.name}/{link.source}/{link.target}/{target_server}".encode()) >> 1


@dataclass(slots=True)
class BinlogStream:
    """One link's view of its source's binary log (``contract.Source``)."""

    site: Site
    link: Link
    server_id: int  # ``replica_server_id``
    position: Position
    at: Coordinates  # where the position ends
    clock: Callable[[], float]
    figures: SourceFigures = field(default_factory=SourceFigures)
    target_id: int = -1  # the server_id of the link's target
    applied: frozenset[Gtid] = frozenset()  # after the position, and to be passed over
    last_heard: float = 0.0
    lost: asyncio.Event = field(default_factory=asyncio.Event)  # set at each loss, for whoever clears it
    _stream: ByteStream | None = None
    _decoder: Decoder | None = None
    _abandoned: bool = False
    _passed: dict[int, Gtid] | None = None  # what the last connection's decoder had passed over and told nobody of
    _suppressed_before: tuple[int, int] = (0, 0)
    _backoff: Backoff = field(default_factory=lambda: Backoff(BACKOFF_SECONDS))
    _retry_seconds: float = 0.0
    _connected_at: float = 0.0
    _connected_at_position: Position = field(default_factory=Position)
    _silence_seconds_max: float = 0.0
    _server: str = ""  # the identity of the one that is connected

    @property
    def bytes_received(self) -> int:
        """What has arrived and is not decoded yet."""
        behind = self._decoder.bytes_behind if self._decoder is not None else 0
        return behind + (self._stream.bytes_received if self._stream is not None else 0)

    async def read(self) -> Chunk:
        """Return the next chunk that completes anything; raise when the log cannot be followed any further.

        Lost connections are mended here and never raised. Transactions before an event that cannot be
        carried are handed on first.
        """
        while True:
            try:
                chunk = await self._read_once()
            except (Lost, BinlogError) as error:
                if not (isinstance(error, Lost) or self._may_go_on(error)):
                    raise
                self._lose(error)
                if self._abandoned:
                    self._abandoned = False
                    return Chunk([], abandoned=True)
                await asyncio.sleep(self._retry_seconds)
                continue
            if chunk.transactions:
                return chunk

    async def _read_once(self) -> Chunk:
        if self._stream is None or self._decoder is None:
            await self._connect()
        assert self._stream is not None
        assert self._decoder is not None
        if self._decoder.failure is not None:
            raise self._decoder.failure
        if self._decoder.bytes_behind:
            return self._decode(b"")
        waiting = self.clock()
        await self._stream.wait(self._silence_seconds_max)
        self.last_heard = self.clock()
        self.figures.seconds_waiting += self.last_heard - waiting
        self.figures.chunks += 1
        with self._stream.taken() as taken:
            return self._decode(taken)

    def _decode(self, piece: bytes | memoryview) -> Chunk:
        decoder, figures, started = self._decoder, self.figures, self.clock()
        assert decoder is not None
        transactions = decoder.feed(piece, self.last_heard)
        self.position, self.at = decoder.position, decoder.at
        before, outside_before = self._suppressed_before
        figures.suppressed = before + decoder.suppressed
        figures.suppressed_outside = outside_before + decoder.suppressed_outside
        figures.bytes_read += len(piece)
        figures.seconds_busy += self.clock() - started
        return Chunk(transactions, abandoned=False)

    async def _connect(self) -> None:
        self._silence_seconds_max = SILENT_HEARTBEATS * self.link.heartbeat_seconds
        self._stream = await ReplicationStream.open(
            self.site,
            position=str(self.position),
            server_id=self.server_id,
            heartbeat_seconds=self.link.heartbeat_seconds / 2,
            check=self._check,
        )
        self._decoder = Decoder(
            self.position,
            server=self._server,
            at=self.at,
            relay_except={self.link.source, self.link.target} if self.link.relay else None,
            applied=self.applied,
            transaction_bytes_max=self.link.transaction_bytes_max,
            target_id=self.target_id,
            passed=self._passed,
        )
        self.figures.connected = True
        self.figures.error = None
        self._connected_at, self._connected_at_position = self.clock(), self.position
        log.info("source_connected", position=str(self.position))

    async def _check(self, session: Session) -> None:
        """See that this server's log leads on from the position, however the connection came about."""
        self._server = await read_identity(session)
        await check_continuity(session, self._server, self.position, self.at, self.applied)

    async def watch(self) -> None:
        """While nothing comes, see that the log that is followed is still the source's; never raises for that.

        A source that is reset under its readers goes on sending the log that it has removed, which is to say nothing.
        What is found out is left to the next connection to say.
        """
        before, session = None, None
        try:
            while True:
                await asyncio.sleep(self.link.heartbeat_seconds)
                rests = self.figures.connected and self.position == before and not self.bytes_received
                before = self.position
                if not rests:
                    continue
                try:
                    session = session or await Session.open(self.site, SourceLost)
                    await self._look(session)
                except SourceRewound as error:
                    log.warning("source_rewound", error=str(error))
                    if self._stream is not None:
                        self._stream.close()
                except CdcdError as error:
                    log.info("source_not_asked", error=str(error))
                    if session is not None:
                        session.abort()
                    session = None
        finally:
            if session is not None:
                session.abort()

    async def _look(self, session: Session) -> None:
        position, at, server = self.position, self.at, self._server
        # Another server behind the same address has a log of its own.
        if await current_position(session) != position and await read_identity(session) == server:
            await check_continuity(session, server, position, at, self.applied)

    def _may_go_on(self, error: BinlogError) -> bool:
        """Return whether to ask for the log again: when whole transactions came before the source's error.

        A crash of the source leaves a file that ends inside a transaction that never committed. Asked for what
        follows the last whole one, the source begins in the next file.
        """
        return type(error) is BinlogError and self.position != self._connected_at_position

    def _lose(self, error: Lost | BinlogError) -> None:
        """Forget the connection and what it had not completed; each loss soon after the last waits longer."""
        if self._decoder is not None:
            self._abandoned = self._decoder.open_parts
            self._passed = self._decoder.passed
            self._suppressed_before = self.figures.suppressed, self.figures.suppressed_outside
        lasted = self.figures.connected and self.clock() - self._connected_at > BACKOFF_SECONDS[-1]
        self._retry_seconds = self._backoff.after(went_well=lasted)
        self.close()
        self.figures.reconnects += 1
        self.figures.error = str(error)
        self.lost.set()
        log.warning("source_lost", error=str(error), retry_seconds=self._retry_seconds)

    def reload(self, link: Link) -> None:
        """Take over the reloadable keys of a changed link."""
        self.link = link
        if self._decoder is not None:
            self._decoder.transaction_bytes_max = link.transaction_bytes_max

    def close(self) -> None:
        """Drop the connection."""
        if self._stream is not None:
            self._stream.close()
        self._stream = self._decoder = None
        self.figures.connected = False
