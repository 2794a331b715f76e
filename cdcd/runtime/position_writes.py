"""When passing over transactions is a reason to write the position, and when that would only answer itself.

A position that is not written falls behind the source's log, until a restart finds it purged. Each write is a
transaction in the target's log, which the opposite link passes over: were every transaction a reason, the two links of
an idle pair would answer each other for ever. So what changes nothing but cdcd's own tables is one only a few times in
as long as the source keeps its log, or when there is a great deal of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from cdcd.config.schema import Link
from cdcd.model.position import Position

WRITES_WHILE_KEPT = 10
# A log may be kept by size, or purged by hand; what two links answer each other with is thousands of times less.
OWN_BYTES_MAX = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Read:
    """How far a link has read its source's log."""

    position: Position
    bytes_read: int
    outside: int  # transactions of links that changed a table outside database cdcd


@dataclass(slots=True)
class PositionWrites:
    """What was passed over since the position was last written. It lives as long as the link, over its runs."""

    written_at: float  # or began, by a monotonic clock
    kept_seconds: float | None = None  # how long the source keeps its log, None for ever
    passed_over: bool = False  # an application's transaction that the link does not carry
    _written: Read | None = None
    _is_first: bool = True  # what an earlier process wrote may be nearly as old as the log

    def begin(self, position: Position) -> None:
        """Note where the first run begins."""
        self._written = self._written or Read(position, 0, 0)

    def is_due(self, now: float, read: Read, link: Link) -> bool:
        """Return whether to write the position, while nothing else does."""
        written = self._written
        assert written is not None
        if self.passed_over:
            return True
        waited = now - self.written_at
        if read.outside != written.outside and waited >= link.own_heartbeat_seconds:
            return True
        if read.position == written.position:
            return False
        if read.bytes_read - written.bytes_read >= OWN_BYTES_MAX:
            return True
        return self.kept_seconds is not None and (self._is_first or waited >= self.kept_seconds / WRITES_WHILE_KEPT)

    def written(self, now: float, read: Read) -> None:
        """Note that the position was written."""
        self.written_at, self._written, self._is_first = now, read, False
