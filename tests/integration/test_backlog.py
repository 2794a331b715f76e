"""What is read and not applied is bounded: while the target does not take it, the source waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest

from cdcd.apply import dispatcher
from cdcd.mysql.stream import CHUNK_BYTES, ROOM_BYTES_MIN
from tests.fixtures.links import Both, RunningLink, running, wait_until

KIB = 1024
TRANSACTIONS, ROW_BYTES = 60, 200 * KIB
HEARTBEAT_BYTES = 50


def held(link: RunningLink) -> Any:
    """Return how much is read and not applied."""
    return link.runner.stages["batch"]["bytes_held"]


def is_full(link: RunningLink) -> bool:
    """Return whether as much has arrived as is taken off the socket while nothing is read."""
    return link.runner.stages["source"]["bytes_queued"] >= CHUNK_BYTES - ROOM_BYTES_MIN


@asynccontextmanager
async def stalled(both: Both, **changes: Any) -> AsyncIterator[tuple[RunningLink, Any]]:
    """Run a link whose target has locked the first row, and whose source has written far more than may be held."""
    both.both("CREATE TABLE t (id INT PRIMARY KEY, body MEDIUMTEXT); INSERT INTO t VALUES (0, 'free')")
    with closing(both.target.connect(database=both.database, autocommit=False)) as other:
        other.cursor().execute("UPDATE t SET body = 'held' WHERE id = 0")
        async with running(both.link(**changes), both.source, both.target) as link:
            both.only_source("UPDATE t SET body = 'changed' WHERE id = 0")
            await wait_until(lambda: link.runner.stages["apply"]["rows_queued"])
            await asyncio.to_thread(
                both.only_source,
                "".join(f"INSERT INTO t VALUES ({n}, REPEAT('x', {ROW_BYTES}));" for n in range(1, TRANSACTIONS + 1)),
            )
            yield link, other


@pytest.mark.parametrize(
    ("bounds", "most"),
    [
        ({"queue_bytes_max": 512 * KIB}, 512 * KIB),
        ({"batch_bytes_max": 512 * KIB}, 512 * KIB),
        ({"batch_transactions_max": 3}, 3 * ROW_BYTES),
    ],
    ids=str,
)
async def test_a_stalled_target_stops_the_reading(both: Both, bounds: dict[str, int], most: int) -> None:
    """One chunk may pass the bound, the socket's buffers fill, and the source waits; nothing is lost by it."""
    async with stalled(both, **bounds) as (link, other):
        await wait_until(lambda: is_full(link))
        assert held(link) <= most + CHUNK_BYTES
        assert link.runner.stages["source"]["bytes_read"] < TRANSACTIONS * ROW_BYTES / 2
        other.rollback()
        await link.caught_up()
    both.assert_equal("t")


async def test_status_names_a_target_that_stalls(both: Both) -> None:
    """The stage that stands still is busy all the while, and the one before it blocked; neither looks idle."""
    async with stalled(both, batch_transactions_max=3) as (link, other):
        await wait_until(lambda: is_full(link))
        before = link.runner.stages
        for stage, figure in (("apply", "seconds_busy"), ("batch", "seconds_blocked"), ("source", "seconds_blocked")):
            await wait_until(lambda at=(stage, figure): link.runner.stages[at[0]][at[1]] > before[at[0]][at[1]] > 0)
        assert before["apply"]["seconds_waiting"] == link.runner.stages["apply"]["seconds_waiting"]
        other.rollback()
        await link.caught_up()


async def test_a_bound_that_is_raised_while_the_target_stalls_lets_the_reading_go_on(both: Both) -> None:
    """An operator who has memory to give must not have to wait for the target before it is used."""
    async with stalled(both, queue_bytes_max=512 * KIB) as (link, other):
        await wait_until(lambda: is_full(link))
        link.runner.reload(both.link(name=link.runner.name))
        await wait_until(lambda: held(link) > TRANSACTIONS * ROW_BYTES)
        other.rollback()
        await link.caught_up()
    both.assert_equal("t")


async def test_writers_that_are_taken_away_while_a_batch_waits_leave_nothing_out(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch that waits is split already, among as many writers as there were; the next must not be."""
    writers = []

    async def apply(self: Any, *batch: Any, of: Any = dispatcher.Dispatcher.apply, **progress: Any) -> Any:
        writers.append(len(self.writers))
        return await of(self, *batch, **progress)

    monkeypatch.setattr(dispatcher.Dispatcher, "apply", apply)
    monkeypatch.setattr(dispatcher, "ROWS_PER_WRITER_MIN", 1)
    async with stalled(both, batch_transactions_max=8) as (link, other):
        await wait_until(lambda: is_full(link))
        link.runner.reload(both.link(name=link.runner.name, batch_transactions_max=8, writers=1))
        assert link.pipeline.backlog.batch.is_split
        other.rollback()
        await link.caught_up()
        assert 1 == link.runner.stages["apply"]["writers"]
        assert {1} == set(writers[2:])
    both.assert_equal("t")


async def test_a_drain_of_a_full_backlog_applies_what_was_read_and_no_more(both: Both) -> None:
    """The position says exactly what is there, so the next run goes on after it."""
    async with stalled(both, queue_bytes_max=512 * KIB) as (link, other):
        await wait_until(lambda: is_full(link))
        link.runner.drain()
        other.rollback()
        assert await link.stopped() is None
    [(applied,)] = both.on_target("SELECT COUNT(*) - 1 FROM t")
    assert applied == link.runner.transactions - 1
    assert 0 < applied < TRANSACTIONS
    async with running(link.runner.link, both.source, both.target) as again:
        await again.caught_up()
    both.assert_equal("t")


async def test_a_heartbeat_writes_no_position_behind_what_waits_for_the_target(both: Both) -> None:
    """A schema change is in no batch and in no open transaction while the target keeps it waiting."""
    both.both("CREATE TABLE t (id INT PRIMARY KEY)")
    with closing(both.target.connect(database=both.database, autocommit=False)) as other:
        other.cursor().execute("SELECT * FROM t")
        link = both.link(ddl=True, heartbeat_seconds=0.1, exclude=(f"{both.database}.other",))
        async with running(link, both.source, both.target) as running_link:
            # Both arrive in one chunk: what is passed over makes the next heartbeat write.
            both.only_source("CREATE TABLE other (id INT); INSERT INTO other VALUES (1); ALTER TABLE t ADD v INT")
            await wait_until(lambda: altering(both))
            queued = running_link.runner.stages["source"]["bytes_queued"]
            await wait_until(
                lambda: running_link.runner.stages["source"]["bytes_queued"] > queued + 10 * HEARTBEAT_BYTES
            )
            [(positions,)] = both.target.sql(
                f"SELECT GROUP_CONCAT(position) FROM cdcd.checkpoint WHERE link = '{link.name}'"
            )
            [(logged,)] = both.source.sql("SELECT @@GLOBAL.gtid_binlog_pos")
            assert logged.encode() not in positions.split(b",")
            other.rollback()
            await running_link.caught_up()
    assert ["id", "v"] == [row[0] for row in both.on_target("DESCRIBE t")]


def altering(both: Both) -> list[tuple[Any, ...]]:
    """Return the target's statements that wait for a table."""
    return both.on_target(
        "SELECT id FROM information_schema.processlist WHERE state = 'Waiting for table metadata lock'"
        " AND info LIKE 'ALTER%'"
    )
