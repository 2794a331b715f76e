"""What a verification found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

PRINTED_MAX = 20

Kind = Literal["missing", "extra", "different"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that stayed different, seen from the target, by its key's columns (bytes as ``0x…``)."""

    kind: Kind
    key: dict[str, int | str]

    def __str__(self) -> str:
        """Return one line for people."""
        return f"{self.kind}: " + ", ".join(f"{name}={value!r}" for name, value in self.key.items())


@dataclass(slots=True)
class TableReport:
    """One table's result. ``problem`` says why it could not be compared row by row, or at all.

    ``missing`` rows are on the source only, ``extra`` ones on the target only. ``in_flight`` counts rows that
    differed at first and then agreed, or that both sides kept changing, one following the other.
    """

    table: str
    target: str
    rows: int = 0
    chunks: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    in_flight: int = 0
    seconds: float = 0
    problem: str = ""
    columns_not_compared: list[str] = field(default_factory=list)
    first: list[Difference] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether both sides hold the same rows."""
        return not (self.missing or self.extra or self.different or self.problem)

    def add(self, difference: Difference) -> None:
        """Count a difference, and keep it to be printed if it is among the first."""
        setattr(self, difference.kind, getattr(self, difference.kind) + 1)
        if len(self.first) < PRINTED_MAX:
            self.first.append(difference)

    def lines(self) -> Iterator[str]:
        """Return the text for people."""
        name = self.table if self.table == self.target else f"{self.table} -> {self.target}"
        state = "equal" if self.equal else "DIFFERENT"
        counts = f"{self.rows} rows in {self.chunks} chunks, {self.in_flight} in flight, {self.seconds:.1f} s"
        yield f"{name}: {state} ({counts})"
        if self.columns_not_compared:
            yield f"  not compared, on one side only: {', '.join(self.columns_not_compared)}"
        if self.problem:
            yield f"  {self.problem}"
        if found := self.missing + self.extra + self.different:
            yield f"  {self.missing} missing on the target, {self.extra} extra, {self.different} different"
            yield from (f"    {difference}" for difference in self.first)
            if found > len(self.first):
                yield f"    and {found - len(self.first)} more"


@dataclass(frozen=True, slots=True)
class Report:
    """A link's result: each carried table's, in name order."""

    link: str
    tables: list[TableReport]

    @property
    def equal(self) -> bool:
        """Whether every table is."""
        return all(table.equal for table in self.tables)

    def __str__(self) -> str:
        """Return the text for people."""
        different = sum(not table.equal for table in self.tables)
        result = f"{different} of {len(self.tables)} tables differ" if different else "both sides are equal"
        return "\n".join([*(line for table in self.tables for line in table.lines()), f"{self.link}: {result}"])
