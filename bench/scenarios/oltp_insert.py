"""sysbench's oltp_insert: one inserted row a transaction, so there is nothing to merge."""

from __future__ import annotations

from bench.catchup import benchmark
from bench.workload import Sysbench

WORKLOAD = Sysbench(script="oltp_insert", tables=4, rows=50_000, transactions=100_000, changes_each=1)

run, describe = benchmark(WORKLOAD)
