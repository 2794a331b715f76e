"""Read one transaction of a source's log, beside the link that reads it."""

from __future__ import annotations

import os
import socket
import zlib
from contextlib import closing

from cdcd.binlog.passage import Passage
from cdcd.config.schema import Link, Site
from cdcd.model.position import Gtid, Position
from cdcd.mysql.stream import ReplicationStream
from cdcd.source.stream import SILENT_HEARTBEATS

HEARTBEAT_SECONDS = 1.0


async def read(site: Site, link: Link, start: Position, gtid: Gtid, end: Position) -> Passage | None:
    """Return a transaction after ``start``, or None where the log has none such up to ``end``, its end now.

    Raises SourceLost, AccessDenied, MalformedEvent.
    """
    passage = Passage(gtid)
    with closing(await open_beside(site, link, start)) as stream:
        while not passage.is_whole:
            await stream.wait(SILENT_HEARTBEATS * HEARTBEAT_SECONDS)
            with stream.taken() as taken:
                passage.feed(bytes(taken))
            if passage.is_past or (passage.last in tuple(end) and not passage.is_open):
                return None
    return passage


async def open_beside(site: Site, link: Link, position: Position) -> ReplicationStream:
    """Open a stream of a link's source that ends no other reader's, neither the link's nor another command's.

    Raises SourceLost, AccessDenied.
    """
    reader = f"{link.name}/{link.source}/{link.target}/{socket.gethostname()}/{os.getpid()}"
    return await ReplicationStream.open(
        site,
        position=str(position),
        server_id=0xE0000000 | zlib.crc32(reader.encode()) >> 3,
        heartbeat_seconds=HEARTBEAT_SECONDS,
    )
