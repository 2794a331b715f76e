"""Read the source, and bring each transaction to where it belongs: the batch, the target alone, or nowhere.

Most need nothing but to be added to the batch, and are, a chunk at a time, in compiled code. What needs more is taken
alone, in order: a schema change and a transaction in parts are barriers, before which everything is committed and
after which nothing is begun; tables that are new need plans; what changes nothing that is carried is passed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cdcd.apply.contract import Target
from cdcd.apply.dispatcher import Dispatcher
from cdcd.batch.admission import Admission
from cdcd.errors import CdcdError, UnsupportedEvent
from cdcd.model.position import Progress
from cdcd.model.query import Query
from cdcd.row.transaction import TableMap, Transaction
from cdcd.runtime.backlog import Backlog
from cdcd.runtime.figures import Figures
from cdcd.runtime.parts import Parts
from cdcd.runtime.position_writes import PositionWrites
from cdcd.runtime.schema_changes import Outcome
from cdcd.runtime.tables import Tables
from cdcd.source.contract import Chunk, Source


class Statements(Protocol):
    """Who decides about what a transaction holds besides rows (``schema_changes.SchemaChanges``)."""

    def announce(self, transaction: Transaction) -> None:
        """Note what an announcing transaction says."""

    def concerns(self, query: Query) -> bool:
        """Return whether a statement changes a table that the link carries, or may."""

    async def check_beside(self, transaction: Transaction, earlier: Sequence[TableMap]) -> None:
        """Pass over statements beside rows, and rows taken back; raise UnsupportedEvent where that could lose some."""

    async def take(self, transaction: Transaction, dispatcher: Dispatcher, progress: Progress) -> Outcome:
        """Handle the statement that a transaction is; everything before it is committed."""


@dataclass(slots=True)
class Collector:
    """Reads until drained. What it accepts is in the backlog, in parts, or applied."""

    source: Source
    target: Target
    tables: Tables
    statements: Statements
    dispatcher: Dispatcher
    backlog: Backlog
    parts: Parts
    position_writes: PositionWrites
    figures: Figures
    in_hand: Transaction | None = None  # one that needs more than to be added to the batch
    _draining: bool = False
    _reading: asyncio.Task[None] | None = None  # this one's own, while it waits for the source
    _taking: bool = False  # what was read is not all in the batch yet
    _met: set[str] = field(default_factory=set)  # origins that were looked at lately

    async def run(self, group: asyncio.TaskGroup) -> None:
        """Read until drained, and until everything that was read is applied; ``group`` runs what goes on beside it."""
        try:
            while (chunk := await self._next()) is not None:
                self._taking = True
                with self.figures.source_blocked:
                    await self._take(chunk, group)
                self._taking = False
        except CdcdError:
            await self.backlog.drained()  # What came before the error is whole, and is applied.
            raise
        await self.backlog.drained()

    def drain(self) -> None:
        """Read no more."""
        if not self._draining:
            self._draining = True
            self.dispatcher.hurry()
            if self._reading is not None:
                self._reading.cancel()

    @property
    def is_idle(self) -> bool:
        """Whether everything that was read is applied."""
        return not self._taking and not self.backlog.is_busy and not self.parts.is_open

    def look_again(self) -> None:
        """Look at each other origin again when it is next met: what brings it to the target may have changed."""
        self._met.clear()

    async def _next(self) -> Chunk | None:
        """Return what the source has next, or None once the link drains."""
        while self.backlog.is_full:
            await self._wait_for_room()
        if self._draining:
            return None
        self._reading = asyncio.current_task()
        assert self._reading is not None
        try:
            with self.figures.batch_waiting:
                return await self.source.read()
        except asyncio.CancelledError:
            if self._draining and self._reading.uncancel() == 0:
                return None
            raise
        finally:
            self._reading = None

    async def _take(self, chunk: Chunk, group: asyncio.TaskGroup) -> None:
        if chunk.abandoned:
            await self.parts.abandon()
        transactions, at = chunk.transactions, 0
        while at < len(transactions):
            if self.parts.is_open and not transactions[at].part:
                await self.parts.abandon()
            with self.figures.batch_busy:
                at, admission = self.backlog.extend(transactions, at)
            if admission is not Admission.JOINS:
                self.in_hand = transactions[at]
                at += await self._take_alone(transactions[at], admission, group)
                self.in_hand = None
        if not self.backlog.is_busy and not self.parts.is_open and not self.backlog.writing.locked():
            self.backlog.commit_seen()
        self.backlog.notify()
        await asyncio.sleep(0)  # The writers' next statements go before the next chunk is merged.

    async def _take_alone(self, transaction: Transaction, admission: Admission, group: asyncio.TaskGroup) -> bool:
        """Do what a transaction needs that may not join; return whether it is done with, or else to be asked again."""
        match admission:
            case Admission.FULL:
                await self._make_room()
            case Admission.OTHER_ORIGIN:
                await self._meet(transaction)
                await self.backlog.drained()
                self.backlog.origin = transaction.origin
            case Admission.UNPLANNED:
                await self.tables.plan(transaction, self.backlog.progress)
                transaction.is_planned = True
            case Admission.UNJUDGED:
                await self._judge(transaction)
                transaction.is_judged = True
            case _:
                await self._finish(transaction, admission, group)
                return True
        return False

    async def _finish(self, transaction: Transaction, admission: Admission, group: asyncio.TaskGroup) -> None:
        match admission:
            case Admission.PART:
                await self._take_part(transaction, group)
            case Admission.STATEMENT:
                await self._change_schema(transaction, group)
            case Admission.ANNOUNCES:
                self.statements.announce(transaction)
                self._pass_over(transaction, own=True)
            case Admission.UNDONE:
                await self.parts.abandon()
                self._pass_over(transaction)
            case Admission.APPLIED | Admission.NOT_CARRIED:
                self._pass_over(transaction)
            case _:
                raise AssertionError(f"a transaction that is {admission.name}")

    async def _make_room(self) -> None:
        # The writers are busy with the batch before; their number changes before one that is not split.
        if len(self.dispatcher.writers) == self.backlog.link.writers:
            self.dispatcher.split(self.backlog.batch)
        await self._wait_for_room()

    async def _wait_for_room(self) -> None:
        self.backlog.notify()
        with self.figures.batch_blocked:
            await self.backlog.wait()

    async def _judge(self, transaction: Transaction) -> None:
        if transaction.has_returned:
            await self._refuse_returned(transaction)
        if transaction.noted or transaction.undone or transaction.rolled_back:
            await self.statements.check_beside(transaction, self.parts.tables)

    async def _take_part(self, transaction: Transaction, group: asyncio.TaskGroup) -> None:
        await self.tables.plan(transaction, self.backlog.progress)
        await self._meet(transaction)
        await self.parts.take(transaction, group)

    async def _change_schema(self, transaction: Transaction, group: asyncio.TaskGroup) -> None:
        await self.backlog.drained()
        self.tables.plans.advance()
        outcome = await self.statements.take(transaction, self.dispatcher, self.backlog.progress)
        if outcome == "own":
            self.figures.suppressed_ddl += 1
            self._pass_over(transaction, own=True)
        elif outcome == "passed" or (outcome == "carried" and transaction.ref_count):
            await self._take_rows_of(transaction, group)
        else:
            await self._note_applied(transaction)

    async def _take_rows_of(self, transaction: Transaction, group: asyncio.TaskGroup) -> None:
        """Apply the rows that follow a statement in its own transaction (CREATE TABLE ... SELECT)."""
        if not transaction.complete:
            await self._take_part(transaction, group)
            return
        await self.tables.plan(transaction, self.backlog.progress)
        if self.tables.plans.carries(transaction):
            await self._meet(transaction)
            self.backlog.origin = transaction.origin
            self.backlog.add(transaction)
            await self.backlog.drained()
        else:
            self._pass_over(transaction)

    async def _note_applied(self, transaction: Transaction) -> None:
        """Make it durable that a statement is applied, which no row says."""
        after = self.backlog.progress.after([*transaction.passed, transaction.gtid], transaction.coordinates)
        await self.dispatcher.move(after)
        self.backlog.progress = after
        self.figures.transactions += 1

    async def _refuse_returned(self, transaction: Transaction) -> None:
        """Raise UnsupportedEvent where the target itself has executed what the link would carry there."""
        await self.tables.plan(transaction, self.backlog.progress)
        query = transaction.query
        if self.tables.plans.carries(transaction) or (query is not None and self.statements.concerns(query)):
            raise UnsupportedEvent(
                f"{transaction.gtid} has the server_id of the link's own target: executed there, and brought to the"
                " source by other replication, it would take back what the target has changed since",
                hint="end that replication (STOP SLAVE; RESET SLAVE ALL), or let it leave out what the link carries;"
                " then `cdcd position set --link NAME now`, and cdcd verify",
            ).at(transaction=transaction.gtid)

    async def _meet(self, transaction: Transaction) -> None:
        """See, before another origin's rows are applied, that nothing else brings them to the target."""
        origin = transaction.origin
        if origin is not None and origin not in self._met and self.tables.plans.carries(transaction):
            await self.target.meet(origin)
            self._met.add(origin)

    def _pass_over(self, transaction: Transaction, *, own: bool = False) -> None:
        """Count a transaction as applied that leaves nothing to apply."""
        if transaction.complete:
            self.backlog.advance([transaction])
        if not (own or transaction.origin or _is_bookkeeping(transaction)):
            self.position_writes.passed_over = True


def _is_bookkeeping(transaction: Transaction) -> bool:
    """Whether it changes nothing but cdcd's own tables: as a reason to write, two links would answer each other."""
    return bool(transaction.tables) and all(table.description.name[0] == "cdcd" for table in transaction.tables)
