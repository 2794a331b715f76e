"""Read a stretch of a server's log a second time, with a connection of its own."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator

from cdcd.binlog.decoder import Decoder
from cdcd.config.schema import Link, Site
from cdcd.model.position import Position, Progress
from cdcd.mysql.stream import ReplicationStream
from cdcd.row.transaction import Transaction
from cdcd.source.stream import SILENT_HEARTBEATS

PART_BYTES = 1024 * 1024


async def read_again(
    site: Site, link: Link, reader: int, purpose: str, start: Progress, end: Position, *, marked: bool
) -> AsyncGenerator[Transaction, None]:
    """Yield what a log holds after ``start`` and up to ``end``, large transactions in parts.

    ``marked``: those that a link wrote too, with their origin. ``reader`` is the server_id under which the link reads,
    and ``purpose`` tells readings apart that go on at the same time.
    Raises SourceLost, BinlogPurged, MalformedEvent, UnsupportedEvent.
    """
    stream = await ReplicationStream.open(
        site,
        position=str(start.position),
        server_id=0xC0000000 | zlib.crc32(f"{reader}/{purpose}".encode()) >> 2,
        heartbeat_seconds=link.heartbeat_seconds / 2,
    )
    decoder = Decoder(
        start.position,
        relay_except=frozenset() if marked else None,
        applied=start.applied,
        transaction_bytes_max=PART_BYTES,
    )
    try:
        while not all(decoder.position.includes(gtid) for gtid in end):
            for transaction in await _read(stream, decoder, SILENT_HEARTBEATS * link.heartbeat_seconds):
                yield transaction
    finally:
        stream.close()


async def _read(stream: ReplicationStream, decoder: Decoder, seconds_max: float) -> list[Transaction]:
    if decoder.failure is not None:
        raise decoder.failure
    if decoder.bytes_behind:
        await asyncio.sleep(0)  # What else the loop has to do is not held up by one chunk.
        return decoder.feed(b"")
    await stream.wait(seconds_max)
    with stream.taken() as taken:
        return decoder.feed(taken)
