"""oltp_write_only on ten tables at once: every batch holds changes of all of them."""

from __future__ import annotations

from bench.catchup import benchmark
from bench.workload import Sysbench

WORKLOAD = Sysbench(tables=10, rows=20_000, transactions=60_000)

run, describe = benchmark(WORKLOAD)
