"""Compare a table without a row key: as a whole, since nothing tells its rows apart."""

from __future__ import annotations

from cdcd.verify.keyed import both
from cdcd.verify.report import TableReport
from cdcd.verify.side import Checksum, Side


class MultisetCheck:
    """The check of one table without a row key: :meth:`look`, :meth:`look_again`…, then :meth:`finish`.

    The sum of the rows' hashes is the same for the same rows however they are ordered, and, unlike their
    exclusive or, counts a row as often as it occurs.
    """

    def __init__(self, source: Side, target: Side, report: TableReport) -> None:
        self.report = report
        self._source = source
        self._target = target
        self._seen: tuple[Checksum, Checksum] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the sides differed at the last look."""
        return self._seen is not None and self._seen[0] != self._seen[1]

    async def look(self) -> None:
        """Read both sides."""
        self._seen = await both(self._source.total(), self._target.total())
        self.report.chunks = 1
        self.report.rows = self._seen[0].rows

    async def look_again(self) -> None:
        """Read both sides again."""
        await self.look()

    def finish(self) -> None:
        """Report whether they still differ."""
        if self.is_open and self._seen:
            source, target = self._seen
            self.report.problem = (
                f"the rows differ ({source.rows} on the source, {target.rows} on the target);"
                " which ones can't be told without a primary key"
            )
