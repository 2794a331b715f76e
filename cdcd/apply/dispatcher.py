"""Feed the writers: one batch at a time, its partitions in parallel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from cdcd.apply.contract import Batch, Mark, Partition, Writer
from cdcd.errors import first_of
from cdcd.model.position import Position, Progress

# A commit costs a flush to disk; below this many rows a writer of its own does not pay for one.
ROWS_PER_WRITER_MIN = 200


@dataclass(slots=True)
class Dispatcher:
    """Applies batches. Between two of them everything before is committed, so the position has no holes."""

    writers: list[Writer]
    link: str
    origin: str  # the link's source, where its transactions name no other site
    epoch: int  # this run's
    batch_number: int
    open_writer: Callable[[int], Awaitable[Writer]]  # for a slot that this run does not have yet
    written: Position | None = None  # what the target's rows say by themselves, once this run has written any

    async def apply(self, batch: Batch, *, before: Progress, after: Progress, origin: str | None) -> int:
        """Apply a batch; return the number of conflicts. Raises what the writers raise, the first of several.

        One writer's partition is the whole batch: its mark says ``after``. Partitions of several say ``before``,
        besides what each of them applies.
        """
        partitions = self.split(batch)
        self.batch_number += 1
        if len(partitions) == 1:
            conflicts = await self.writers[0].apply(partitions[0], self._mark(0, origin, after))
            self.written = after.position
            return conflicts
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(
                        writer.apply(partition, self._mark(writer.slot, origin, before.besides(partition.gtids))),
                        name=f"writer-{writer.slot}",
                    )
                    for writer, partition in zip(self.writers, partitions, strict=False)
                ]
        except BaseExceptionGroup as group_of_errors:
            raise first_of(group_of_errors) or group_of_errors from group_of_errors
        self.written = before.position
        return sum(task.result() for task in tasks)

    def split(self, batch: Batch) -> Sequence[Partition]:
        """Split a batch that takes no more among the writers; the same partitions each time."""
        return batch.partitions(max(1, min(len(self.writers), batch.row_count // ROWS_PER_WRITER_MIN)))

    async def resize(self, writers: int) -> None:
        """Bring the number of writers to what a reload asked for, between two batches."""
        while len(self.writers) < writers:
            self.writers.append(await self.open_writer(len(self.writers)))
        while len(self.writers) > writers:
            await self.writers.pop().close()

    async def begin(self, *, after: Progress, origin: str | None) -> Writer:
        """Open the target transaction of a source transaction that comes in parts."""
        self.batch_number += 1
        await self.writers[0].begin(self._mark(0, origin, after))
        return self.writers[0]

    async def end(self, writer: Writer, *, after: Progress, origin: str | None) -> None:
        """Commit what :meth:`begin` opened; ``after`` says where it ends, too."""
        self.batch_number += 1
        await writer.begin(self._mark(0, origin, after))
        await writer.commit()
        self.written = after.position

    async def move(self, after: Progress) -> None:
        """Make a position durable that no change leads to."""
        await self.end(self.writers[0], after=after, origin=None)

    @property
    def held_up(self) -> str | None:
        """Why the target lets a writer commit nothing, though it answers; or None."""
        return next((writer.held_up for writer in self.writers if writer.held_up), None)

    def hurry(self) -> None:
        """Give up soon what the target keeps rolling back: the next run does it again."""
        for writer in self.writers:
            writer.hurries = True

    def fence(self, progress: Progress) -> Mark:
        """Return a mark that says what is so already, to fence a transaction of another kind."""
        self.batch_number += 1
        return self._mark(0, None, progress)

    def _mark(self, slot: int, origin: str | None, progress: Progress) -> Mark:
        return Mark(self.link, slot, origin or self.origin, progress, self.epoch, self.batch_number)
