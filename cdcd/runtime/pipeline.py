"""One run of a link: the one place where the stages meet. It reads top-down as the data flows.

    source.read -> collector: route, plan, add to the batch -> dispatch: writers -> checkpoint

Two tasks on one loop: the collector reads and fills the batch, the dispatcher applies whatever batch there is
whenever the writers are free. The batch is the queue between them (``backlog``), bounded in transactions and bytes;
while it is full nothing is read, and the source waits. Beside them the heartbeat, the source and the target look after
a link that does nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from cdcd.apply.conflicts import ConflictLog
from cdcd.apply.contract import Target, Writer
from cdcd.apply.dispatcher import Dispatcher
from cdcd.batch.net import Batch
from cdcd.checkpoint.store import Claim
from cdcd.config.schema import Link
from cdcd.errors import first_of
from cdcd.model.position import Coordinates, Gtid
from cdcd.runtime.backlog import Backlog
from cdcd.runtime.collector import Collector, Statements
from cdcd.runtime.figures import Figures
from cdcd.runtime.heartbeat import Heartbeat
from cdcd.runtime.parts import Parts
from cdcd.runtime.position_writes import PositionWrites
from cdcd.runtime.tables import Tables
from cdcd.source.contract import Source

log = structlog.get_logger()


@dataclass
class Pipeline:
    """Everything that one run of a link needs, connected and claimed (``runtime.link`` makes it)."""

    source: Source
    target: Target
    collector: Collector
    backlog: Backlog
    parts: Parts
    dispatcher: Dispatcher
    heartbeat: Heartbeat
    position_writes: PositionWrites
    figures: Figures
    clock: Callable[[], float]
    _collected: bool = False  # nothing more is read, and everything that was is in a batch

    async def run(self) -> None:
        """Run until drained or until an error; raise the first error that a stage met."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._dispatch(), name="dispatcher")
                beside = [
                    group.create_task(self.heartbeat.run(), name="heartbeat"),
                    group.create_task(self.source.watch(), name="source"),
                    group.create_task(self.target.watch(lambda: self.backlog.link.heartbeat_seconds), name="target"),
                ]
                await group.create_task(self.collector.run(group), name="collector")
                self._collected = True
                self.backlog.notify()
                for task in beside:
                    task.cancel()
        except BaseExceptionGroup as group_of_errors:
            raise first_of(group_of_errors) or group_of_errors from group_of_errors
        finally:
            self.source.close()

    def drain(self) -> None:
        """Read no more, finish what was accepted, and end."""
        self.collector.drain()

    def reload(self, link: Link) -> None:
        """Take over the reloadable keys of a changed link."""
        self.source.reload(link)
        self.backlog.link = link
        self.backlog.notify()

    @property
    def is_idle(self) -> bool:
        """Whether everything that was read is applied."""
        return self.collector.is_idle

    @property
    def blocked(self) -> str | None:
        """Why nothing moves although the link streams, or None."""
        return self.target.blocked or self.dispatcher.held_up

    @property
    def oldest(self) -> tuple[float, int] | None:
        """The oldest transaction that is not applied: when it was received, and its source's stamp in seconds."""
        if self.parts.since is not None:
            return self.parts.since
        if first := self.backlog.oldest or self.collector.in_hand:
            return first.received, first.timestamp
        return None

    async def _dispatch(self) -> None:
        while not self._collected:
            if not self.backlog.is_ready:
                with self.figures.apply_waiting:
                    await self.backlog.wait()
                continue
            with self.figures.apply_busy:
                await self._apply(*self.backlog.start_batch())
            self.backlog.applying = None
            self.backlog.notify()

    async def _apply(self, batch: Batch, seen: list[Gtid], seen_at: Coordinates) -> None:
        started = self.clock()
        async with self.backlog.writing:
            after = self.backlog.progress.after(seen, seen_at)
            if batch.row_count:
                writers = self.backlog.link.writers
                if len(self.dispatcher.writers) != writers and not batch.is_split:
                    await self.dispatcher.resize(writers)
                self.figures.conflicts += await self.dispatcher.apply(
                    batch, before=self.backlog.progress, after=after, origin=self.backlog.origin
                )
                self.figures.transactions += len(batch)
                self.figures.rows += batch.row_count
                self.figures.batches += 1
            else:
                self.position_writes.passed_over |= self.backlog.origin is None
            self.backlog.progress = after
        seconds = self.clock() - started
        log.debug("batch_applied", transactions=len(batch), rows=batch.row_count, seconds=round(seconds, 4))


def assemble(
    link: Link,
    source: Source,
    target: Target,
    claim: Claim,
    writers: Sequence[Writer],
    tables: Tables,
    statements: Statements,
    *,
    figures: Figures,
    conflicts: ConflictLog,
    position_writes: PositionWrites,
    clock: Callable[[], float],
) -> Pipeline:
    """Join the stages of one run, whose claim has been made."""
    dispatcher = Dispatcher(
        list(writers),
        link=link.name,
        origin=link.source,
        epoch=claim.epoch,
        batch_number=claim.batch,
        open_writer=target.open_writer,
    )
    backlog = Backlog(link, claim.progress, tables.plans)
    parts = Parts(backlog, dispatcher, figures)
    collector = Collector(source, target, tables, statements, dispatcher, backlog, parts, position_writes, figures)
    heartbeat = Heartbeat(source, target, backlog, dispatcher, collector, conflicts, position_writes, figures, clock)
    return Pipeline(source, target, collector, backlog, parts, dispatcher, heartbeat, position_writes, figures, clock)
