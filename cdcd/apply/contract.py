"""What a target must offer: a claim, and writers that apply partitions of a batch as transactions with their marks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cdcd.apply.conflicts import Source
from cdcd.checkpoint.store import Begin, Claim, Held
from cdcd.checkpoint.witness import Witness
from cdcd.model.position import Gtid, Progress
from cdcd.model.table import Table, TableName
from cdcd.row.row_set import RowSet


@dataclass(frozen=True, slots=True)
class Mark:
    """What a target transaction says of itself: whose changes it holds, and what is applied once it is there.

    It is committed with the changes, and only while no later epoch of the link has been; where an earlier try of it
    failed, also only while the slot does not hold its batch: what seemed to fail may be there. No two marks of an epoch
    that are not tries of one transaction have the same batch. A server keeps it as a row, which is also what the reader
    of its log knows the transaction by.
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


class Catalog(Protocol):
    """What a target's tables are."""

    async def table(self, name: TableName) -> tuple[Table, bytes] | None:
        """Return a table and its definition as the target words it, or None where it has none of the name.

        Raises TargetAltered when others keep altering it, TargetLost.
        """


class Target(Protocol):
    """Where a link's changes go: one run's hold on it."""

    @property
    def server(self) -> str:
        """The identity of the server behind the site's address."""

    @property
    def catalog(self) -> Catalog:
        """What its tables are."""

    @property
    def blocked(self) -> str | None:
        """Why it has not answered for so long, or None."""

    async def witnesses(self) -> list[Witness]:
        """Return what it remembers of links that have run."""

    async def held(self) -> Held | None:
        """Return what it holds of the link, without claiming it; None where the link has not run."""

    async def claim(self, begin: Begin, noted: Callable[[Progress], Witness]) -> Claim:
        """Take the link over for the writers that are open, and fence earlier runs.

        ``begin`` is given what is held, and decides where to go on, or raises; that is durable before the claim is,
        and so is what is ``noted`` of it. Raises Fenced where a later run has the link, TargetBusy while an earlier
        one's transaction is open, LayoutMismatch, CheckpointLost.
        """

    async def open_writer(self, slot: int) -> Writer:
        """Open a slot's writer; one that is opened after the claim joins it, or raises Fenced."""

    async def check(self) -> None:
        """See that it answers and that the claim holds; raise TargetLost, or Fenced."""

    async def meet(self, origin: str) -> None:
        """See that no other link brings what was born at ``origin`` to it; raise CdcdError where one does."""

    async def watch(self, heartbeat_seconds: Callable[[], float]) -> None:
        """See until cancelled after commands that are not answered; raise TargetLost when an answer will not come."""

    def close(self) -> None:
        """Drop all connections; what is open rolls back."""
