"""What a link has done since the daemon started, stage by stage.

The slow stage is the one that is busy while the one before it is blocked and the one after it waits. Where
``apply`` is busy, ``seconds_on_target`` (summed over its writers) tells how much of that is the target's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cdcd.source.contract import SourceFigures

if TYPE_CHECKING:
    from cdcd.runtime.pipeline import Pipeline


class Stopwatch:
    """The seconds that something took so far, with what goes on now: a stage that stands still must not look idle."""

    __slots__ = ("_seconds", "_since")

    def __init__(self) -> None:
        self._seconds = 0.0
        self._since: float | None = None

    def __enter__(self) -> None:
        """Begin."""
        self._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        """End."""
        self._seconds, self._since = self.seconds, None

    @property
    def seconds(self) -> float:
        """How long it took until now."""
        return self._seconds if self._since is None else self._seconds + time.monotonic() - self._since


@dataclass(slots=True)
class Figures:
    """What has been applied, and how the stages spent their time."""

    transactions: int = 0
    rows: int = 0
    conflicts: int = 0
    suppressed_ddl: int = 0
    batches: int = 0
    source_blocked: Stopwatch = field(default_factory=Stopwatch)
    batch_busy: Stopwatch = field(default_factory=Stopwatch)
    batch_waiting: Stopwatch = field(default_factory=Stopwatch)
    batch_blocked: Stopwatch = field(default_factory=Stopwatch)
    apply_busy: Stopwatch = field(default_factory=Stopwatch)
    apply_waiting: Stopwatch = field(default_factory=Stopwatch)


def stage_figures(source: SourceFigures, figures: Figures, pipeline: Pipeline | None) -> dict[str, Mapping[str, float]]:
    """Return each stage's figures: what it does, and what it holds now.

    ``seconds_busy`` at its own work, ``seconds_waiting`` for the stage before it, ``seconds_blocked`` by the one
    after it; ``bytes_queued`` and ``rows_queued`` are in its hands.
    """
    writers = [writer.stats for writer in pipeline.dispatcher.writers] if pipeline else []
    growing, applying = (pipeline.backlog.batch, pipeline.backlog.applying) if pipeline else (None, None)
    return {
        "source": {
            "seconds_busy": source.seconds_busy,
            "seconds_waiting": source.seconds_waiting,
            "seconds_blocked": figures.source_blocked.seconds,
            "bytes_queued": pipeline.source.bytes_received if pipeline else 0,
            "bytes_read": source.bytes_read,
            "chunks": source.chunks,
            "reconnects": source.reconnects,
            "connected": float(source.connected),
        },
        "batch": {
            "seconds_busy": figures.batch_busy.seconds,
            "seconds_waiting": figures.batch_waiting.seconds,
            "seconds_blocked": figures.batch_blocked.seconds,
            "bytes_queued": growing.size if growing is not None else 0,
            "rows_queued": growing.row_count if growing is not None else 0,
            "bytes_held": pipeline.backlog.bytes_held if pipeline else 0,
            "batches": figures.batches,
        },
        "apply": {
            "seconds_busy": figures.apply_busy.seconds,
            "seconds_waiting": figures.apply_waiting.seconds,
            "seconds_on_target": sum(writer.seconds_on_target for writer in writers),
            "bytes_queued": applying.size if applying is not None else 0,
            "rows_queued": applying.row_count if applying is not None else 0,
            "rows_open": pipeline.parts.rows if pipeline else 0,
            "writers": len(writers),
            "statements": sum(writer.statements for writer in writers),
            "contradicted": sum(writer.mismatches for writer in writers),
            "retries": sum(writer.retries for writer in writers),
            "careful": sum(writer.row_by_row for writer in writers),
        },
    }
