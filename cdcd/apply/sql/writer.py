"""One connection to the target: apply a partition as one target transaction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import structlog

from cdcd.apply.conflicts import KINDS, ConflictLog, Met
from cdcd.apply.contract import Mark, Partition
from cdcd.apply.sql import marker as markers
from cdcd.apply.sql.altered import Opens, look
from cdcd.apply.sql.applier import Applier
from cdcd.apply.sql.exchange import (
    Exchange,
    Expected,
    Marked,
    MarkedByEvent,
    MismatchError,
    OpensMovedError,
    Packet,
)
from cdcd.apply.sql.marker import check, refusal
from cdcd.apply.sql.marker_event import MarkerEvents, MarkerRefusedError
from cdcd.apply.sql.row_by_row import PACKET_HEAD, RowByRow
from cdcd.apply.sql.row_events import fits_row_events, row_events
from cdcd.apply.sql.statement import render
from cdcd.errors import AccessDenied, ApplyFailed, Conflict, SchemaMismatch, ServerError, TargetBusy
from cdcd.model.table import CHECKPOINT
from cdcd.mysql.flavor import Flavor
from cdcd.mysql.session import Session
from cdcd.row.plan import Plan
from cdcd.row.row_set import RowSet

log = structlog.get_logger()

# A packet of a few statements: the server works on one while the next is written.
PACKET_BYTES = 320 * 1024
# Fewer rows go as SQL: an event has no answer that tells conflicts, and its mismatch costs a second try.
EVENT_ROWS_MIN = 100
BUSY_TRIES_MAX = 20
# After so many the link says that it is held up, and does not wait for more while it drains.
BUSY_TRIES_FEW = 5
# A target that takes longer to answer is not asked for anything before a small COMMIT: a guard goes before it, in one
# packet, which takes the server a third of a millisecond.
FAR_SECONDS = 0.0005
FOREIGN_KEYS_OFF, FOREIGN_KEYS_ON = b"SET foreign_key_checks=0", b"SET foreign_key_checks=1"


ApplyMode = Callable[[Collection[RowSet], Flavor], Iterator[tuple[bytes, Expected]]]


class Marking:
    """How the tries of one target transaction are marked: the first by an event where that may be.

    The statement marks those that follow, for it also refuses a batch that the slot holds already: what seemed to have
    failed may be there.
    """

    def __init__(self, mark: Mark, events: MarkerEvents | None) -> None:
        self._mark = mark
        self._events = events

    def next(self) -> tuple[bytes, Expected, MarkerEvents | None]:
        """Return the text for the next try, what it must be answered, and the events if it is one."""
        events, self._events = self._events, None
        if events is not None:
            return events.statement(self._mark), MarkedByEvent(), events
        return self.statement, Marked(), None

    @property
    def statement(self) -> bytes:
        """The mark as a statement."""
        return markers.statement(self._mark)


@dataclass(slots=True)
class WriterStats:
    """What one writer has done; read by ``observe``."""

    seconds_on_target: float = 0.0  # waiting for answers
    statements: int = 0
    retries: int = 0
    mismatches: int = 0
    row_by_row: int = 0
    looks: int = 0  # at tables that may have been altered


class Writer:
    """Applies partitions, one at a time. ``slot`` is its row in ``cdcd.checkpoint``."""

    def __init__(
        self,
        slot: int,
        session: Session,
        packet_bytes_max: int,
        conflicts: ConflictLog,
        reached: dict[str, bool] | None = None,
    ) -> None:
        """Make a writer of a session; ``reached`` is the target's own (``applier``), for all of its writers."""
        self.slot = slot
        self._reached = {} if reached is None else reached
        self._conflicts = conflicts
        self._met = Met()  # in the open target transaction
        self.session = session
        self.stats = WriterStats()
        self._packet_bytes = min(PACKET_BYTES, packet_bytes_max // 2)
        self._packet_bytes_max = packet_bytes_max
        self._applier: Applier | None = None  # None: rows go as SQL
        self._marks: MarkerEvents | None = None  # None: by statements only
        self.held_up: str | None = None  # why the target keeps rolling the partition back
        self.hurries = False  # the link drains: what is not applied soon is for the next run
        self._is_far = False

    async def prepare(self) -> None:
        """Make the session a writer's; find out what the target lets this account do."""
        flavor = self.session.flavor
        if flavor.without_text is not None:
            try:
                await self.session.execute(flavor.without_text)
            except (AccessDenied, ServerError) as error:
                log.info("statements_logged_as_text", slot=self.slot, reason=error.message)
        # Were a transaction rolled back by the server, what was sent after it must not commit by itself.
        await self.session.execute("SET autocommit = 0")
        applier = Applier(self.session, self._reached)
        if reason := await applier.refusal():
            log.info("rows_sent_as_sql", slot=self.slot, reason=reason)
        else:
            self._applier = applier
            if await applier.reaches(CHECKPOINT[0]):
                self._marks = await MarkerEvents.of(self.session)
        answered = []
        for _ in range(3):
            started = time.monotonic()
            await self.session.execute("ROLLBACK")
            answered.append(time.monotonic() - started)
        self._is_far = min(answered) > FAR_SECONDS

    async def apply(self, partition: Partition, mark: Mark) -> int:
        """Apply a partition and commit; return how many conflicts were met.

        Raises Fenced, Conflict, ApplyFailed, TargetAltered, TargetLost; TargetBusy after many tries.
        """
        marking = Marking(mark, self._marks)
        try:
            for attempt in range(1, BUSY_TRIES_MAX + 1):
                try:
                    return await self._apply_once(partition, marking)
                except TargetBusy as error:
                    await self._undo(b"ROLLBACK")
                    self.stats.retries += 1
                    log.info("share_retried", slot=self.slot, error=error.message, attempt=attempt)
                    if attempt >= BUSY_TRIES_FEW:
                        self.held_up = f"the target keeps rolling the transaction back: {error.message}"
                        if self.hurries or attempt == BUSY_TRIES_MAX:
                            raise TargetBusy(self.held_up).at(tries=attempt) from error
                    await asyncio.sleep(min(2.0, 0.01 * 2 ** (attempt - 1)))
            raise AssertionError("the last try returns or raises")
        finally:
            self.held_up = None

    async def _apply_once(self, partition: Partition, marking: Marking) -> int:
        try:
            met = await self._run_fast(partition, b"ROLLBACK", marking)
        except MismatchError as mismatch:
            await self._mark(marking.statement)
            met = await self._run_slowly(partition, mismatch, [b"ROLLBACK", marking.statement])
            await self.session.execute("COMMIT")
        if met.count:
            self._conflicts.tell(met)
        return met.count

    async def _run_fast(self, partition: Partition, undo: bytes, marking: Marking | None = None) -> Met:
        """Run net changes in the first mode that meets no mismatch; what failed is undone, the last error raised.

        With a mark they are a transaction of their own.
        """
        modes = await self._modes(partition)
        for mode in modes:
            try:
                return await self._run(partition, mode, marking)
            except MismatchError as error:
                mismatch = error
                self.stats.mismatches += 1
                log.info("share_contradicted", slot=self.slot, reason=str(error))
                await self._undo(undo)
                if error.by_form and as_events not in modes and await self._takes_events(partition):
                    modes.append(as_events)
        raise mismatch

    async def _modes(self, partition: Partition) -> list[ApplyMode]:
        """Return how to try a partition, the fastest first: as row events where the target takes them, then as SQL."""
        rows = sum(len(step) for step in partition.steps if step.plan.target.takes_images)
        return [as_events, as_sql] if rows >= EVENT_ROWS_MIN and await self._takes_events(partition) else [as_sql]

    async def _takes_events(self, partition: Partition) -> bool:
        if self._applier is None:
            return False
        databases = {step.plan.target.name[0] for step in partition.steps}
        return all([await self._applier.reaches(database) for database in databases])

    async def begin(self, mark: Mark) -> None:
        """Begin a target transaction that takes more than one call, or mark the open one anew; raise Fenced."""
        await self._mark(markers.statement(mark))

    async def _mark(self, marker: bytes) -> None:
        with refusal():
            check(await self.session.execute(marker))

    async def apply_part(self, partition: Partition) -> int:
        """Apply one part inside the open target transaction."""
        await self.session.execute("SAVEPOINT part")
        try:
            met = await self._run_fast(partition, b"ROLLBACK TO part")
        except MismatchError as mismatch:
            met = await self._run_slowly(partition, mismatch, [b"ROLLBACK TO part"])
        self._met.extend(met)
        return met.count

    async def commit(self) -> None:
        """Commit the open target transaction."""
        await self.session.execute("COMMIT")
        met, self._met = self._met, Met()
        if met.count:
            self._conflicts.tell(met)

    async def rollback(self) -> None:
        """Roll the open target transaction back."""
        self._met = Met()
        await self._undo(b"ROLLBACK")

    async def close(self) -> None:
        """End the session; what is open rolls back."""
        await self.session.close()

    async def _undo(self, rollback: bytes) -> None:
        """Roll back; what failed may have been between two settings of foreign_key_checks."""
        await self.session.execute_many([rollback, FOREIGN_KEYS_ON])

    async def _run_slowly(self, partition: Partition, mismatch: MismatchError, again: list[bytes]) -> Met:
        """Run a partition in the open transaction so that each conflict is seen; ``again`` begins it anew."""
        if mismatch.by_count:
            row_by_row = RowByRow(self.session, partition, self._packet_bytes_max)
            try:
                await row_by_row.run_net(partition.steps)
            except MismatchError as error:
                mismatch = error
                await self.session.execute_many([*again[:1], FOREIGN_KEYS_ON])
                for marker in again[1:]:
                    await self._mark(marker)
            else:
                await self._look(_plans(partition.steps))
                return row_by_row.met
        self.stats.row_by_row += 1
        log.info("share_run_carefully", slot=self.slot, reason=str(mismatch))
        row_by_row, steps = RowByRow(self.session, partition, self._packet_bytes_max), partition.ordered_steps()
        try:
            await row_by_row.run(steps)
        except (ApplyFailed, Conflict, SchemaMismatch):
            await self._look(_plans(steps))  # What looks like a row's fault may be the table's.
            raise
        await self._look(_plans(steps))
        return row_by_row.met

    async def _look(self, plans: Collection[Plan], marks: MarkerEvents | None = None) -> None:
        self.stats.looks += 1
        await look(self.session, plans, marks)

    async def _run(self, partition: Partition, mode: ApplyMode, marking: Marking | None) -> Met:
        """Run net changes, after the marker and with COMMIT if there is one; return the conflicts that answers tell."""
        while True:  # Each of the two is met once at most.
            try:
                return await self._run_once(partition, mode, marking)
            except OpensMovedError:
                await self._undo(b"ROLLBACK")
            except MarkerRefusedError as refused:
                await self._undo(b"ROLLBACK")
                self._marks = None
                log.info("marker_sent_as_sql", slot=self.slot, reason=str(refused))

    async def _run_once(self, partition: Partition, mode: ApplyMode, marking: Marking | None) -> Met:
        exchange, packet = Exchange(self.session), Packet()
        marks = None
        if marking is not None:
            marker, expected, marks = marking.next()
            packet.add(marker, expected)
        try:
            for text, expected in mode(partition.steps, self.session.flavor):
                if len(text) + PACKET_HEAD > self._packet_bytes_max:
                    await exchange.finish()
                    # Text may double in SQL; an event is a third more than its bytes.
                    raise MismatchError(f"a statement of {len(text)} bytes exceeds max_allowed_packet", by_form=True)
                if packet.texts and packet.size + len(text) > self._packet_bytes:
                    await exchange.send(packet)
                    packet = Packet()
                packet.add(text, expected)
                self.stats.statements += 1
        except SchemaMismatch as error:
            await exchange.finish()
            raise MismatchError(error.message) from error  # One change at a time tells which it is of.
        opens = Opens.of(_plans(partition.steps), marks)
        await self._finish(exchange, packet, opens, commits=marking is not None)
        met = Met()
        for statement in exchange.mismatched:
            met.add(KINDS[statement.kind], partition, statement.row_set, statement.first)
        return met

    async def _finish(self, exchange: Exchange, packet: Packet, opens: Opens, *, commits: bool) -> None:
        """Send the last packet, see that the tables are what the plans know, and commit."""
        # What is small, and whose answer decides nothing, is committed in the same round trip where that is long.
        is_small = commits and exchange.packets == 0 and not packet.is_exact
        is_whole = is_small and self._is_far and opens.number >= 0
        if is_whole:
            packet = packet.fenced()
            packet.add(opens.guard(self.session.flavor), opens)
            packet.add(b"COMMIT")
        if packet.texts:
            await exchange.send(packet)
        if not is_whole:
            await exchange.ask(opens)
        await exchange.finish()
        self.stats.seconds_on_target += exchange.seconds
        if not is_whole:
            if not opens.is_known:
                await self._look(opens.plans, opens.marks)
            if commits:
                await self.session.execute("COMMIT")


def _plans(steps: Collection[RowSet]) -> set[Plan]:
    return {step.plan for step in steps}


def as_events(steps: Collection[RowSet], flavor: Flavor) -> Iterator[tuple[bytes, Expected]]:
    """Yield row events where the target takes them, and SQL for what is left."""
    assert flavor.row_events_as_statements is not None
    strictly = flavor.row_events_as_statements.strictly
    for step in steps:
        if fits_row_events(step):
            for statement in row_events(step):  # The server reads its settings anew for each.
                yield strictly + statement.sql, statement
        else:
            yield from as_sql([step], flavor)


def as_sql(steps: Collection[RowSet], flavor: Flavor) -> Iterator[tuple[bytes, Expected]]:
    """Yield SQL, with foreign key checks off where the source had them off."""
    for step in steps:
        if step.foreign_keys_off:
            yield FOREIGN_KEYS_OFF, None
        for statement in render(step):
            yield statement.text(flavor.leniently), statement
        if step.foreign_keys_off:
            yield FOREIGN_KEYS_ON, None
