"""One run of a link: the one place where the stages meet. It reads top-down as the data flows.

    stream.read -> queue -> collect: route, plan, add to the batch -> dispatch: writers -> checkpoint

Three tasks on one loop: the reader fills the queue, the collector fills the batch, the dispatcher applies
whatever batch there is whenever the writers are free. A schema change and a transaction in parts are
barriers: everything before them is committed first, and nothing after them is begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from cdcd.apply.dispatcher import Dispatcher
from cdcd.apply.writer import Writer
from cdcd.batch.net import Batch
from cdcd.binlog.transaction import Transaction
from cdcd.config.schema import Link
from cdcd.errors import CdcdError, first_of
from cdcd.model.position import Gtid, Progress
from cdcd.runtime.queue import TRANSACTION_BYTES, ChunkQueue
from cdcd.runtime.schema_changes import SchemaChanges
from cdcd.runtime.tables import Tables
from cdcd.source.stream import BinlogStream, Chunk

log = structlog.get_logger()


@dataclass(slots=True)
class PipelineStats:
    """What has been applied; read by ``observe``."""

    transactions: int = 0
    rows: int = 0
    conflicts: int = 0
    suppressed_ddl: int = 0
    batches: int = 0
    seconds_merging: float = 0.0
    seconds_applying: float = 0.0
    seconds_idle: float = 0.0


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
    progress: Progress  # what is committed on the target
    open_writer: Callable[[int], Awaitable[Writer]]  # for a slot that this run does not have yet
    batch: Batch = field(default_factory=Batch)
    applying: Batch | None = None

    def __post_init__(self) -> None:
        self.queue = ChunkQueue(self.link.queue_bytes_max)
        self._changed = asyncio.Event()
        self._collected = False  # the queue is closed and everything in it is in a batch
        self._in_hand: Transaction | None = None  # one that needs more than to be added to the batch
        self._origin: str | None = None  # of the transactions in the batch
        self._parts: Writer | None = None  # the writer of the transaction in parts that is open
        self._after_parts = self.progress
        self._seen: list[Gtid] = []  # collected or passed over since the last batch was taken, in log order
        self._unwritten = False  # transactions were passed over since the position was last written
        self._reader: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()  # the position is written beside the batches, on the same connection

    async def run(self) -> None:
        """Run until drained or until an error; raise the first error that a stage met."""
        try:
            async with asyncio.TaskGroup() as group:
                self._reader = group.create_task(self._read(), name="reader")
                group.create_task(self._collect(), name="collector")
                group.create_task(self._dispatch(), name="dispatcher")
                beat = group.create_task(self._beat(), name="heartbeat")
                while not self._collected or self._is_busy:
                    await self._wait()
                beat.cancel()
                self._reader.cancel()
        except BaseExceptionGroup as group_of_errors:
            raise first_of(group_of_errors) or group_of_errors from group_of_errors
        finally:
            self.stream.close()

    def drain(self) -> None:
        """Read no more, finish what was accepted, and end."""
        if self._reader is not None:
            self._reader.cancel()
        self.queue.close()

    @property
    def oldest(self) -> tuple[float, int] | None:
        """The oldest transaction that is not applied: when it was received, and its source's stamp in seconds."""
        waiting = [batch.transactions[0] for batch in (self.applying, self.batch) if batch is not None and len(batch)]
        if first := next(iter(waiting), self._in_hand):
            return first.received, first.timestamp
        return None

    def reload(self, link: Link) -> None:
        """Take over the reloadable keys of a changed link."""
        self.link = link
        self.queue.bytes_max = link.queue_bytes_max
        self.stream.reload(link)

    @property
    def _is_busy(self) -> bool:
        return self.applying is not None or len(self.batch) > 0

    def _notify(self) -> None:
        self._changed.set()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _read(self) -> None:
        try:
            while True:
                chunk = await self.stream.read()
                if chunk.abandoned:
                    self.queue.abandon()
                await self.queue.put(chunk)
        except asyncio.CancelledError:
            self.queue.close()
        except CdcdError as error:
            self.queue.close(error)

    async def _collect(self) -> None:
        try:
            while (chunk := await self.queue.get()) is not None:
                await self._take(chunk)
        except CdcdError:
            await self._drained()  # What came before the error is whole, and is applied.
            raise
        await self._drained()
        self._collected = True
        self._notify()

    async def _take(self, chunk: Chunk) -> None:
        if chunk.abandoned:
            await self._abandon()
        started = self.clock()
        for transaction in chunk.transactions:
            if not self._merge(transaction):
                self.stats.seconds_merging += self.clock() - started
                self._in_hand = transaction
                await self._take_slowly(transaction)
                self._in_hand = None
                started = self.clock()
        self.stats.seconds_merging += self.clock() - started
        if not self._is_busy and self._parts is None and not self._writing.locked():
            self._settle()
        self._notify()

    def _merge(self, transaction: Transaction) -> bool:
        """Add an ordinary transaction to the batch; False when it needs more than that."""
        batch = self.batch
        if (
            transaction.query is not None
            or not transaction.complete
            or transaction.part
            or self._parts is not None
            or transaction.origin != self._origin
            or len(batch) >= self.link.batch_transactions_max
            or batch.size >= self.link.batch_bytes_max
            or not self.tables.is_planned(transaction)
        ):
            return False
        if transaction.gtid in self.progress.applied or not _carries(transaction):
            self._pass_over(transaction)
        else:
            self._add(transaction)
        return True

    def _add(self, transaction: Transaction) -> None:
        """Add to the batch, whole or not at all."""
        try:
            self.batch.add(transaction)
        except CdcdError:
            earlier, self.batch = self.batch.transactions[:-1], Batch()
            for good in earlier:
                self.batch.add(good)
            raise
        self._see(transaction.gtid)

    async def _take_slowly(self, transaction: Transaction) -> None:
        if not transaction.part:
            await self._abandon()
        if transaction.gtid in self.progress.applied:
            self._pass_over(transaction)
        elif transaction.is_announcement:
            self.changes.announced.read(transaction)
            self._pass_over(transaction, own=True)
        elif transaction.query is not None:
            await self._change_schema(transaction)
        elif transaction.part or not transaction.complete:
            await self._take_part(transaction)
        else:
            await self.tables.plan(transaction, self.progress.position)
            if transaction.origin != self._origin:
                await self._drained()
                self._origin = transaction.origin
            while self._is_full:
                self._notify()
                await self._wait()
            self._merge(transaction)

    @property
    def _is_full(self) -> bool:
        return len(self.batch) >= self.link.batch_transactions_max or self.batch.size >= self.link.batch_bytes_max

    def _see(self, gtid: Gtid) -> None:
        """Note what was collected or passed over; of neighbours in one domain the last is enough."""
        seen = self._seen
        if seen and seen[-1].domain == gtid.domain and seen[-1] not in self.progress.applied:
            seen[-1] = gtid
        else:
            seen.append(gtid)

    def _settle(self) -> None:
        """Count as applied what was seen, once all that was collected is committed."""
        self.progress, self._seen = self.progress.after(self._seen), []

    def _pass_over(self, transaction: Transaction, *, own: bool = False) -> None:
        """Count a transaction as applied that leaves nothing to apply."""
        if transaction.complete:
            self._see(transaction.gtid)
        self._unwritten = self._unwritten or not (own or transaction.origin)
        self.queue.release(transaction.size + TRANSACTION_BYTES)

    async def _change_schema(self, transaction: Transaction) -> None:
        await self._drained()
        outcome = await self.changes.take(transaction, self.dispatcher, self.progress)
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
        await self.tables.plan(transaction, self.progress.position)
        if _carries(transaction):
            self._origin = transaction.origin
            self._add(transaction)
            await self._drained()
        else:
            self._pass_over(transaction)

    async def _finish_alone(self, transaction: Transaction) -> None:
        after = self.progress.after([transaction.gtid])
        await self.dispatcher.move(after)
        self.progress = after
        self.stats.transactions += 1
        self.queue.release(transaction.size + TRANSACTION_BYTES)

    async def _take_part(self, transaction: Transaction) -> None:
        """Apply one part of a transaction that is too large to hold, inside one open target transaction."""
        await self.tables.plan(transaction, self.progress.position)
        if transaction.part == 0:
            await self._drained()
            self._after_parts = self.progress.after([transaction.gtid])
            self._parts = await self.dispatcher.begin(after=self._after_parts, origin=transaction.origin)
        assert self._parts is not None
        part = Batch()
        part.add(transaction)
        self.stats.conflicts += await self._parts.apply_part(part.shares(1)[0])
        self.stats.rows += part.row_count
        if transaction.complete:
            await self._parts.commit()
            self._parts = None
            self.progress = self._after_parts
            self.stats.transactions += 1
        self.queue.release(transaction.size + TRANSACTION_BYTES)

    async def _abandon(self) -> None:
        """Roll back a transaction in parts whose rest will not come: the source's connection or run ended in it."""
        if self._parts is not None:
            parts, self._parts = self._parts, None
            await parts.rollback()

    async def _drained(self) -> None:
        """Wait until everything collected is committed."""
        while self._is_busy:
            self._notify()
            await self._wait()
        async with self._writing:
            self._settle()

    async def _dispatch(self) -> None:
        while not self._collected:
            if not len(self.batch):
                started = self.clock()
                await self._wait()
                self.stats.seconds_idle += self.clock() - started
                continue
            self.applying, self.batch = self.batch, Batch()
            seen, self._seen = self._seen, []
            await self._apply(self.applying, seen)
            self.applying = None
            self._notify()

    async def _apply(self, batch: Batch, seen: list[Gtid]) -> None:
        started = self.clock()
        async with self._writing:
            after = self.progress.after(seen)
            if batch.row_count:
                await self._resize()
                self.stats.conflicts += await self.dispatcher.apply(
                    batch, before=self.progress, after=after, origin=self._origin
                )
                self.stats.transactions += len(batch)
                self.stats.rows += batch.row_count
                self.stats.batches += 1
            else:
                self._unwritten = self._unwritten or self._origin is None
            self.progress = after
        seconds = self.clock() - started
        self.stats.seconds_applying += seconds
        log.debug("batch_applied", transactions=len(batch), rows=batch.row_count, seconds=round(seconds, 4))
        self.queue.release(batch.size + TRANSACTION_BYTES * len(batch))

    async def _resize(self) -> None:
        """Bring the number of writers to what a reload asked for, between two batches."""
        writers = self.dispatcher.writers
        while len(writers) < self.link.writers:
            writers.append(await self.open_writer(len(writers)))
        while len(writers) > self.link.writers:
            await writers.pop().session.close()

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
            if self.queue.is_empty and not self._is_busy and self._parts is None:
                async with self._writing:
                    await self._beat_once()

    async def _beat_once(self) -> None:
        if not self._unwritten:
            await self.dispatcher.check()
            return
        self._unwritten = False
        seen, self._seen = self._seen, []
        after = Progress(self.stream.position, self.progress.after(seen).applied)
        await self.dispatcher.move(after)
        self.progress = after


def _carries(transaction: Transaction) -> bool:
    return any(table.plan is not False for table in transaction.tables)
