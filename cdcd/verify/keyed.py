"""Compare a table that has a row key: walk its chunks, and keep what differs as suspects to look at again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from cdcd.verify.expression import KeyValue, RowKey, same_order
from cdcd.verify.report import Difference, TableReport
from cdcd.verify.side import LOOKUP_KEYS_MAX, NotComparable, Side

CHUNK_ROWS_MIN = 1_000
CHUNK_SECONDS = 0.5

_T = TypeVar("_T")
_Version = str | None  # A row's hash; None where there is no such row.


async def both(source: Coroutine[Any, Any, _T], target: Coroutine[Any, Any, _T]) -> tuple[_T, _T]:
    """Read from both sides at once; when one fails, end the other and raise the first error."""
    try:
        async with asyncio.TaskGroup() as group:
            first, second = group.create_task(source), group.create_task(target)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return first.result(), second.result()


@dataclass(slots=True)
class Suspect:
    """A row that differed: the versions seen of it on each side, the latest last."""

    source: tuple[_Version, ...]
    target: tuple[_Version, ...]

    def see(self, source: _Version, target: _Version) -> bool:
        """Take another look into account and return whether the sides agree now."""
        if source != self.source[-1]:
            self.source += (source,)
        if target != self.target[-1]:
            self.target += (target,)
        return source == target

    @property
    def is_in_flight(self) -> bool:
        """Whether both sides move, and one of them is now where the other was before."""
        moving = len(self.source) > 1 and len(self.target) > 1
        return moving and (self.target[-1] in self.source or self.source[-1] in self.target)


class KeyedCheck:
    """The check of one table with a row key: :meth:`look`, then :meth:`look_again`…, then :meth:`finish`."""

    def __init__(
        self, source: Side, target: Side, report: TableReport, *, chunk_rows_max: int, suspects_max: int
    ) -> None:
        self.report = report
        self._source = source
        self._target = target
        self._chunk_rows_max = chunk_rows_max
        self._suspects_max = suspects_max
        self._suspects: dict[RowKey, Suspect] = {}

    @property
    def is_open(self) -> bool:
        """Whether something may still be in flight."""
        return bool(self._suspects)

    async def look(self) -> None:
        """Walk the table once; raise NotComparable when it differs wholesale."""
        try:
            if all(same_order(*pair) for pair in zip(self._source.key, self._target.key, strict=True)):
                await self._walk(self._source)
            else:
                await self._walk_by_lookup(self._source, self._target)
                await self._walk_by_lookup(self._target, self._source)
        except NotComparable:
            self._suspects.clear()
            raise

    async def look_again(self) -> None:
        """Read the suspects again and let go of those on which both sides agree now."""
        keys = list(self._suspects)
        for start in range(0, len(keys), LOOKUP_KEYS_MAX):
            some = keys[start : start + LOOKUP_KEYS_MAX]
            source, target = await both(self._source.lookup(some), self._target.lookup(some))
            for key in some:
                if self._suspects[key].see(source.get(key), target.get(key)):
                    del self._suspects[key]
                    self.report.in_flight += 1

    def finish(self) -> None:
        """Report what is left."""
        for key, suspect in self._suspects.items():
            if suspect.is_in_flight:
                self.report.in_flight += 1
            else:
                self.report.add(self._difference(key, suspect))

    async def _walk(self, leader: Side) -> None:
        after: RowKey | None = None
        rows = min(CHUNK_ROWS_MIN, self._chunk_rows_max)
        while True:
            began = time.monotonic()
            to = await leader.chunk_end(after, rows)
            await self._compare(after, to)
            if to is None:
                return
            after = to
            rows = self._next_rows(rows, time.monotonic() - began)

    async def _compare(self, after: RowKey | None, to: RowKey | None) -> None:
        source, target = await both(self._source.checksum(after, to), self._target.checksum(after, to))
        self.report.chunks += 1
        self.report.rows += source.rows
        if source == target:
            return
        self._refuse_more_than(abs(source.rows - target.rows) + len(self._suspects))
        self._suspect(*await both(self._source.rows(after, to), self._target.rows(after, to)))

    async def _walk_by_lookup(self, leader: Side, follower: Side) -> None:
        after: RowKey | None = None
        while True:
            to = await leader.chunk_end(after, min(CHUNK_ROWS_MIN, self._chunk_rows_max))
            led = await leader.rows(after, to)
            followed = await follower.lookup(list(led))
            if leader is self._source:
                self.report.chunks += 1
                self.report.rows += len(led)
                self._suspect(led, followed)
            else:
                self._suspect(followed, led)
            if to is None:
                return
            after = to

    def _suspect(self, source: dict[RowKey, str], target: dict[RowKey, str]) -> None:
        for key in dict.fromkeys([*source, *target]):
            if source.get(key) != target.get(key):
                self._suspects[key] = Suspect((source.get(key),), (target.get(key),))
        self._refuse_more_than(len(self._suspects))

    def _refuse_more_than(self, differing: int) -> None:
        if differing > self._suspects_max:
            raise NotComparable(
                f"the two sides differ wholesale, in more than {self._suspects_max} rows",
                hint="verify again when the link has caught up, or copy the table anew",
            )

    def _next_rows(self, rows: int, seconds: float) -> int:
        """Return a size that takes about CHUNK_SECONDS, at most doubling at a time."""
        wanted = min(int(rows * CHUNK_SECONDS / max(seconds, 0.001)), rows * 2, self._chunk_rows_max)
        return max(wanted, min(CHUNK_ROWS_MIN, self._chunk_rows_max))

    def _difference(self, key: RowKey, suspect: Suspect) -> Difference:
        names = [column.name for column in self._source.key]
        values = dict(zip(names, map(_printable, key), strict=True))
        if suspect.target[-1] is None:
            return Difference("missing", values)
        return Difference("extra" if suspect.source[-1] is None else "different", values)


def _printable(value: KeyValue) -> int | str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else value
