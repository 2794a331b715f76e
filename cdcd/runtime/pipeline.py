"""One run of a link: the one place where the stages meet. It reads top-down as the data flows.

    stream.read -> collect: route, plan, add to the batch -> dispatch: writers -> checkpoint

Two tasks on one loop: the collector reads and fills the batch, the dispatcher applies whatever batch there is
whenever the writers are free. The batch is the queue between them, bounded in transactions and bytes; while it is
full nothing is read, and the source waits. A schema change and a transaction in parts are barriers: everything
before them is committed first, and nothing after them is begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import structlog

from cdcd.apply.conflicts import ConflictLog
from cdcd.apply.contract import Writer
from cdcd.apply.dispatcher import Dispatcher
from cdcd.batch.net import Batch
from cdcd.config.schema import Link
from cdcd.errors import CdcdError, UnsupportedEvent, first_of
from cdcd.model.position import Coordinates, Gtid, Progress
from cdcd.row.transaction import TableMap, Transaction
from cdcd.runtime.backlog import Backlog
from cdcd.runtime.position_writes import PositionWrites, Read
from cdcd.runtime.schema_changes import SchemaChanges
from cdcd.runtime.stats import PipelineStats
from cdcd.runtime.tables import Tables
from cdcd.runtime.watch import Watch
from cdcd.source.stream import BinlogStream, Chunk

log = structlog.get_logger()


@dataclass(slots=True)
class OpenParts:
    """The target transaction of a source transaction that comes in parts."""

    writer: Writer
    after: Progress  # what is applied once it is committed
    since: tuple[float, int]  # when its first part was received, and its source's stamp in seconds
    rows: int = 0
    conflicts: int = 0
    tables: list[TableMap] = field(default_factory=list)  # that it has rows of
    applying: asyncio.Task[int] | None = None  # the part before, while the next is read

    async def applied(self) -> None:
        """Wait until the part that is being applied is."""
        if self.applying is not None:
            self.conflicts += await self.applying
            self.applying = None


@dataclass
class Pipeline:
    """Everything that one run of a link needs, connected and claimed (``runtime.link`` makes it)."""

    link: Link
    stream: BinlogStream
    tables: Tables
    changes: SchemaChanges
    dispatcher: Dispatcher
    clock: Callable[[], float]
    stats: PipelineStats
    backlog: Backlog
    watch: Watch
    conflicts: ConflictLog
    position_writes: PositionWrites
    check_origin: Callable[[str], Awaitable[None]]  # checkpoint.Checkpoint.refuse_second_way

    def __post_init__(self) -> None:
        self._draining = False
        self._collected = False  # nothing more is read, and everything that was is in a batch
        self._reading: asyncio.Task[None] | None = None  # the collector, while it waits for the source
        self._taking = False  # what was read is not all in the batch yet
        self._in_hand: Transaction | None = None  # one that needs more than to be added to the batch
        self._met: set[str] = set()  # origins that were looked at since the last heartbeat
        self._parts: OpenParts | None = None  # of the transaction in parts that is open

    async def run(self) -> None:
        """Run until drained or until an error; raise the first error that a stage met."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                collector = group.create_task(self._collect(), name="collector")
                group.create_task(self._dispatch(), name="dispatcher")
                beat = group.create_task(self._beat(), name="heartbeat")
                watch = group.create_task(self.watch.run(), name="watch")
                await collector
                beat.cancel()
                watch.cancel()
        except BaseExceptionGroup as group_of_errors:
            raise first_of(group_of_errors) or group_of_errors from group_of_errors
        finally:
            self.stream.close()

    def drain(self) -> None:
        """Read no more, finish what was accepted, and end."""
        if not self._draining:
            self._draining = True
            self.dispatcher.hurry()
            if self._reading is not None:
                self._reading.cancel()

    @property
    def is_idle(self) -> bool:
        """Whether everything that was read is applied."""
        return not self._taking and not self.backlog.is_busy and self._parts is None

    @property
    def oldest(self) -> tuple[float, int] | None:
        """The oldest transaction that is not applied: when it was received, and its source's stamp in seconds."""
        if self._parts is not None:
            return self._parts.since
        if first := self.backlog.oldest or self._in_hand:
            return first.received, first.timestamp
        return None

    @property
    def rows_open(self) -> int:
        """Rows sent to the target in a transaction that is not committed, one that comes in parts."""
        return self._parts.rows if self._parts is not None else 0

    def reload(self, link: Link) -> None:
        """Take over the reloadable keys of a changed link."""
        self.link = link
        self.stream.reload(link)
        self.backlog.notify()

    async def _collect(self) -> None:
        try:
            while (chunk := await self._next()) is not None:
                self._taking = True
                with self.stats.source_blocked:
                    await self._take(chunk)
                self._taking = False
        except CdcdError:
            await self.backlog.drained()  # What came before the error is whole, and is applied.
            raise
        await self.backlog.drained()
        self._collected = True
        self.backlog.notify()

    async def _next(self) -> Chunk | None:
        """Return what the source has next, or None once the pipeline drains."""
        while self.backlog.bytes_held > self.link.queue_bytes_max:
            await self._wait_for_room()
        if self._draining:
            return None
        self._reading = asyncio.current_task()
        assert self._reading is not None
        try:
            with self.stats.batch_waiting:
                return await self.stream.read()
        except asyncio.CancelledError:
            if self._draining and self._reading.uncancel() == 0:
                return None
            raise
        finally:
            self._reading = None

    async def _wait_for_room(self) -> None:
        self.backlog.notify()
        with self.stats.batch_blocked:
            await self.backlog.wait()

    async def _take(self, chunk: Chunk) -> None:
        if chunk.abandoned:
            await self._abandon()
        transactions, at = chunk.transactions, 0
        while at < len(transactions):
            if self._parts is None:
                with self.stats.batch_busy:
                    at = self.backlog.extend(transactions, at, self.link)
            if at < len(transactions):
                self._in_hand = transactions[at]
                await self._take_alone(transactions[at])
                self._in_hand = None
                at += 1
        if not self.backlog.is_busy and self._parts is None and not self.backlog.writing.locked():
            self.backlog.commit_seen()
        self.backlog.notify()
        await asyncio.sleep(0)  # The writers' next statements go before the next chunk is merged.

    async def _take_alone(self, transaction: Transaction) -> None:
        if not transaction.part:
            await self._abandon()
        if transaction.gtid in self.backlog.progress.applied:
            self._pass_over(transaction)
        elif transaction.is_announcement:
            self.changes.announced.read(transaction)
            self._pass_over(transaction, own=True)
        else:
            await self._take_content(transaction)

    async def _take_content(self, transaction: Transaction) -> None:
        if transaction.has_returned:
            await self._refuse_returned(transaction)
        is_foreign = transaction.noted or transaction.undone or transaction.rolled_back
        if is_foreign:
            await self.changes.foreign.check(transaction, self._parts.tables if self._parts is not None else [])
        if transaction.query is not None:
            await self._change_schema(transaction)
        elif transaction.rolled_back:
            await self._take_back(transaction)
        elif transaction.part or not transaction.complete:
            await self._take_part(transaction)
        else:
            await self._take_rows(transaction)

    async def _take_rows(self, transaction: Transaction) -> None:
        """Add a whole transaction to the batch once its tables have plans and the batch has room."""
        await self.tables.plan(transaction, self.backlog.progress)
        if transaction.origin != self.backlog.origin:
            await self._meet(transaction)
            await self.backlog.drained()
            self.backlog.origin = transaction.origin
        while not self.backlog.has_room(transaction, self.link):
            # The writers are busy with the one before; their number changes before a batch that is not split.
            if len(self.dispatcher.writers) == self.link.writers:
                self.dispatcher.split(self.backlog.batch)
            await self._wait_for_room()
        if self.tables.plans.carries(transaction):
            self.backlog.add(transaction)
        else:
            self._pass_over(transaction)

    async def _refuse_returned(self, transaction: Transaction) -> None:
        """Raise UnsupportedEvent where the target itself has executed what the link would carry there."""
        await self.tables.plan(transaction, self.backlog.progress)
        query = transaction.query
        if self.tables.plans.carries(transaction) or (query is not None and self.changes.concerns(query)):
            raise UnsupportedEvent(
                f"{transaction.gtid} has the server_id of the link's own target: executed there, and brought to the"
                " source by other replication, it would take back what the target has changed since",
                hint="end that replication (STOP SLAVE; RESET SLAVE ALL), or let it leave out what the link carries;"
                " then `cdcd position set --link NAME now`, and cdcd verify",
            ).at(transaction=transaction.gtid)

    async def _take_back(self, transaction: Transaction) -> None:
        """Take a transaction that was rolled back as a whole, some of it maybe applied in parts."""
        if self._parts is not None:
            await self.changes.foreign.check_undone(self._parts.tables, transaction)
        await self._abandon()
        self._pass_over(transaction)

    async def _meet(self, transaction: Transaction) -> None:
        """See, before another origin's rows are applied, that nothing else brings them to the target."""
        origin = transaction.origin
        if origin is not None and origin not in self._met and self.tables.plans.carries(transaction):
            await self.check_origin(origin)
            self._met.add(origin)

    def _pass_over(self, transaction: Transaction, *, own: bool = False) -> None:
        """Count a transaction as applied that leaves nothing to apply."""
        if transaction.complete:
            self.backlog.advance([transaction])
        if not (own or transaction.origin or _is_bookkeeping(transaction)):
            self.position_writes.passed_over = True

    async def _change_schema(self, transaction: Transaction) -> None:
        await self.backlog.drained()
        self.tables.plans.advance()
        outcome = await self.changes.take(transaction, self.dispatcher, self.backlog.progress)
        if outcome == "own":
            self.stats.suppressed_ddl += 1
            self._pass_over(transaction, own=True)
        elif outcome == "passed" or (outcome == "carried" and transaction.ref_count):
            await self._take_rows_of(transaction)
        else:
            await self._finish_alone(transaction)

    async def _take_rows_of(self, transaction: Transaction) -> None:
        """Apply the rows that follow a statement in its own transaction (CREATE TABLE ... SELECT)."""
        if not transaction.complete:
            await self._take_part(transaction)
            return
        await self.tables.plan(transaction, self.backlog.progress)
        if self.tables.plans.carries(transaction):
            self.backlog.origin = transaction.origin
            self.backlog.add(transaction)
            await self.backlog.drained()
        else:
            self._pass_over(transaction)

    async def _finish_alone(self, transaction: Transaction) -> None:
        after = self.backlog.progress.after([transaction.gtid], transaction.coordinates)
        await self.dispatcher.move(after)
        self.backlog.progress = after
        self.stats.transactions += 1

    async def _take_part(self, transaction: Transaction) -> None:
        """Apply one part of a transaction that is too large to hold, inside one open target transaction."""
        await self.tables.plan(transaction, self.backlog.progress)
        if transaction.part == 0:
            await self._meet(transaction)
            await self.backlog.drained()
            after = self.backlog.progress.after([transaction.gtid])
            writer = await self.dispatcher.begin(after=after, origin=transaction.origin)
            self._parts = OpenParts(writer, after, (transaction.received, transaction.timestamp))
        assert self._parts is not None
        parts, batch = self._parts, Batch(self.tables.plans)
        batch.add(transaction)
        await parts.applied()
        parts.rows += batch.row_count
        parts.tables += [table for table in transaction.tables if table not in parts.tables]
        parts.applying = self._group.create_task(self._apply_part(parts.writer, batch), name="parts")
        if transaction.complete:
            await parts.applied()
            # Only now is it known where in the log it ends.
            after = replace(parts.after, at=transaction.coordinates)
            await self.dispatcher.end(parts.writer, after=after, origin=transaction.origin)
            self._parts = None
            self.backlog.progress = after
            self.stats.transactions += 1
            self.stats.rows += parts.rows
            self.stats.conflicts += parts.conflicts

    async def _apply_part(self, writer: Writer, batch: Batch) -> int:
        with self.stats.apply_busy:
            return await writer.apply_part(batch.partitions(1)[0])

    async def _abandon(self) -> None:
        """Roll back a transaction in parts whose rest will not come: the source's connection or run ended in it."""
        if self._parts is not None:
            async with self.backlog.writing:
                await self._parts.applied()
                await self._parts.writer.rollback()
                self._parts = None

    async def _dispatch(self) -> None:
        while not self._collected:
            if not len(self.backlog.batch):
                with self.stats.apply_waiting:
                    await self.backlog.wait()
                continue
            with self.stats.apply_busy:
                await self._apply(*self.backlog.start_batch())
            self.backlog.applying = None
            self.backlog.notify()

    async def _apply(self, batch: Batch, seen: list[Gtid], seen_at: Coordinates) -> None:
        started = self.clock()
        async with self.backlog.writing:
            after = self.backlog.progress.after(seen, seen_at)
            if batch.row_count:
                if len(self.dispatcher.writers) != self.link.writers and not batch.is_split:
                    await self.dispatcher.resize(self.link.writers)
                self.stats.conflicts += await self.dispatcher.apply(
                    batch, before=self.backlog.progress, after=after, origin=self.backlog.origin
                )
                self.stats.transactions += len(batch)
                self.stats.rows += batch.row_count
                self.stats.batches += 1
            else:
                self.position_writes.passed_over |= self.backlog.origin is None
            self.backlog.progress = after
        seconds = self.clock() - started
        log.debug("batch_applied", transactions=len(batch), rows=batch.row_count, seconds=round(seconds, 4))

    async def _beat(self) -> None:
        """While idle, see that the target is there and the link still ours, and write a position that moved.

        Where nothing passes the filter, that keeps the durable position from falling behind the source's log.
        A lost source is a reason to look at once: a later run of the link ends this one's connection.
        """
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.link.heartbeat_seconds):
                    await self.stream.lost.wait()
            self.stream.lost.clear()
            self.conflicts.settle_if_due()
            self._met.clear()
            if self.is_idle:
                async with self.backlog.writing:
                    await self._beat_once()

    async def _beat_once(self) -> None:
        stats = self.stream.stats
        outside = stats.suppressed_outside + self.stats.suppressed_ddl
        read, now = Read(self.stream.position, stats.bytes_read, outside), self.clock()
        if not self.position_writes.is_due(now, read, self.link):
            await self.dispatcher.check()
            return
        self.position_writes.passed_over = False
        seen, self.backlog.seen = self.backlog.seen, []
        after = Progress(self.stream.position, self.backlog.progress.after(seen).applied, self.stream.at)
        await self.dispatcher.move(after)
        self.backlog.progress = after
        self.position_writes.written(now, read)


def _is_bookkeeping(transaction: Transaction) -> bool:
    """Whether it changes nothing but cdcd's own tables: as a reason to write, two links would answer each other."""
    return bool(transaction.tables) and all(table.description.name[0] == "cdcd" for table in transaction.tables)
