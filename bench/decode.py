"""Reading and decoding alone: one log of sysbench oltp_write_only, from a socket on this machine.

Read in four ways, by one process, while the server's dump thread has the other core:

- raw: every byte is taken from the socket, counted and dropped. The end is known by the number of bytes, which a
  first pass, not counted, has learned; that pass has also brought the log into the page cache.
- decoded: the same bytes through the decoder, which frames, checks every CRC32 and assembles transactions.
- merged: the transactions are also merged into batches of the default size, which looks at every row.
- mysql-replication: the first part of the log only, since it is slow; to compare rates.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import uvloop
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

from bench.pull import SERVER_ID, pull, record_bytes
from bench.recorded import QUICK, Recorded, recorded
from bench.workload import Sysbench
from cdcd.batch.net import Batch
from cdcd.binlog.decoder import Decoder
from cdcd.model.position import Position
from cdcd.model.table import TableName
from cdcd.row.plan import Plan, Plans
from cdcd.row.transaction import Transaction
from tests.fixtures import recording

BATCH_TRANSACTIONS = 5_000
THEIR_CHANGES = 40_000

PlansByName = dict[TableName, Plan]


def keep_plans(registry: Plans, transactions: list[Transaction], plans: PlansByName) -> None:
    """See that every table of the transactions has its plan, as the daemon does before it merges."""
    for transaction in transactions:
        for table in transaction.tables:
            if registry.find(table) is None:
                registry.keep(table, plans[table.description.name])


async def make_plans(log: Recorded, chunks: list[bytes]) -> PlansByName:
    """Return the plan of every table in the recorded chunks."""
    decoder = Decoder(Position.parse(log.start))
    transactions = [transaction for chunk in chunks for transaction in decoder.feed(chunk)]
    plans = await recording.plan(log.source, transactions)
    found = {table.description.name: plans.find(table) for each in transactions for table in each.tables}
    return {name: plan for name, plan in found.items() if plan is not None}


class Decoding:
    """Takes chunks until the log's end, and counts what is in them."""

    def __init__(self, log: Recorded, plans: PlansByName | None) -> None:
        self._decoder, self._end = Decoder(Position.parse(log.start)), Position.parse(log.end)
        self._plans, self._registry = plans, Plans()
        self._batch = Batch(self._registry)
        self.transactions = self.events = self.rows = 0

    def take(self, chunk: memoryview) -> bool:
        """Decode a chunk, and merge what it completes if there are plans; return whether it was the last."""
        decoder = self._decoder
        transactions = decoder.feed(chunk)
        if decoder.failure is not None:
            raise decoder.failure
        self.transactions += len(transactions)
        self.events += sum(transaction.ref_count for transaction in transactions)
        if self._plans is not None:
            keep_plans(self._registry, transactions, self._plans)
            for transaction in transactions:
                self._merge(transaction)
        has_all = decoder.position == self._end
        if has_all:
            self.rows += self._batch.row_count
        return has_all

    def _merge(self, transaction: Transaction) -> None:
        if len(self._batch) == BATCH_TRANSACTIONS:
            self.rows += self._batch.row_count
            self._batch = Batch(self._registry)
        self._batch.add(transaction)


class Counting:
    """Takes chunks until so many bytes have come."""

    def __init__(self, size_bytes: int) -> None:
        self._missing = size_bytes

    def take(self, chunk: memoryview) -> bool:
        """Drop a chunk; return whether it was the last."""
        self._missing -= len(chunk)
        assert self._missing >= 0, "more came than the log holds"
        return not self._missing


async def _measure(log: Recorded, rounds: int) -> dict[str, Any]:
    chunks = await record_bytes(log.source, log.start, log.end)
    size_bytes = sum(map(len, chunks))
    plans = await make_plans(log, chunks)
    del chunks
    written = log.written

    async def median(make: Callable[[], Counting | Decoding]) -> dict[str, float]:
        timed, used = [], time.process_time()
        for _ in range(rounds):
            reader = make()
            timed.append(await pull(log.source, log.start, reader.take))
            if isinstance(reader, Decoding):
                assert written.transactions + 1 == reader.transactions  # The last row is one more.
                assert written.changes + 1 == reader.events
                assert reader.rows in (0, reader.events)
        seconds = statistics.median(timed)
        return {
            "seconds": seconds,
            "busy": (time.process_time() - used) / sum(timed),
            "changes_per_s": written.changes / seconds,
            "mb_per_s": size_bytes / 1e6 / seconds,
        }

    return {
        "size_bytes": size_bytes,
        **asdict(written),
        "raw": await median(lambda: Counting(size_bytes)),
        "decoded": await median(lambda: Decoding(log, None)),
        "merged": await median(lambda: Decoding(log, plans)),
    }


def _mysql_replication(log: Recorded, changes: int) -> dict[str, float]:
    """Time so many changes in the other reader; connecting to the server is not counted."""
    server = log.source
    reader = BinLogStreamReader(
        {"host": server.host, "port": server.port, "user": server.user, "passwd": server.password},
        server_id=SERVER_ID + 1,
        is_mariadb=True,
        auto_position=log.start,
        only_events=[WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent],
        blocking=True,
    )
    seen, began = 0, None
    try:
        for event in reader:
            began = began or time.perf_counter()
            seen += len(event.rows)
            if seen >= changes:
                break
        assert began is not None
        seconds = time.perf_counter() - began
    finally:
        reader.close()
    return {"seconds": seconds, "changes": seen, "changes_per_s": seen / seconds}


def run(quick: bool) -> dict[str, Any]:
    """Read one log in every way."""
    size = QUICK if quick else Sysbench()
    with recorded(size) as log:
        result = uvloop.run(_measure(log, 1 if quick else 5))
        result["mysql_replication"] = _mysql_replication(log, min(THEIR_CHANGES, size.changes) // (10 if quick else 1))
    raw, theirs = result["raw"], result["mysql_replication"]
    for name in ("decoded", "merged"):
        result[name]["of_raw"] = result[name]["changes_per_s"] / raw["changes_per_s"]
        result[name]["times_mysql_replication"] = result[name]["changes_per_s"] / theirs["changes_per_s"]
    return result


def describe(result: dict[str, Any]) -> list[str]:
    """One line for each way."""
    lines = [f"{result['changes']:,} changes in {result['size_bytes'] / 1e6:.1f} MB of log"]
    for name, label in (("raw", "raw pull"), ("decoded", "cdcd, decoded"), ("merged", "cdcd, every row merged")):
        way = result[name]
        rates = f"{way['changes_per_s']:12,.0f} changes/s {way['mb_per_s']:8.1f} MB/s"
        line = f"{label:24} {rates}  {way['busy']:4.0%} of a core"
        if "of_raw" in way:
            line += f"  {way['of_raw']:.2f} of raw  {way['times_mysql_replication']:.0f}x mysql-replication"
        lines.append(line)
    return [*lines, f"{'mysql-replication':24} {result['mysql_replication']['changes_per_s']:12,.0f} changes/s"]
