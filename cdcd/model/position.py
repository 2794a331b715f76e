"""Where a link resumes, and which transactions after that point are applied already.

MariaDB's global transaction id is domain-server-sequence; a position is the last one of each domain
(MariaDB Knowledge Base, "Global Transaction ID", section "gtid_slave_pos"). Opaque outside ``model``,
``source`` and ``checkpoint``: everyone else compares and prints.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_GTID = re.compile(r"(\d{1,10})-(\d{1,10})-(\d{1,20})")


class Gtid(NamedTuple):
    """A transaction's identity, the same on every server of a site."""

    domain: int
    server: int
    sequence: int

    def __str__(self) -> str:
        """Return the server's own notation."""
        return f"{self.domain}-{self.server}-{self.sequence}"

    @property
    def stream(self) -> int:
        """Of which stream it is: those of one are in the order of their numbers, and the last says it for all."""
        return self.domain

    def follows(self, other: Gtid) -> bool:
        """Return whether it came after another of its stream."""
        return self.stream == other.stream and self.sequence > other.sequence

    @classmethod
    def parse(cls, text: str) -> Gtid:
        """Read ``domain-server-sequence``; raise ValueError for anything else."""
        if not (match := _GTID.fullmatch(text.strip())):
            raise ValueError(f"not a GTID: {text!r} (expected domain-server-sequence, as 0-1-100)")
        return cls(*map(int, match.groups()))


def parse_gtids(text: str) -> list[Gtid]:
    """Read a comma-separated list of GTIDs, of which a domain may have several; raise ValueError for anything else."""
    return [Gtid.parse(part) for part in text.split(",") if part.strip()]


class Position:
    """The last GTID of each domain. Immutable."""

    __slots__ = ("_last",)

    def __init__(self, gtids: Iterable[Gtid] = ()) -> None:
        self._last = {gtid.domain: gtid for gtid in gtids}

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read a comma-separated list of GTIDs; an empty text is the beginning of the log."""
        return cls(parse_gtids(text))

    def after(self, gtids: Iterable[Gtid]) -> Position:
        """Return the position once ``gtids``, in log order, have happened too."""
        moved = Position()
        moved._last = {**self._last, **{gtid.domain: gtid for gtid in gtids}}
        return moved

    def includes(self, gtid: Gtid) -> bool:
        """Return whether the transaction happened at or before this position, by its domain's sequence."""
        last = self._last.get(gtid.domain)
        return last is not None and gtid.sequence <= last.sequence

    def within(self, stream: int) -> Position:
        """Return what it says of one stream."""
        return Position(gtid for gtid in self if gtid.stream == stream)

    def __iter__(self) -> Iterator[Gtid]:
        """Iterate over the last GTID of each domain, in domain order."""
        return iter(sorted(self._last.values()))

    def __eq__(self, other: object) -> bool:
        """Positions are equal when every domain is."""
        return isinstance(other, Position) and self._last == other._last

    def __hash__(self) -> int:
        """Hash consistently with equality."""
        return hash(tuple(self))

    def __str__(self) -> str:
        """Return the text that ``start`` and the servers accept."""
        return ",".join(map(str, self))

    def __repr__(self) -> str:
        """Return a text for test failures."""
        return f"Position({str(self)!r})"


class Coordinates(NamedTuple):
    """Where in one server's log the last transaction of a position ends. All but ``server`` may be unknown."""

    server: str = ""  # its identity; "" where nothing is known
    file: str = ""
    offset: int = 0  # bytes, after its last event; 0 where unknown: events tell it modulo 4 GiB
    time: int = 0  # of its first event, in the source's seconds
    began: int = 0  # when the file was begun, in the source's seconds: one of the same name may be another


UNKNOWN = Coordinates()


@dataclass(frozen=True, slots=True)
class Progress:
    """What is applied: everything up to ``position``, which ends ``at``, and the transactions ``applied`` after it."""

    position: Position
    applied: frozenset[Gtid] = frozenset()
    at: Coordinates = UNKNOWN

    def after(self, gtids: Sequence[Gtid], at: Coordinates = UNKNOWN) -> Progress:
        """Return the progress once ``gtids``, in log order and without a gap, are applied or passed over too.

        ``at`` is where the last of them ends.
        """
        applied = self.applied.difference(gtids) if self.applied else self.applied
        return Progress(self.position.after(gtids), applied, at if gtids else self.at)

    def besides(self, gtids: Iterable[Gtid]) -> Progress:
        """Return the progress once ``gtids`` are applied while transactions before them may not be."""
        return Progress(self.position, self.applied.union(gtids), self.at)


def pack(gtids: Iterable[Gtid]) -> bytes:
    """Pack a set of GTIDs into text: runs of sequences per domain and server, ``0-1:5+3,9;0-2:7``.

    A run ``5+3`` is 5, 6, 7, 8; later numbers of a group are given as the distance from the end of the
    run before, which keeps a large batch's set to two bytes a transaction.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for domain, server, sequence in gtids:
        groups.setdefault((domain, server), []).append(sequence)
    return ";".join(f"{d}-{s}:{_pack_runs(sorted(numbers))}" for (d, s), numbers in sorted(groups.items())).encode()


def _pack_runs(numbers: list[int]) -> str:
    runs: list[str] = []
    end = 0
    index = 0
    while index < len(numbers):
        first = last = numbers[index]
        index += 1
        while index < len(numbers) and numbers[index] <= last + 1:
            last = numbers[index]
            index += 1
        runs.append(f"{first - end}+{last - first}" if last > first else str(first - end))
        end = last
    return ",".join(runs)


def unpack(packed: bytes) -> set[Gtid]:
    """Read what :func:`pack` wrote; raise ValueError for anything else."""
    gtids: set[Gtid] = set()
    for group in packed.decode("ascii").split(";") if packed else ():
        name, _, runs = group.partition(":")
        domain, server = map(int, name.split("-"))
        end = 0
        for run in runs.split(","):
            distance, more, length = run.partition("+")
            first = end + int(distance)
            end = first + (int(length) if more else 0)
            gtids.update(Gtid(domain, server, sequence) for sequence in range(first, end + 1))
    return gtids
