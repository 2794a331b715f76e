"""What a link does while nothing comes: see that it may still write, and write a position that moved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from cdcd.apply.conflicts import ConflictLog
from cdcd.apply.contract import Target
from cdcd.apply.dispatcher import Dispatcher
from cdcd.model.position import Progress
from cdcd.runtime.backlog import Backlog
from cdcd.runtime.collector import Collector
from cdcd.runtime.figures import Figures
from cdcd.runtime.position_writes import PositionWrites, Read
from cdcd.source.contract import Source


@dataclass(slots=True)
class Heartbeat:
    """Beats while the link runs.

    Where nothing passes the filter, that keeps the durable position from falling behind the source's log.
    """

    source: Source
    target: Target
    backlog: Backlog
    dispatcher: Dispatcher
    collector: Collector
    conflicts: ConflictLog
    position_writes: PositionWrites
    figures: Figures
    clock: Callable[[], float]

    async def run(self) -> None:
        """Beat until cancelled; raise TargetLost, or Fenced where a later run has the link.

        A lost source is a reason to look at once: a later run of the link ends this one's connection.
        """
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.backlog.link.heartbeat_seconds):
                    await self.source.lost.wait()
            self.source.lost.clear()
            self.conflicts.settle_if_due()
            self.collector.look_again()
            if self.collector.is_idle:
                async with self.backlog.writing:
                    await self._beat()

    async def _beat(self) -> None:
        source = self.source
        outside = source.figures.suppressed_outside + self.figures.suppressed_ddl
        read, now = Read(source.position, source.figures.bytes_read, outside), self.clock()
        if not self.position_writes.is_due(now, read, self.backlog.link):
            await self.target.check()
            return
        self.position_writes.passed_over = False
        seen = self.backlog.take_seen()
        after = Progress(source.position, self.backlog.progress.after(seen).applied, source.at)
        await self.dispatcher.move(after)
        self.backlog.progress = after
        self.position_writes.written(now, read)
