"""Where a link without a checkpoint begins, and how long it may stay there."""

from __future__ import annotations

import re

from cdcd.errors import BinlogPurged, CdcdError, ServerError
from cdcd.model.position import Coordinates, Position, Progress
from cdcd.mysql import answers
from cdcd.mysql.session import Session
from cdcd.source.continuity import FILE_START
from cdcd.sql import quote

_FILE_POSITION = re.compile(r"(?P<file>.+):(?P<offset>\d+)")


async def resolve_start(session: Session, start: str, server: str) -> Progress:
    """Turn ``start`` into a position: now, earliest, GTIDs, or ``file:offset``; ``server`` is the source's identity.

    Raises BinlogPurged when the source cannot say what a file and offset stand for, CdcdError where no transaction
    ends there.
    """
    if start == "now":
        row = await session.fetch_one(session.flavor.log.end)
        if row is None:
            raise CdcdError("the source has no binary log", hint="set log_bin on the source")
        return await _progress_at(session, Coordinates(server, row[0], int(row[1])))
    if start == "earliest":
        logs = await session.fetch(session.flavor.log.earliest)
        if not logs:
            raise CdcdError("the source has no binary log", hint="set log_bin on the source")
        return await _progress_at(session, Coordinates(server, logs[0][0], FILE_START))
    if match := _FILE_POSITION.fullmatch(start):
        at = Coordinates(server, match["file"], int(match["offset"]))
        await _check_end(session, at)
        return await _progress_at(session, at)
    return Progress(Position.parse(start), at=Coordinates(server))


async def _check_end(session: Session, at: Coordinates) -> None:
    """Raise CdcdError where a place is not between two transactions: the server would count the one it lies in."""
    files = [row[0] for row in await session.fetch(session.flavor.log.earliest)]
    if at.file not in files:
        if files and at.file.rpartition(".")[0] == files[0].rpartition(".")[0] and at.file < files[0]:
            raise BinlogPurged(f"the source has purged {at.file}: its log begins at {files[0]}").at(
                site=session.site.name
            )
        raise CdcdError(
            f"the source's log has no file {at.file}: it goes from {files[0]} to {files[-1]}"
            if files
            else "the source has no binary log",
            hint="see SHOW BINARY LOGS there",
        ).at(site=session.site.name)
    hint = "see SHOW BINLOG EVENTS there: give the end of a transaction, or its GTID"
    try:
        row = await session.fetch_one(f"SHOW BINLOG EVENTS IN {quote.text(at.file)} FROM {at.offset} LIMIT 1")
    except ServerError as error:
        raise CdcdError(f"no event begins or ends at {at.file}:{at.offset}: {error.message}", hint=hint) from error
    if row is not None and row[2] not in session.flavor.log.between:
        raise CdcdError(f"{at.file}:{at.offset} lies inside a transaction, before an event {row[2]}", hint=hint)


async def current_position(session: Session) -> Position:
    """Return where the server's log ends now."""
    row = await session.fetch_one(session.flavor.log.position)
    return Position.parse(row[0] or "" if row else "")


async def log_kept_seconds(session: Session) -> float | None:
    """Return how long the server keeps its log, None where no time ends it."""
    units = session.flavor.log.kept
    names = ",".join(map(quote.text, units))
    kept = dict(await session.fetch(f"SHOW GLOBAL VARIABLES WHERE variable_name IN ({names})"))
    return next((seconds for name in units if (seconds := float(kept.get(name, 0)) * units[name])), None)


async def _progress_at(session: Session, at: Coordinates) -> Progress:
    row = await session.fetch_one(session.flavor.log.position_of.format(file=quote.text(at.file), offset=at.offset))
    if row is None or row[0] is None:
        raise BinlogPurged(f"the source does not know the position {at.file}:{at.offset}").at(site=session.site.name)
    return Progress(Position.parse(answers.text(row[0])), at=at)
