"""Latency when quiet: from a COMMIT that returned on the source until the row is visible on the target.

Native replication (serial, as it comes) and cdcd with both links of a pair on, each between two fresh, durable
servers, measured by the same probe (``bench.probe``) in one run, at 200 and at 1,000 single-row transactions a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from bench.contenders import Cdcd, replicating, running
from bench.probe import SCHEMA, TABLES, Probe
from tests.fixtures.mariadb import MariaDB

RATES = (200, 1000)
WARM_UP_SECONDS = 1.0


@contextmanager
def fresh_pair() -> Iterator[tuple[MariaDB, MariaDB]]:
    """Yield two durable servers that hold the probe's table, and no log of it."""
    with ExitStack() as stack:
        east, west = (stack.enter_context(MariaDB()) for _ in range(2))
        for server in (east, west):
            server.sql(f"{SCHEMA}; RESET MASTER")
        yield east, west


def measure(east: MariaDB, west: MariaDB, seconds: float, daemon: Cdcd | None = None) -> dict[str, Any]:
    """Measure at every rate, after a warm-up that is not counted."""
    probe = Probe(east.port, west.port)
    probe.measure(RATES[0], WARM_UP_SECONDS)
    measured = {}
    for rate in RATES:
        before = _spent(daemon) if daemon else {}
        measured[str(rate)] = figures = probe.measure(rate, seconds)
        if daemon:
            spent = {key: value - before[key] for key, value in _spent(daemon).items()}
            figures |= {
                "transactions_per_batch": figures["count"] / spent["batches"],
                "applying_ms_per_batch": 1000 * spent["applying_seconds"] / spent["batches"],
                "cpu_ms_per_transaction": 1000 * spent["cpu_seconds"] / figures["count"],
            }
    return measured


def _spent(daemon: Cdcd) -> dict[str, float]:
    stages = daemon.status["forward"]["stages"]
    return {
        "batches": stages["batch"]["batches"],
        "applying_seconds": stages["apply"]["seconds_busy"],
        "cpu_seconds": daemon.cpu_seconds,
    }


def of_native(seconds: float) -> dict[str, Any]:
    """Measure MariaDB's own replication."""
    with fresh_pair() as (east, west), replicating(east, west, ""):
        return measure(east, west, seconds)


def of_cdcd(seconds: float) -> dict[str, Any]:
    """Measure cdcd with a forward and a reverse link."""
    links = {
        "forward": {"source": "east", "target": "west", "tables": [TABLES]},
        "reverse": {"source": "west", "target": "east", "tables": [TABLES]},
    }
    with fresh_pair() as (east, west), running({"east": east, "west": west}, links) as daemon:
        daemon.wait_until_streaming()
        return measure(east, west, seconds, daemon)


def run(quick: bool) -> dict[str, Any]:
    """Measure both, one after the other."""
    seconds = 2 if quick else 10
    result: dict[str, Any] = {"native": of_native(seconds), "cdcd": of_cdcd(seconds)}
    result["ratios"] = {
        str(rate): {
            name: result["cdcd"][str(rate)][f"{name}_ms"] / result["native"][str(rate)][f"{name}_ms"]
            for name in ("p50", "p99")
        }
        for rate in RATES
    }
    return result


def describe(result: dict[str, Any]) -> list[str]:
    """A line for each contender and rate, what cdcd spends, and the ratios."""
    lines = []
    for rate, ratios in result["ratios"].items():
        for name in ("native", "cdcd"):
            figures = result[name][rate]
            percentiles = "  ".join(f"{key} {figures[f'{key}_ms']:7.2f} ms" for key in ("p50", "p95", "p99", "max"))
            lines.append(
                f"{rate:>5}/s {name:7} {percentiles}  (sent up to {figures['late_ms_max']:.1f} ms late,"
                f" probe {figures['probe_cpu_seconds']:.1f} s CPU)"
            )
        lines.append(
            f"{rate:>5}/s cdcd    {figures['transactions_per_batch']:.2f} transactions a batch, applied in"
            f" {figures['applying_ms_per_batch']:.2f} ms, {figures['cpu_ms_per_transaction']:.2f} ms CPU a transaction"
        )
        lines.append(f"{rate:>5}/s cdcd is {ratios['p50']:.2f}x native's p50, {ratios['p99']:.2f}x its p99")
    return lines
