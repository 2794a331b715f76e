"""What the demo found, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from conf.demo.daemon import Links
from conf.demo.screen import number
from conf.demo.verdict import Comparison
from conf.demo.writers import Written


@dataclass(frozen=True)
class Outcome:
    """Everything that was found at the end; prints as the verdict and the totals."""

    seconds: float
    written: Mapping[str, Written]
    sources: Mapping[str, str]
    links: Links
    tables: list[Comparison]
    complaints: Mapping[str, str]
    is_quiet: bool
    cpu_seconds: float
    memory_peak_mib: float
    lag_worst_seconds: float
    exit_status: int

    @property
    def is_equal(self) -> bool:
        """Whether neither the row for row comparison nor ``cdcd verify`` found a difference."""
        return not self.complaints and not any(table.differences for table in self.tables)

    @property
    def is_good(self) -> bool:
        """Whether the demo shows what it should."""
        return self.is_equal and self.is_quiet and self.exit_status == 0

    def __str__(self) -> str:
        """Return the totals and the verdict."""
        return "\n".join(["", *self._totals(), "", *self._verdict()])

    def _totals(self) -> Iterator[str]:
        for name, link in self.links.items():
            committed = self.written[self.sources[name]].transactions
            yield (
                f" {name}  {number(committed)} transactions committed, {number(link['transactions'])} applied,"
                f" with {number(link['rows'])} rows"
            )
            yield (
                f"          {number(link['suppressed'])} of cdcd's own kept from going back,"
                f" {number(link['conflicts'])} conflicts"
            )
        yield (
            f" cdcd     {self.memory_peak_mib:.0f} MiB of memory at most,"
            f" {self.cpu_seconds:.1f} s of processor time in {self.seconds:.0f} s"
        )
        yield f"          longest lag seen {self.lag_worst_seconds * 1000:.0f} ms"

    def _verdict(self) -> Iterator[str]:
        yield _line(self.is_equal, "equal", "compared row for row, and by `cdcd verify` on both links")
        for table in self.tables:
            yield f"          {table.table}: {_counts(table.rows)}"
            yield from (f"            {line}" for line in table.first)
            if (more := table.differences - len(table.first)) > 0:
                yield f"            and {number(more)} more differences"
        for link, text in self.complaints.items():
            yield from (f"          verify of {link}: {line}" for line in text.splitlines())
        yield _line(self.is_quiet, "quiet", "with the clients gone, all is applied and both logs stand still")
        yield _line(self.exit_status == 0, "clean", "cdcd stopped on SIGTERM with exit status 0")


def _line(holds: bool, word: str, claim: str) -> str:
    return f" ✔ {word:<6} {claim}" if holds else f" ✘ NOT {word}: this does not hold: {claim}"


def _counts(rows: Mapping[str, int]) -> str:
    counts = set(rows.values())
    if len(counts) == 1:
        return f"{number(counts.pop())} rows on both sides"
    return " and ".join(f"{number(count)} rows at {site}" for site, count in rows.items())
