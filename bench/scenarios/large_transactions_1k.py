"""Transactions of 1,000 rows."""

from __future__ import annotations

from bench.catchup import benchmark
from bench.scenarios.large_transactions import large_transactions

WORKLOAD = large_transactions(rows_each=1_000, transactions=1_500, clients=4)

run, describe = benchmark(WORKLOAD)
