"""Claim a link, and read what is applied."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from cdcd.checkpoint import layout
from cdcd.checkpoint.witness import row_of
from cdcd.errors import CdcdError, CheckpointLost, Fenced, TargetBusy
from cdcd.model.position import Coordinates, Gtid, Position, Progress, unpack
from cdcd.mysql import answers
from cdcd.mysql.session import Session
from cdcd.sql import quote

log = structlog.get_logger()

FAILURE_CHARACTERS_MAX = 10_000
PLACE = "source_server,log_file,log_offset,event_time,log_began"
COLUMNS = f"link,slot,origin,position,applied,epoch,batch,session,{PLACE}"
NO_PLACE = "'','',0,0,0"  # of rows that an earlier layout holds
Row = tuple[Any, ...]  # slot, position, applied, epoch, batch, session, origin, and the place: five columns


# No sql_select_limit of the server's applies to a query with a LIMIT of its own.
SLOTS_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Held:
    """What a link's rows say before they are claimed."""

    origins: frozenset[str]
    progress: Progress


Begin = Callable[[Held | None], Awaitable[Progress]]


@dataclass(frozen=True, slots=True)
class Claim:
    """A run's hold on a link, and what earlier runs have applied."""

    epoch: int
    batch: int
    progress: Progress


class Checkpoint:
    """One link's rows in ``cdcd.checkpoint`` of its target, and the epoch under which this process writes them."""

    def __init__(self, link: str, origin: str, target: str) -> None:
        self.link = link
        self.origin = origin
        self.target = target
        self._epoch = 0
        self._attempted: tuple[int, Sequence[int]] = (0, ())  # the last claim's epoch and writers, answered or not

    async def prepare(self, session: Session) -> None:
        """Create or upgrade cdcd's tables; raise LayoutMismatch where they cannot be used."""
        await layout.prepare(session)

    async def claim(
        self, session: Session, writers: Sequence[int], begin: Begin, note: Callable[[Progress], bytes]
    ) -> Claim:
        """Take the link over for this run: fence earlier runs, and return what they have applied.

        ``writers`` are the connection ids of the run's writers, slot by slot: so that a later run can end one
        that holds its row. ``begin`` is given what the rows say, or None where there are none, and decides where to
        go on, or raises; that is made durable here, so that a crash before the first batch begins at the same place.
        ``note`` gives a statement that belongs to the same transaction. Raises TargetBusy while an
        earlier run's transaction stays open, its session has been ended by then; Fenced when another process
        took the link over after this one did.
        """
        await session.execute("SET SESSION innodb_lock_wait_timeout = 3")
        await session.execute("BEGIN")
        try:
            rows = await session.fetch(f"{_select(self.link)} FOR UPDATE")
        except TargetBusy:
            await session.execute("ROLLBACK")
            await self._end_old_sessions(session)
            raise
        epoch = self._next_epoch(rows)
        batch, found = read(rows) if rows else (0, None)
        claim = Claim(epoch, batch, await begin(found))
        held = {row[0] for row in rows}
        self._attempted = epoch, tuple(writers)
        if held:
            await session.execute(
                f"UPDATE cdcd.checkpoint SET epoch = {epoch}, updated_at = NOW(6),"
                f" session = COALESCE(ELT(slot + 1, {','.join(map(str, writers))}), 0)"
                f" WHERE link = {quote.text(self.link)}"
            )
        if missing := {slot: thread for slot, thread in enumerate(writers) if slot not in held}:
            await session.execute(self._insert(missing, claim))
        await session.execute(note(claim.progress))
        await session.execute(f"UPDATE cdcd.link SET failed_gtid = '', failure = '' WHERE {self._witness}")
        await session.execute("COMMIT")
        self._epoch = epoch
        log.info(
            "link_claimed",
            epoch=claim.epoch,
            position=str(claim.progress.position),
            applied_after=len(claim.progress.applied),
        )
        return claim

    def _next_epoch(self, rows: Sequence[Row]) -> int:
        """Return an epoch after the highest; only a process that has never run the link may pass another's."""
        if self._epoch and not rows:
            raise Fenced("the link's rows in cdcd.checkpoint were deleted while it ran")
        highest = max((row[3] for row in rows), default=0)
        if self._epoch and highest > self._epoch and not self._is_own_attempt(highest, rows):
            raise Fenced("a later run of this link has begun").at(epoch=highest)
        # By time: rows that are deleted must not come back with an epoch that an old run still holds, and no two
        # claims of which one was undone may have had the same.
        return int(max(highest + 1, time.time_ns() // 1000))

    def _is_own_attempt(self, epoch: int, rows: Sequence[Row]) -> bool:
        """Return whether the rows are what this run's last claim wrote, whose COMMIT was never answered."""
        attempted, writers = self._attempted
        sessions = {row[0]: row[5] for row in rows if row[0] < len(writers)}
        return epoch == attempted and sessions == dict(enumerate(writers))

    async def check(self, session: Session) -> None:
        """Raise Fenced when another run has taken the link over; nothing is written."""
        row = await session.fetch_one(f"SELECT MAX(epoch) FROM cdcd.checkpoint WHERE link = {quote.text(self.link)}")
        await session.execute("ROLLBACK")
        if row is None or row[0] != self._epoch:
            raise Fenced("this run's marker matches no row")

    async def note_failure(self, session: Session, gtid: Gtid, reason: str) -> bool:
        """Note the transaction that stopped this run, for `cdcd skip`; return False where a later run has the link."""
        await session.execute("BEGIN")
        ours = await session.execute(
            "UPDATE cdcd.checkpoint SET updated_at = NOW(6)"
            f" WHERE link = {quote.text(self.link)} AND slot = 0 AND epoch = {self._epoch}"
        )
        if ours:
            failure = quote.any_text(reason[:FAILURE_CHARACTERS_MAX])
            await session.execute(
                f"UPDATE cdcd.link SET failed_gtid = {quote.text(str(gtid))}, failure = {failure} WHERE {self._witness}"
            )
        await session.execute("COMMIT" if ours else "ROLLBACK")
        return bool(ours)

    @property
    def _witness(self) -> str:
        """The link's row in cdcd.link."""
        return row_of(self.link, self.origin, self.target)

    async def refuse_second_way(self, session: Session, origin: str) -> None:
        """Raise CdcdError where another link that runs now brings rows that were born at ``origin`` to this target."""
        row = await session.fetch_one(
            "SELECT c.link FROM cdcd.checkpoint c JOIN information_schema.processlist p ON p.id = c.session"
            f" WHERE c.link <> {quote.text(self.link)} AND c.origin = {quote.text(origin)} LIMIT 1"
        )
        if row is not None:
            raise CdcdError(
                f"rows born at {origin} come to this target by two ways, by link {answers.text(row[0])} too",
                hint="relay = true is for stars, chains and rings: stop one of the two links",
            )

    async def add_slot(self, session: Session, slot: int) -> None:
        """Give this session a row of its own, in the run's epoch; raise Fenced when the epoch has passed."""
        matched = await session.execute(
            f"INSERT INTO cdcd.checkpoint ({COLUMNS})"
            f" SELECT link,{slot},origin,position,'',epoch,0,CONNECTION_ID(),{PLACE} FROM cdcd.checkpoint"
            f" WHERE link={quote.text(self.link)} AND slot=0 AND epoch={self._epoch} FOR UPDATE"
            " ON DUPLICATE KEY UPDATE session=CONNECTION_ID(),updated_at=NOW(6)"
        )
        await session.execute("COMMIT")
        if matched == 0:
            raise Fenced("this run's marker matches no row")

    def _insert(self, slots: dict[int, int], claim: Claim) -> str:
        position = quote.binary(str(claim.progress.position).encode())
        batch = 0 if claim.progress.applied else claim.batch
        rows = ",".join(
            f"({quote.text(self.link)},{slot},{quote.text(self.origin)},{position},'',{claim.epoch},{batch},{thread},"
            f"{','.join(place(claim.progress.at))})"
            for slot, thread in slots.items()
        )
        return f"INSERT INTO cdcd.checkpoint ({COLUMNS}) VALUES {rows}"

    async def _end_old_sessions(self, session: Session) -> None:
        """End this account's sessions that hold the link's rows: their owner is gone or about to be fenced."""
        rows = await session.fetch(
            "SELECT p.id FROM information_schema.processlist p JOIN cdcd.checkpoint c ON c.session = p.id"
            f" WHERE c.link = {quote.text(self.link)} AND p.user = SUBSTRING_INDEX(USER(), '@', 1)"
            " AND p.id <> CONNECTION_ID()"
        )
        for (thread_id,) in rows:
            log.warning("old_session_ended", session=thread_id)
            await session.end(int(thread_id))


def _select(link: str, where: str = PLACE) -> str:
    return (
        f"SELECT slot, position, applied, epoch, batch, session, origin, {where}"
        f" FROM cdcd.checkpoint WHERE link = {quote.text(link)} ORDER BY slot LIMIT {SLOTS_MAX}"
    )


async def find(session: Session, link: str) -> Held | None:
    """Return what a link's rows say; nothing is claimed, locked or written, whether or not the link runs.

    Raises CheckpointLost where they are damaged, LayoutMismatch where a claim could not use the tables.
    """
    table = (await layout.look(session)).get("checkpoint")
    if table is None:
        return None
    rows = await session.fetch(_select(link, PLACE if table.has_place else NO_PLACE))
    return read(rows)[1] if rows else None


def place(at: Coordinates) -> tuple[str, ...]:
    """Return the values of the columns that say where a position lies."""
    return quote.text(at.server), quote.text(at.file), str(at.offset), str(at.time), str(at.began)


def read(rows: Sequence[Row]) -> tuple[int, Held]:
    """Return the latest batch, and what slots say together: only those of that batch count.

    Raises CheckpointLost where one is missing, or does not hold what was written.
    """
    try:
        return _read(rows)
    except ValueError as error:
        raise CheckpointLost(
            f"the link's rows in cdcd.checkpoint are damaged: {error}",
            hint="put them back as they were, or see what the target holds, and say where to go on with"
            " `cdcd position set --link NAME POSITION`, or begin anew, best with a new copy, after"
            " `cdcd link forget --link NAME`",
        ) from error


def _read(rows: Sequence[Row]) -> tuple[int, Held]:
    slots = sorted(row[0] for row in rows)
    if slots != list(range(len(slots))):
        raise ValueError(f"there are slots {', '.join(map(str, slots))}, and not those between")
    batch = max(row[4] for row in rows)
    latest = [row for row in rows if row[4] == batch]
    position = Position.parse(answers.text(latest[0][1]))
    applied = frozenset(gtid for row in latest for gtid in unpack(answers.raw(row[2])))
    server, file, *numbers = latest[0][7:]
    at = Coordinates(answers.text(server), answers.text(file), *numbers)
    return batch, Held(frozenset(answers.text(row[6]) for row in rows), Progress(position, applied, at))
