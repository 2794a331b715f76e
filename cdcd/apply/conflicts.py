"""Conflicts as an operator is told of them: each with its table, key, transaction and kind, in bounded numbers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import structlog

from cdcd.apply.sql.statement import describe
from cdcd.model.position import Gtid
from cdcd.row.row_set import RowSet

log = structlog.get_logger()

# Of one link's conflicts, so many are told in so long; the rest is counted, and the count told.
TOLD_MAX = 100
WINDOW_SECONDS = 60.0
INSERT_FOUND, UPDATE_MISSED, DELETE_MISSED = KINDS = ("insert_found_row", "update_missed_row", "delete_missed_row")
UPDATE_MET = "update_met_row"  # its new key was another row's, which is overwritten


class Source(Protocol):
    """What knows which transaction a change came with (``batch.net.Partition``)."""

    def gtid_of(self, step: RowSet, at: int) -> Gtid | None:
        """Return the transaction that a change came with."""


class Met:
    """The conflicts that one target transaction has met so far: all counted, the first of them described."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[dict[str, str]] = []

    def add(self, kind: str, source: Source, step: RowSet, at: int) -> None:
        """Note a conflict."""
        self.count += 1
        if len(self.first) < TOLD_MAX:
            facts = describe(step, at)
            del facts["change"]
            self.first.append({**facts, "gtid": str(source.gtid_of(step, at)), "kind": kind})

    def extend(self, other: Met) -> None:
        """Note those of a part of the transaction."""
        self.count += other.count
        self.first += other.first[: TOLD_MAX - len(self.first)]


class ConflictLog:
    """Tells a link's conflicts, once what overwrote the rows is committed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._told = 0
        self._left_out = 0

    def tell(self, met: Met) -> None:
        """Write one line for each conflict, as many as the window has room for."""
        if self._clock() - self._since >= WINDOW_SECONDS:
            self.settle()
        shown = met.first[: max(0, TOLD_MAX - self._told)]
        for facts in shown:
            log.warning("conflict_overwritten", **facts)
        self._told += len(shown)
        self._left_out += met.count - len(shown)

    def settle_if_due(self) -> None:
        """End the window if its time is over."""
        if self._left_out and self._clock() - self._since >= WINDOW_SECONDS:
            self.settle()

    def settle(self) -> None:
        """Tell how many conflicts were left out, and begin a new window."""
        if self._left_out:
            log.warning("conflicts_left_out", conflicts=self._left_out, told=self._told)
        self._since, self._told, self._left_out = self._clock(), 0, 0
