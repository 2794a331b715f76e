"""Micro-benchmarks of the compiled stages, one after the other, in one process and without a server while they run.

The log of a sysbench oltp_write_only run is recorded once, over a replication connection, and then:

- decode: its bytes through the decoder in chunks of 1 MiB;
- merge: the transactions into batches of the default size;
- split: each batch into four partitions;
- render: every statement of the partitions.

The median of several rounds; a change is one row change in the log, also where fewer net rows are left of it.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections import defaultdict
from typing import Any

from bench.decode import BATCH_TRANSACTIONS, PlansByName, keep_plans, make_plans
from bench.pull import record_bytes
from bench.recorded import QUICK, Recorded, recorded
from bench.workload import Sysbench, Written
from cdcd.apply.sql.statement import render
from cdcd.batch.net import Batch, Partition
from cdcd.binlog.decoder import Decoder
from cdcd.model.position import Position
from cdcd.row.plan import Plans
from cdcd.row.transaction import Transaction

CHUNK_BYTES = 1 << 20
WRITERS = 4
SIZE = Sysbench(transactions=30_000)


def decode(chunks: list[memoryview], start: str) -> list[Transaction]:
    """Return the transactions of a recorded log."""
    decoder = Decoder(Position.parse(start))
    transactions = []
    for chunk in chunks:
        transactions += decoder.feed(chunk)
    return transactions


def merge(transactions: list[Transaction], registry: Plans) -> list[Batch]:
    """Return batches of the default size."""
    batches = []
    for index, transaction in enumerate(transactions):
        if index % BATCH_TRANSACTIONS == 0:
            batches.append(Batch(registry))
        batches[-1].add(transaction)
    return batches


def split(batches: list[Batch]) -> list[Partition]:
    """Return the partitions of every batch."""
    return [partition for batch in batches for partition in batch.partitions(WRITERS)]


def render_all(partitions: list[Partition]) -> tuple[int, int, int]:
    """Render every statement; return their number, their net rows and their bytes."""
    count = rows = size = 0
    for partition in partitions:
        for step in partition.steps:
            for statement in render(step):
                count, rows, size = count + 1, rows + statement.rows, size + len(statement.sql)
    return count, rows, size


class Stopwatch:
    """Collects the seconds of named steps over several rounds."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def time(self, name: str, step: Any, *arguments: Any) -> Any:
        """Run a step, with no garbage of earlier ones left to collect."""
        gc.collect()
        began = time.perf_counter()
        made = step(*arguments)
        self.seconds[name].append(time.perf_counter() - began)
        return made


def measure(chunks: list[memoryview], plans: PlansByName, start: str, written: Written, rounds: int) -> dict[str, Any]:
    """Time every step, in turn, in each round."""
    watch = Stopwatch()
    for _ in range(rounds):
        transactions = watch.time("decode", decode, chunks, start)
        registry = Plans()
        keep_plans(registry, transactions, plans)
        batches = watch.time("merge", merge, transactions, registry)
        partitions = watch.time("split", split, batches)
        count, rows, size_bytes = watch.time("render", render_all, partitions)
        assert written.transactions + 1 == len(transactions)  # The last row is one more.
        assert written.changes + 1 == sum(batch.row_count for batch in batches)
        assert 0 < rows <= 2 * written.changes
    steps = {name: statistics.median(seconds) for name, seconds in watch.seconds.items()}
    return {
        "changes": written.changes,
        "statements": count,
        "net_rows": rows,
        "statement_bytes": size_bytes,
        "steps": {
            name: {"ns_per_change": seconds / written.changes * 1e9, "changes_per_s": written.changes / seconds}
            for name, seconds in steps.items()
        },
    }


async def _record(log: Recorded) -> tuple[list[memoryview], PlansByName]:
    received = await record_bytes(log.source, log.start, log.end)
    plans = await make_plans(log, received)
    whole = memoryview(b"".join(received))
    return [whole[at : at + CHUNK_BYTES] for at in range(0, len(whole), CHUNK_BYTES)], plans


def run(quick: bool) -> dict[str, Any]:
    """Record, end the server, and measure."""
    with recorded(QUICK if quick else SIZE) as log:
        chunks, plans = asyncio.run(_record(log))
    return measure(chunks, plans, log.start, log.written, 3 if quick else 9)


def describe(result: dict[str, Any]) -> list[str]:
    """One line for each step."""
    lines = [
        f"{name:8} {step['ns_per_change']:8,.0f} ns a change {step['changes_per_s']:12,.0f} changes/s"
        for name, step in result["steps"].items()
    ]
    total = sum(step["ns_per_change"] for step in result["steps"].values())
    return [
        f"{result['changes']:,} changes become {result['net_rows']:,} net rows in {result['statements']} statements"
        f" of {result['statement_bytes'] / 1e6:.1f} MB",
        *lines,
        f"{'all':8} {total:8,.0f} ns a change {1e9 / total:12,.0f} changes/s",
    ]
