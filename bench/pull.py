"""Read a server's log over a replication connection, as cdcd's source stage does, without the rest of it."""

from __future__ import annotations

import time
from collections.abc import Callable

from cdcd.binlog.decoder import Decoder
from cdcd.config.schema import Site
from cdcd.model.position import Position
from cdcd.mysql.stream import ReplicationStream
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.sites import site

SERVER_ID = 4_100_000
SILENCE_SECONDS_MAX = 60


async def pull(server: MariaDB, start: str, take: Callable[[memoryview], bool]) -> float:
    """Hand on what arrives until ``take`` says that it has all; return the seconds since the log was asked for."""
    source: Site = site(server, "source")
    # No heartbeat comes within so short a time: what arrives is the log and nothing else.
    stream = await ReplicationStream.open(
        source, position=start, server_id=SERVER_ID, heartbeat_seconds=SILENCE_SECONDS_MAX
    )
    began = time.perf_counter()
    try:
        has_all = False
        while not has_all:
            await stream.wait(SILENCE_SECONDS_MAX)
            with stream.taken() as chunk:
                has_all = take(chunk)
        return time.perf_counter() - began
    finally:
        stream.close()


async def record_bytes(server: MariaDB, start: str, end: str) -> list[bytes]:
    """Return the stream from one position to another, in the chunks in which it came."""
    chunks: list[bytes] = []
    decoder, last = Decoder(Position.parse(start)), Position.parse(end)

    def keep(chunk: memoryview) -> bool:
        chunks.append(bytes(chunk))
        decoder.feed(chunk)
        if decoder.failure:
            raise decoder.failure
        return decoder.position == last

    await pull(server, start, keep)
    return chunks
