"""A COMMIT whose answer never came is unknown, not failed: the slot's row tells which."""

from __future__ import annotations

import asyncio

import pytest

from tests.fixtures import proxy
from tests.fixtures.daemon import until
from tests.fixtures.links import running, wait_until
from tests.system.conftest import a_link

TRACE = "CREATE TABLE trace (n INT) ENGINE=InnoDB"  # without a key: what is applied twice is there twice


@pytest.fixture
def target(west):
    """A proxy before the target."""
    with proxy.Proxy(west) as before:
        yield before


@pytest.mark.parametrize("moment", [proxy.BEFORE, proxy.AFTER])
async def test_a_commit_cut_off_is_applied_once(both, east, west, target, database, moment):
    """Whether the server ran it before the connection ended must not matter."""
    both(TRACE)
    async with running(a_link(database), east, target) as link:
        target.trap(b"COMMIT", moment)
        east.sql("INSERT INTO trace VALUES (1), (2)", database=database)
        await wait_until(target.sprung.is_set)
        east.sql("INSERT INTO trace VALUES (3)", database=database)
        await link.caught_up()
    assert [(1,), (2,), (3,)] == west.sql("SELECT * FROM trace ORDER BY n", database=database)


@pytest.mark.parametrize("released", [False, True])
async def test_a_commit_that_arrives_late_is_applied_once(both, east, west, target, database, released):
    """The old session may still hold its transaction when the next run begins: that run ends it, or waits for it."""
    both(TRACE)
    async with running(a_link(database), east, target) as link:
        target.trap(b"COMMIT", proxy.HELD)
        east.sql("INSERT INTO trace VALUES (1)", database=database)
        await wait_until(target.sprung.is_set)
        if released:
            await asyncio.to_thread(wait_for_lock, west)
            target.release()
        await link.caught_up()
        target.release()
        east.sql("INSERT INTO trace VALUES (2)", database=database)
        await link.caught_up()
    assert [(1,), (2,)] == west.sql("SELECT * FROM trace ORDER BY n", database=database)


@pytest.mark.parametrize("moment", [proxy.BEFORE, proxy.AFTER])
async def test_one_cut_commit_of_a_shared_batch_is_applied_once(both, east, west, target, database, moment):
    """Other writers' shares of the batch are committed; the next run applies exactly what is missing."""
    both("CREATE TABLE ledger (n INT PRIMARY KEY, copied INT) ENGINE=InnoDB")
    rows = "; ".join(f"INSERT INTO ledger VALUES ({n}, 0)" for n in range(1, 1000))
    async with running(a_link(database), east, target) as link:
        with west.connect(database=database) as lock:
            # While a first row waits for the table, a batch grows that is large enough for all writers.
            lock.cursor().execute("LOCK TABLES ledger WRITE")
            east.sql("INSERT INTO ledger VALUES (0, 0)", database=database)
            await wait_until(lambda: link.runner._pipeline.backlog.applying)
            await asyncio.to_thread(east.sql, rows, database=database)
            await wait_until(lambda: link.runner.stages["batch"]["rows_queued"] == 999)
            target.trap(b"COMMIT", moment, after=1)
            lock.cursor().execute("UNLOCK TABLES")
        await link.caught_up()
        assert target.sprung.is_set()
        assert (0, 0) == (link.careful, link.runner.conflicts)
    assert [(1000,)] == west.sql("SELECT COUNT(*) FROM ledger", database=database)


def wait_for_lock(server):
    """Wait until a session waits for the slot's row."""
    waits = "SELECT 1 FROM information_schema.processlist WHERE info LIKE '%checkpoint%FOR UPDATE' AND time_ms > 100"
    until(lambda: server.sql(waits))
