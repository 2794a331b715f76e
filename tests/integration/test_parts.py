"""A transaction in parts: one part is applied while the next is read, and whatever ends it leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest

from cdcd.errors import ApplyFailed, Fenced
from cdcd.source.contract import Chunk
from cdcd.source.stream import BinlogStream
from tests.fixtures.links import Both, RunningLink, running, wait_until

KIB = 1024
ROWS, HELD = 40_000, 100  # held in the first part
PARTS = {"transaction_bytes_max": 64 * KIB, "writers": 2}
SOON_SECONDS = 20  # A drain that hangs is cut off later than this.
LARGE = f"INSERT INTO t SELECT seq, REPEAT('x', 250) FROM seq_1_to_{ROWS}"


@pytest.fixture
def table(both: Both) -> Both:
    """An empty table on both sides."""
    both.both("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(300))")
    return both


@asynccontextmanager
async def waiting(both: Both) -> AsyncIterator[tuple[RunningLink, Any]]:
    """Run a link of which a part waits for a row that a session of the target holds."""
    with closing(both.target.connect(database=both.database, autocommit=False)) as other:
        other.cursor().execute(f"INSERT INTO t VALUES ({HELD}, 'held')")
        async with running(both.link(**PARTS), both.source, both.target) as link:
            await asyncio.to_thread(both.only_source, LARGE)
            await wait_until(lambda: waits(both))
            yield link, other


def waits(both: Both) -> bool:
    """Return whether a transaction of the target waits for a lock."""
    return [("Innodb_row_lock_current_waits", "0")] != both.on_target(
        "SHOW STATUS LIKE 'Innodb_row_lock_current_waits'"
    )


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Let a source say nothing more once a part was read; set when that is waited for."""
    reached, read = asyncio.Event(), BinlogStream.read
    seen: list[Chunk] = []

    async def first_part(stream: BinlogStream) -> Chunk:
        if seen:
            reached.set()
            await asyncio.get_running_loop().create_future()
        chunk = await read(stream)
        if chunk.transactions and not chunk.transactions[-1].complete:
            seen.append(chunk)
            chunk.transactions[:] = [each for each in chunk.transactions if each.part == 0]
        return chunk

    monkeypatch.setattr(BinlogStream, "read", first_part)
    return reached


async def test_a_drain_between_two_parts_leaves_all_of_it_to_the_next_run(table: Both) -> None:
    """Its rest is not waited for, and the part that the target is busy with must not stay."""
    async with waiting(table) as (link, other):
        link.runner.drain()
        other.rollback()
        assert await link.stopped(SOON_SECONDS) is None
        assert 0 == link.runner.transactions
    assert [(0,)] == table.on_target("SELECT COUNT(*) FROM t")
    async with running(link.runner.link, table.source, table.target) as again:
        await again.caught_up()
        assert (1, 0) == (again.runner.transactions, again.runner.conflicts)
    table.assert_equal("t")


async def test_a_drain_while_the_source_is_silent_between_two_parts_ends_the_link(
    table: Both, silent: asyncio.Event
) -> None:
    """What was read of it may already be applied, and nothing else is under way."""
    async with running(table.link(**PARTS), table.source, table.target) as link:
        table.only_source(LARGE)
        await silent.wait()
        link.runner.drain()
        assert await link.stopped(SOON_SECONDS) is None
    assert [(0,)] == table.on_target("SELECT COUNT(*) FROM t")


async def test_a_source_that_is_lost_while_a_part_is_applied_sends_it_again(
    table: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part is undone with those before it, however late the target is done with it."""
    lost, read = asyncio.Event(), BinlogStream.read
    parts: list[Chunk] = []

    async def cut_after_a_part(stream: BinlogStream) -> Chunk:
        if not parts:
            chunk = await read(stream)
            if chunk.transactions and not chunk.transactions[-1].complete:
                parts.append(chunk)
                del chunk.transactions[1:]
            return chunk
        if not lost.is_set():
            await wait_until(lambda: waits(table))
            # What has arrived goes with the connection.
            assert stream._stream is not None
            with stream._stream.taken():
                pass
            stream._stream.close()
            lost.set()
        return await read(stream)

    monkeypatch.setattr(BinlogStream, "read", cut_after_a_part)
    async with waiting(table) as (link, other):
        await lost.wait()
        pipeline = link.runner._pipeline
        await wait_until(lambda: link.runner.stages["source"]["reconnects"])
        other.rollback()
        await link.caught_up()
        assert (1, 0) == (link.runner.transactions, link.runner.conflicts)
        assert (pipeline, 1) == (link.runner._pipeline, link.runner.stages["source"]["reconnects"])
    table.assert_equal("t")


async def test_a_target_that_is_lost_while_a_part_is_applied_gets_it_again(table: Both) -> None:
    """Nobody waits for the part at that moment: its end must end the run all the same."""
    async with waiting(table) as (link, other):
        pipeline = link.pipeline
        table.only_target(f"KILL {link.writers[0].session.thread_id}")
        await wait_until(lambda: link.runner._pipeline is not pipeline)
        other.rollback()
        await link.caught_up()
        assert (1, 0) == (link.runner.transactions, link.runner.conflicts)
    table.assert_equal("t")


@pytest.mark.parametrize("drains", [False, True], ids=["runs", "drains"])
async def test_a_part_that_is_refused_stops_the_link_while_the_source_is_silent(
    table: Both, silent: asyncio.Event, drains: bool
) -> None:
    """The reading waits for the next part then, for as long as the source likes."""
    table.only_target("ALTER TABLE t PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (5))")
    async with running(table.link(**PARTS), table.source, table.target) as link:
        table.only_source(LARGE)
        if drains:
            await silent.wait()
            link.runner.drain()
        assert isinstance(await link.stopped(SOON_SECONDS), ApplyFailed)
    assert [(0,)] == table.on_target("SELECT COUNT(*) FROM t")


@pytest.mark.parametrize("statement", [LARGE, "ALTER TABLE t ADD w INT"], ids=["parts", "schema change"])
async def test_a_run_whose_row_was_taken_begins_nothing(table: Both, statement: str) -> None:
    """What takes more than one packet has its marker by itself; refused, it must say why."""
    async with running(table.link(ddl=True, **PARTS), table.source, table.target) as link:
        table.only_source("INSERT INTO t VALUES (0, 'before')")
        await link.caught_up()
        table.target.sql(f"UPDATE cdcd.checkpoint SET epoch = epoch + 1 WHERE link = '{link.runner.name}'")
        logged = table.target.binlog_position()
        table.only_source(statement)
        assert isinstance(await link.stopped(SOON_SECONDS), Fenced)
    assert logged == table.target.binlog_position()
