"""What a link has done since the daemon started."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class PipelineStats:
    """What has been applied; read by ``observe``."""

    transactions: int = 0
    rows: int = 0
    conflicts: int = 0
    suppressed_ddl: int = 0
    batches: int = 0
    seconds_merging: float = 0.0
    seconds_applying: float = 0.0
    seconds_idle: float = 0.0
