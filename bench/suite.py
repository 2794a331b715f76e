"""The benchmarks by name. Each is a module with ``run(quick)`` and ``describe(result)``.

``run`` returns what JSON can hold; ``describe`` turns that into the lines that are printed.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol, cast

CATCH_UP = (
    "oltp_write_only",
    "oltp_insert",
    "ten_tables",
    "wide_table",
    "hot_rows",
    "bursts",
    "large_transactions_1k",
    "large_transactions_100k",
)
"""The scenarios that are caught up with, in the order in which they are shown."""

OTHERS = ("decode", "micro", "latency", "round_trips", "pair", "profile")

MODULES = {
    **{name: f"bench.scenarios.{name}" for name in CATCH_UP},
    **{name: f"bench.{name}" for name in OTHERS},
}
"""Where each benchmark lives."""


class Benchmark(Protocol):
    """What every benchmark's module offers."""

    def run(self, quick: bool) -> dict[str, Any]:
        """Measure; ``quick`` with about a tenth of the work, to see that it works."""

    def describe(self, result: dict[str, Any]) -> list[str]:
        """Return the result as lines to print."""


def load(name: str) -> Benchmark:
    """Import a benchmark."""
    return cast("Benchmark", importlib.import_module(MODULES[name]))
