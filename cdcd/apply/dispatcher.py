"""Feed the writers: one batch at a time, its partitions in parallel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cdcd.apply.sql.writer import Partition, Writer
from cdcd.errors import first_of
from cdcd.model.position import Gtid, Position, Progress
from cdcd.mysql.session import Session

# A commit costs a flush to disk; below this many rows a writer of its own does not pay for one.
ROWS_PER_WRITER_MIN = 200


class BatchPartition(Partition, Protocol):
    """A partition that says which transactions it holds."""

    @property
    def gtids(self) -> list[Gtid]:
        """The transactions in it."""


class SplitBatch(Protocol):
    """A batch that can be split (``batch.net.Batch``)."""

    @property
    def row_count(self) -> int:
        """Changes in it."""

    def partitions(self, writers: int) -> Sequence[BatchPartition]:
        """Split into at most this many partitions."""


MarkerFactory = Callable[..., bytes]


@dataclass(slots=True)
class Dispatcher:
    """Applies batches. Between two of them everything before is committed, so the position has no holes."""

    writers: list[Writer]
    marker: MarkerFactory  # checkpoint.Checkpoint.marker
    check_session: Callable[[Session], Awaitable[None]]  # checkpoint.Checkpoint.check
    open_writer: Callable[[int], Awaitable[Writer]]  # for a slot that this run does not have yet
    batch_number: int
    written: Position | None = None  # what the target's rows say by themselves, once this run has written any

    async def apply(self, batch: SplitBatch, *, before: Progress, after: Progress, origin: str | None) -> int:
        """Apply a batch; return the number of conflicts. Raises what the writers raise, the first of several.

        One writer's partition is the whole batch: its marker says ``after``. Partitions of several say ``before``,
        besides what each of them applies.
        """
        partitions = self.split(batch)
        self.batch_number += 1
        if len(partitions) == 1:
            conflicts = await self.writers[0].apply(partitions[0], self._marker(0, origin, after))
            self.written = after.position
            return conflicts
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(
                        writer.apply(partition, self._marker(writer.slot, origin, before.besides(partition.gtids))),
                        name=f"writer-{writer.slot}",
                    )
                    for writer, partition in zip(self.writers, partitions, strict=False)
                ]
        except BaseExceptionGroup as group_of_errors:
            raise first_of(group_of_errors) or group_of_errors from group_of_errors
        self.written = before.position
        return sum(task.result() for task in tasks)

    def split(self, batch: SplitBatch) -> Sequence[BatchPartition]:
        """Split a batch that takes no more among the writers; the same partitions each time."""
        return batch.partitions(max(1, min(len(self.writers), batch.row_count // ROWS_PER_WRITER_MIN)))

    async def resize(self, writers: int) -> None:
        """Bring the number of writers to what a reload asked for, between two batches."""
        while len(self.writers) < writers:
            self.writers.append(await self.open_writer(len(self.writers)))
        while len(self.writers) > writers:
            await self.writers.pop().session.close()

    async def begin(self, *, after: Progress, origin: str | None) -> Writer:
        """Open the target transaction of a source transaction that comes in parts."""
        self.batch_number += 1
        await self.writers[0].begin(self._marker(0, origin, after))
        return self.writers[0]

    async def end(self, writer: Writer, *, after: Progress, origin: str | None) -> None:
        """Commit what :meth:`begin` opened; ``after`` says where it ends, too."""
        self.batch_number += 1
        await writer.begin(self._marker(0, origin, after))
        await writer.commit()
        self.written = after.position

    async def move(self, after: Progress) -> None:
        """Make a position durable that no change leads to."""
        await self.end(self.writers[0], after=after, origin=None)

    async def check(self) -> None:
        """See that the target answers and that no later run has the link; raise TargetLost or Fenced."""
        await self.check_session(self.writers[0].session)

    @property
    def held_up(self) -> str | None:
        """Why the target lets a writer commit nothing, though it answers; or None."""
        return next((writer.held_up for writer in self.writers if writer.held_up), None)

    def hurry(self) -> None:
        """Give up soon what the target keeps rolling back: the next run does it again."""
        for writer in self.writers:
            writer.hurries = True

    def fence(self, progress: Progress) -> bytes:
        """Return a marker that says what is so already, to fence a transaction of another kind."""
        self.batch_number += 1
        return self._marker(0, None, progress)

    def _marker(self, slot: int, origin: str | None, progress: Progress) -> bytes:
        return self.marker(slot, origin=origin, progress=progress, batch=self.batch_number)
