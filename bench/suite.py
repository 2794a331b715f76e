"""The benchmarks by name. Each is a module with ``NAME``, ``run(quick)``, ``describe(result)`` and ``main()``.

``run`` returns what JSON can hold; ``describe`` turns that into the lines that are printed.
"""

from __future__ import annotations

import importlib
import importlib.util
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

    NAME: str

    def run(self, quick: bool) -> dict[str, Any]:
        """Measure; ``quick`` with about a tenth of the work, to see that it works."""

    def describe(self, result: dict[str, Any]) -> list[str]:
        """Return the result as lines to print."""


class UnknownBenchmark(Exception):
    """No benchmark has this name, or its module does not keep to the form."""


def load(name: str) -> Benchmark:
    """Import a benchmark; raise UnknownBenchmark when the name, the module or a part of it is not there."""
    if name not in MODULES:
        raise UnknownBenchmark(f"no benchmark is called {name}; there are {', '.join(MODULES)}")
    if importlib.util.find_spec(MODULES[name]) is None:
        raise UnknownBenchmark(f"{name} is listed in bench/suite.py, but there is no module {MODULES[name]}")
    module = importlib.import_module(MODULES[name])
    missing = [part for part in ("NAME", "run", "describe", "main") if not hasattr(module, part)]
    if missing:
        raise UnknownBenchmark(f"{MODULES[name]} has no {', '.join(missing)}")
    if name != module.NAME:
        raise UnknownBenchmark(f"{MODULES[name]} calls itself {module.NAME}, bench/suite.py calls it {name}")
    return cast("Benchmark", module)
