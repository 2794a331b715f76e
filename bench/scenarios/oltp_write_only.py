"""sysbench's oltp_write_only: two updates, a delete and an insert a transaction, on four tables."""

from __future__ import annotations

from bench.catchup import benchmark
from bench.workload import Sysbench

WORKLOAD = Sysbench(tables=4, rows=50_000, transactions=60_000)

run, describe = benchmark(WORKLOAD)
