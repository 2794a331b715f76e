"""Whether a server's log still leads to a position, asked before anything is read from it.

A source that was reset, restored from a copy or replaced numbers its transactions anew, or goes on from an older
number. Asked for what follows a position that it once had, it passes over new transactions without a word
(MariaDB Knowledge Base, "Global Transaction ID", on the connection of a replica). So the position's own place in the
log is looked up: BINLOG_GTID_POS says which GTIDs a file holds up to an offset, and nothing for an offset at which no
event ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import structlog

from cdcd.errors import SourceRewound
from cdcd.model.position import Coordinates, Gtid, Position, parse_gtids
from cdcd.mysql import answers
from cdcd.mysql.session import Session
from cdcd.sql import quote

log = structlog.get_logger()

# The offset of an event is 32 bits wide in its header.
OFFSET_MAX = 0xFFFFFFFF
FILE_START = 4


async def check_continuity(
    session: Session,
    server: str,
    position: Position,
    at: Coordinates,
    applied: Collection[Gtid] = frozenset(),
) -> None:
    """Raise SourceRewound where a server's log is not the one that a position is from.

    ``server`` is the server's identity, ``at`` where the position ends, as far as that is known. What is ``applied``
    after the position must be in the log too: those numbers are passed over when they come.
    """
    after = [gtid for gtid in applied if not position.includes(gtid)]
    if not (list(position) or after):
        return  # All that the log ever held comes after it, or the server says that it was purged.
    last = await _fetch_text(session, session.flavor.log.written)
    written = {(gtid.domain, gtid.server): gtid.sequence for gtid in parse_gtids(last or "")}
    needed = [*position, *_latest(after)]
    if missing := [gtid for gtid in needed if written.get((gtid.domain, gtid.server), -1) < gtid.sequence]:
        raise _rewound(f"it ends at {last or 'its beginning'} and lacks {_list(missing)}", position, at)
    if at.server == server and at.file and at.offset:
        await _check_place(session, position, at)
    elif at.server not in ("", server):
        log.warning("source_server_changed", before=at.server, now=server, position=str(position))


async def _check_place(session: Session, position: Position, at: Coordinates) -> None:
    """See that the place at which the position ended still leads to it."""
    found = await _position_at(session, at.file, at.offset)
    # Asked after that: a file that was purged meanwhile is not taken for one in which no event ends there.
    files = {row[0]: int(row[1]) for row in await session.fetch(session.flavor.log.earliest)}
    names = list(files)
    await _check_domains(session, names[names.index(at.file) + 1 if at.file in files else 0 :], position, at)
    if at.file not in files:
        await _check_purged(session, names[0], position, at)
        return
    if files[at.file] > OFFSET_MAX:
        return  # Offsets in it are known modulo 4 GiB.
    if found is None:
        raise _rewound(f"no event ends at {at.file}:{at.offset}", position, at)
    there = {gtid.domain: gtid for gtid in found}
    pairs = [(gtid, there[gtid.domain]) for gtid in position if gtid.domain in there]
    # The last transaction ended there. Those of other domains may be further on, where a link was told to begin so.
    passed = any(other.server == ours.server and other.sequence > ours.sequence for ours, other in pairs)
    if passed or not any(ours == other for ours, other in pairs):
        raise _rewound(f"{at.file}:{at.offset} is the end of {found}", position, at)


async def _check_purged(session: Session, first: str, position: Position, at: Coordinates) -> None:
    """See that all of a position came before the first file that is left."""
    found = await _position_at(session, first, FILE_START)
    there = {gtid.domain: gtid.sequence for gtid in found or ()}
    if any(there.get(gtid.domain, -1) < gtid.sequence for gtid in position):
        raise _rewound(f"it has no file {at.file}, and begins at {found or 'its beginning'}", position, at)


async def _check_domains(session: Session, later: list[str], position: Position, at: Coordinates) -> None:
    """See that each file after the place begins with all domains of the position.

    One that the server was told to forget (DELETE_DOMAIN_ID) and that is used again counts from 1.
    """
    if not later:
        return
    queries = [session.flavor.log.position_of.format(file=quote.text(file), offset=FILE_START) for file in later]
    for file, row in zip(later, await session.fetch(" UNION ALL ".join(queries) + f" LIMIT {len(later)}"), strict=True):
        if row[0] is None:
            continue  # Purged meanwhile.
        known = {gtid.domain for gtid in parse_gtids(answers.text(row[0]))}
        if missing := [gtid for gtid in position if gtid.domain not in known]:
            raise _rewound(f"where {file} begins it knows nothing of {_list(missing)}", position, at)


async def _position_at(session: Session, file: str, offset: int) -> Position | None:
    found = await _fetch_text(session, session.flavor.log.position_of.format(file=quote.text(file), offset=offset))
    return None if found is None else Position.parse(found)


async def _fetch_text(session: Session, query: str) -> str | None:
    row = await session.fetch_one(query)
    return None if row is None or row[0] is None else answers.text(row[0])


def _latest(gtids: Collection[Gtid]) -> list[Gtid]:
    """Return the last of each domain and server."""
    return list({gtid[:2]: gtid for gtid in sorted(gtids)}.values())


def _list(gtids: Iterable[Gtid]) -> str:
    return ",".join(map(str, gtids))


def _rewound(what: str, position: Position, at: Coordinates) -> SourceRewound:
    error = SourceRewound(f"the source's log is not the one that the position is from: {what}")
    error.at(position=position)
    return error.at(log_file=at.file, log_offset=at.offset) if at.file else error
