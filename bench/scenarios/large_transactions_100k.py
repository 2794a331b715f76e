"""Transactions of 100,000 rows."""

from __future__ import annotations

from bench.catchup import benchmark
from bench.scenarios.large_transactions import large_transactions

WORKLOAD = large_transactions(rows_each=100_000, transactions=24, clients=2)

run, describe = benchmark(WORKLOAD)
