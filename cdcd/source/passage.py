"""Read one transaction of a source's log, and try whether its log can be read from a position."""

from __future__ import annotations

import zlib
from contextlib import closing

from cdcd.binlog.decoder import Decoder
from cdcd.binlog.passage import Passage
from cdcd.config.schema import Link, Site
from cdcd.errors import MalformedEvent, UnsupportedEvent
from cdcd.model.position import Gtid, Position
from cdcd.mysql.stream import ReplicationStream
from cdcd.source.stream import SILENT_HEARTBEATS

HEARTBEAT_SECONDS = 1.0


async def read(site: Site, link: Link, start: Position, gtid: Gtid, end: Position) -> Passage | None:
    """Return a transaction after ``start``, or None where the log has none such up to ``end``, its end now.

    Raises SourceLost, AccessDenied, MalformedEvent.
    """
    passage = Passage(gtid)
    with closing(await _open(site, link, start)) as stream:
        while not passage.is_whole:
            await stream.wait(SILENT_HEARTBEATS * HEARTBEAT_SECONDS)
            with stream.taken() as taken:
                passage.feed(bytes(taken))
            if passage.is_past or (passage.last in tuple(end) and not passage.is_open):
                return None
    return passage


async def probe(site: Site, link: Link, position: Position, end: Position) -> None:
    """See that the source sends its log from ``position``, which is not after ``end``, its end now.

    Raises BinlogPurged or BinlogError where it does not, SourceLost, AccessDenied. What a link could not carry
    is no reason to refuse.
    """
    decoder = Decoder(position)
    with closing(await _open(site, link, position)) as stream:
        while True:
            await stream.wait(SILENT_HEARTBEATS * HEARTBEAT_SECONDS)
            with stream.taken() as taken:
                begun = bool(decoder.feed(taken)) or decoder.position != position
            failure = decoder.failure
            if failure is not None and not isinstance(failure, (UnsupportedEvent, MalformedEvent)):
                raise failure
            # Where the log has nothing after it, the source is silent but for its format.
            if begun or failure is not None or (decoder.file and all(position.includes(gtid) for gtid in end)):
                return


async def _open(site: Site, link: Link, position: Position) -> ReplicationStream:
    return await ReplicationStream.open(
        site,
        position=str(position),
        server_id=0xE0000000 | zlib.crc32(f"{link.name}/{link.source}/{link.target}".encode()) >> 3,
        heartbeat_seconds=HEARTBEAT_SECONDS,
    )
