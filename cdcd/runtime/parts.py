"""A transaction that is too large to hold: its parts are applied as they come, inside one open target transaction."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from cdcd.apply.contract import Writer
from cdcd.apply.dispatcher import Dispatcher
from cdcd.batch.net import Batch
from cdcd.model.position import Progress
from cdcd.row.transaction import TableMap, Transaction
from cdcd.runtime.backlog import Backlog
from cdcd.runtime.figures import Figures


@dataclass(slots=True)
class _Open:
    """The target transaction that is open, and what it has so far."""

    writer: Writer
    after: Progress  # what is applied once it is committed
    since: tuple[float, int]  # when its first part was received, and its source's stamp in seconds
    rows: int = 0
    conflicts: int = 0
    tables: dict[TableMap, None] = field(default_factory=dict)  # that it has rows of
    applying: asyncio.Task[int] | None = None  # the part before, while the next is read

    async def applied(self) -> None:
        """Wait until the part that is being applied is."""
        if self.applying is not None:
            self.conflicts += await self.applying
            self.applying = None


@dataclass(slots=True)
class Parts:
    """Applies the parts of one transaction at a time, each while the next is read."""

    backlog: Backlog
    dispatcher: Dispatcher
    figures: Figures
    _open: _Open | None = None

    @property
    def is_open(self) -> bool:
        """Whether parts were applied whose transaction has not ended."""
        return self._open is not None

    @property
    def since(self) -> tuple[float, int] | None:
        """When the first part was received, and its source's stamp in seconds; None while there is none."""
        return self._open.since if self._open is not None else None

    @property
    def rows(self) -> int:
        """Rows sent to the target and not committed."""
        return self._open.rows if self._open is not None else 0

    @property
    def tables(self) -> list[TableMap]:
        """Which tables the open transaction has rows of."""
        return list(self._open.tables) if self._open is not None else []

    async def take(self, part: Transaction, group: asyncio.TaskGroup) -> None:
        """Apply a part, the first once everything before it is committed; commit after the last.

        Its tables have their plans. What applying a part raises ends the ``group``, and is raised by the next call.
        """
        if part.part == 0:
            await self._begin(part)
        assert self._open is not None
        opened, batch = self._open, Batch(self.backlog.plans)
        batch.add(part)
        await opened.applied()
        opened.rows += batch.row_count
        opened.tables.update(dict.fromkeys(part.tables))
        opened.applying = group.create_task(self._apply(opened.writer, batch), name="parts")
        if part.complete:
            await opened.applied()
            # Only now is it known where in the log it ends.
            await self._end(opened, replace(opened.after, at=part.coordinates), part.origin)

    async def _begin(self, first: Transaction) -> None:
        await self.backlog.drained()
        after = self.backlog.progress.after([*first.passed, first.gtid])
        writer = await self.dispatcher.begin(after=after, origin=first.origin)
        self._open = _Open(writer, after, (first.received, first.timestamp))

    async def _apply(self, writer: Writer, batch: Batch) -> int:
        with self.figures.apply_busy:
            return await writer.apply_part(batch.partitions(1)[0])

    async def _end(self, opened: _Open, after: Progress, origin: str | None) -> None:
        await self.dispatcher.end(opened.writer, after=after, origin=origin)
        self._open = None
        self.backlog.progress = after
        self.figures.transactions += 1
        self.figures.rows += opened.rows
        self.figures.conflicts += opened.conflicts

    async def abandon(self) -> None:
        """Roll back what is open: its rest will not come, since the source's connection or run ended in it."""
        if self._open is not None:
            async with self.backlog.writing:
                await self._open.applied()
                await self._open.writer.rollback()
                self._open = None
