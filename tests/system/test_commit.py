"""A COMMIT whose answer never came is unknown, not failed: the slot's row tells which.

A small partition is committed in the packet that holds it, a large one by a packet of its own; both ways lose it here.
"""

from __future__ import annotations

import asyncio

import pytest

from cdcd.apply.sql import writer
from tests.fixtures import proxy
from tests.fixtures.daemon import until
from tests.fixtures.links import running, wait_until
from tests.fixtures.sites import a_link

TRACE = "CREATE TABLE trace (n INT) ENGINE=InnoDB"  # without a key: what is applied twice is there twice


@pytest.fixture
def target(west):
    """A proxy before the target."""
    with proxy.Proxy(west) as before:
        yield before


@pytest.fixture(autouse=True)
def far(monkeypatch):
    """Take the target for one that is far away: COMMIT then goes with few rows, in their packet."""
    monkeypatch.setattr(writer, "FAR_SECONDS", 0)


MANY = 60_000
ROWS = pytest.mark.parametrize("rows", [2, MANY])
"""Few rows are committed in their packet; COMMIT has a packet of its own where there are many."""


def is_one_packet(rows):
    """Return whether so many rows leave together with their COMMIT."""
    return rows < MANY


async def known(link, east, database):
    """Carry a first row: only then is it known that the target's table is what it was."""
    east.sql("INSERT INTO trace VALUES (-1)", database=database)
    await link.caught_up()


@ROWS
@pytest.mark.parametrize("moment", [proxy.BEFORE, proxy.AFTER])
async def test_a_commit_cut_off_is_applied_once(both, east, west, target, database, moment, rows):
    """Whether the server ran it before the connection ended must not matter."""
    both(TRACE)
    async with running(a_link(database), east, target) as link:
        await known(link, east, database)
        target.trap(b"COMMIT", moment)
        east.sql(f"INSERT INTO trace SELECT seq FROM seq_1_to_{rows}", database=database)
        await wait_until(target.sprung.is_set)
        assert is_one_packet(rows) == (target.lost_with != b"COMMIT")
        east.sql("INSERT INTO trace VALUES (0)", database=database)
        await link.caught_up()
    assert [(n,) for n in range(-1, rows + 1)] == west.sql("SELECT * FROM trace ORDER BY n", database=database)


@ROWS
@pytest.mark.parametrize("released", [False, True])
async def test_a_commit_that_arrives_late_is_applied_once(both, east, west, target, database, released, rows):
    """The old session may still hold its transaction when the next run begins: that run ends it, or waits for it."""
    both(TRACE)
    async with running(a_link(database), east, target) as link:
        await known(link, east, database)
        session = link.writers[0].session.thread_id
        target.trap(b"COMMIT", proxy.HELD)
        east.sql(f"INSERT INTO trace SELECT seq FROM seq_1_to_{rows}", database=database)
        await wait_until(target.sprung.is_set)
        assert is_one_packet(rows) == (target.lost_with != b"COMMIT")
        if released:
            if not is_one_packet(rows):  # The old session has the marker's row; of one packet nothing has run.
                await asyncio.to_thread(wait_for_lock, west)
            target.release()
        await link.caught_up()
        target.release()
        east.sql("INSERT INTO trace VALUES (0)", database=database)
        await link.caught_up()
        await asyncio.to_thread(wait_for_end, west, session)
    assert [(n,) for n in range(-1, rows + 1)] == west.sql("SELECT * FROM trace ORDER BY n", database=database)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("moment", [proxy.BEFORE, proxy.AFTER])
async def test_one_cut_commit_of_a_shared_batch_is_applied_once(both, east, west, target, database, moment):
    """Other writers' partitions of the batch are committed; the next run applies exactly what is missing."""
    both("CREATE TABLE ledger (n INT PRIMARY KEY, copied INT) ENGINE=InnoDB")
    rows = "; ".join(f"INSERT INTO ledger VALUES ({n}, 0)" for n in range(1, 1000))
    async with running(a_link(database), east, target) as link:
        with west.connect(database=database) as lock:
            # While a first row waits for the table, a batch grows that is large enough for all writers.
            lock.cursor().execute("LOCK TABLES ledger WRITE")
            east.sql("INSERT INTO ledger VALUES (0, 0)", database=database)
            await wait_until(lambda: link.pipeline.backlog.applying)
            await asyncio.to_thread(east.sql, rows, database=database)
            await wait_until(lambda: link.runner.stages["batch"]["rows_queued"] == 999)
            target.trap(b"COMMIT", moment, after=1)
            lock.cursor().execute("UNLOCK TABLES")
        await link.caught_up()
        assert target.sprung.is_set()
        assert (0, 0) == (link.row_by_row, link.runner.conflicts)
    assert [(1000,)] == west.sql("SELECT COUNT(*) FROM ledger", database=database)


def wait_for_lock(server):
    """Wait until a session waits for the slot's row."""
    waits = "SELECT 1 FROM information_schema.processlist WHERE info LIKE '%checkpoint%FOR UPDATE' AND time_ms > 100"
    until(lambda: server.sql(waits))


def wait_for_end(server, session):
    """Wait until a session has done what it was sent, and is gone."""
    until(lambda: not server.sql(f"SELECT 1 FROM information_schema.processlist WHERE id = {session}"))
