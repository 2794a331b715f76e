"""Where a link without a checkpoint begins, and how long it may stay there."""

from __future__ import annotations

import re

from cdcd.errors import BinlogPurged, CdcdError
from cdcd.model.position import Coordinates, Position, Progress
from cdcd.mysql import quote
from cdcd.mysql.flavor import Flavor
from cdcd.mysql.session import Session
from cdcd.source.continuity import FILE_START

_FILE_POSITION = re.compile(r"(?P<file>.+):(?P<offset>\d+)")


async def resolve_start(session: Session, flavor: Flavor, start: str, server: str) -> Progress:
    """Turn ``start`` into a position: now, earliest, GTIDs, or ``file:offset``; ``server`` is the source's identity.

    Raises BinlogPurged when the source cannot say what a file and offset stand for.
    """
    if start == "now":
        row = await session.fetch_one(flavor.end)
        if row is None:
            raise CdcdError("the source has no binary log", hint="set log_bin on the source")
        return await _progress_at(session, flavor, Coordinates(server, row[0], int(row[1])))
    if start == "earliest":
        logs = await session.fetch(flavor.earliest)
        if not logs:
            raise CdcdError("the source has no binary log", hint="set log_bin on the source")
        return await _progress_at(session, flavor, Coordinates(server, logs[0][0], FILE_START))
    if match := _FILE_POSITION.fullmatch(start):
        return await _progress_at(session, flavor, Coordinates(server, match["file"], int(match["offset"])))
    return Progress(Position.parse(start), at=Coordinates(server))


async def current_position(session: Session, flavor: Flavor) -> Position:
    """Return where the server's log ends now."""
    row = await session.fetch_one(flavor.position)
    return Position.parse(row[0] or "" if row else "")


async def log_kept_seconds(session: Session) -> float | None:
    """Return how long the server keeps its log, None where no time ends it.

    ``binlog_expire_logs_seconds`` is in MariaDB from 10.6 on, before there was only ``expire_logs_days``.
    """
    names = "'binlog_expire_logs_seconds', 'expire_logs_days'"
    kept = dict(await session.fetch(f"SHOW GLOBAL VARIABLES WHERE variable_name IN ({names})"))
    seconds = float(kept.get("binlog_expire_logs_seconds", 0)) or float(kept.get("expire_logs_days", 0)) * 86400
    return seconds or None


async def _progress_at(session: Session, flavor: Flavor, at: Coordinates) -> Progress:
    row = await session.fetch_one(flavor.position_of.format(file=quote.text(at.file), offset=at.offset))
    if row is None or row[0] is None:
        raise BinlogPurged(f"the source does not know the position {at.file}:{at.offset}").at(site=session.site.name)
    found: str | bytes = row[0]
    return Progress(Position.parse(found.decode() if isinstance(found, bytes) else found), at=at)
