"""What a target must offer: writers that apply partitions of a batch, each as one transaction with its mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cdcd.apply.conflicts import Source
from cdcd.model.position import Gtid, Progress
from cdcd.row.row_set import RowSet


@dataclass(frozen=True, slots=True)
class Mark:
    """What a target transaction says of itself: whose changes it holds, and what is applied once it is there.

    It is committed with the changes, and only while no later epoch of the link and no later batch of the slot has been.
    A server keeps it as a row, which is also what the reader of its log knows the transaction by.
    """

    link: str
    slot: int
    origin: str  # the site where the changes were first executed
    progress: Progress
    epoch: int
    batch: int


class Partition(Source, Protocol):
    """What a writer applies as one target transaction (``batch.net.Partition``)."""

    @property
    def gtids(self) -> list[Gtid]:
        """The transactions in it."""

    @property
    def steps(self) -> list[RowSet]:
        """Net changes, in the order in which they must be applied."""

    def ordered_steps(self) -> list[RowSet]:
        """Every change in source order, none merged."""


class Batch(Protocol):
    """What can be split into partitions (``batch.net.Batch``)."""

    @property
    def row_count(self) -> int:
        """Changes in it."""

    def partitions(self, writers: int) -> Sequence[Partition]:
        """Split into at most this many; the same ones each time."""


class WriterFigures(Protocol):
    """What a writer has done, since it was opened."""

    seconds_on_target: float  # waiting for answers
    statements: int
    retries: int
    mismatches: int
    row_by_row: int


class Writer(Protocol):
    """One connection to the target, which does one thing at a time."""

    slot: int
    hurries: bool  # the link drains: what is not applied soon is for the next run

    @property
    def held_up(self) -> str | None:
        """Why the target keeps rolling back what is applied, or None."""

    @property
    def stats(self) -> WriterFigures:
        """What it has done."""

    async def apply(self, partition: Partition, mark: Mark) -> int:
        """Apply a partition and its mark and commit them; return how many conflicts were met.

        Raises Fenced, Conflict, ApplyFailed, TargetAltered, TargetLost, TargetBusy; nothing is committed then, or
        with TargetLost maybe all of it.
        """

    async def begin(self, mark: Mark) -> None:
        """Open a transaction that takes more than one call, or mark the open one anew; raise Fenced."""

    async def apply_part(self, partition: Partition) -> int:
        """Apply one part inside the open transaction; return how many conflicts were met."""

    async def commit(self) -> None:
        """Commit the open transaction."""

    async def rollback(self) -> None:
        """Roll the open transaction back."""

    async def close(self) -> None:
        """End the connection; what is open rolls back."""
