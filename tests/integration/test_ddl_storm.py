"""Schema changes of both sides, under writes of both sides, with links that end at any moment."""

from __future__ import annotations

import asyncio
import random
from itertools import count

import pytest

from tests.fixtures.active_pair import ActivePair
from tests.fixtures.interrupted import crash
from tests.fixtures.links import running
from tests.fixtures.sites import one_way

SECONDS = 20
OWN = "CREATE TABLE {0} (id INT PRIMARY KEY AUTO_INCREMENT, v INT, at TIMESTAMP(6) NULL)"


def changes(table):
    """Yield statements about a table that one side alone writes to: whatever a schema change can do to rows."""
    for n in count():
        yield f"ALTER TABLE {table} ADD c{n} DATETIME(6) NOT NULL DEFAULT NOW(6)"
        yield f"ALTER TABLE {table} ADD n{n} BIGINT AUTO_INCREMENT UNIQUE, MODIFY id INT"
        yield f"/* {n} */ RENAME TABLE {table} TO {table}_x, {table}_2 TO {table}, {table}_x TO {table}_2"
        yield f"ALTER TABLE {table} ADD UNIQUE u{n} (id, v)"
        yield f"SET STATEMENT max_statement_time = 100 FOR TRUNCATE {table}"
        yield f"CREATE OR REPLACE TABLE {table}_2 LIKE {table}"
        yield f"CREATE TABLE {table}_{n}n SELECT * FROM {table}"
        yield f"DROP TABLE {table}_{n}n"


def work(server, database, seed, ends):
    """Write rows and change tables until it ends; ids of the two sides never meet."""
    choose, own = random.Random(seed), f"t{seed}"
    statements, ids = changes(own), count(seed, 2)
    with server.connect(database=database) as session, session.cursor() as cursor:
        for n in count():
            if ends.is_set():
                return
            cursor.execute(f"INSERT INTO both_write (id, v) VALUES ({next(ids)}, {n})")
            cursor.execute(f"INSERT INTO {choose.choice([own, own + '_2'])} (id, v) VALUES ({next(ids)}, {n})")
            if choose.random() < 0.1:
                cursor.execute(next(statements))
            if seed and choose.random() < 0.02:
                cursor.execute(f"ALTER TABLE both_write ADD s{n} INT NOT NULL DEFAULT {n}, ADD INDEX (s{n})")


async def keep_running(link, source, target, choose, ends):
    """Run a link again and again, each time for a short while, and end it at once."""
    while not ends.is_set():
        async with running(link, source, target) as run:
            await asyncio.sleep(choose.random())
            if run.task.done():
                await run.task
            await crash(run)


@pytest.mark.storm
async def test_both_sides_end_equal(east, west, database):
    """A column that both sides fill, a swap, a TRUNCATE: each runs once, at its place among the rows."""
    for server in (east, west):
        for table in ("t0", "t0_2", "t1", "t1_2"):
            server.sql(OWN.format(table), database=database)
        server.sql("CREATE TABLE both_write (id INT PRIMARY KEY, v INT)", database=database)
    forward, reverse = one_way(database, "forward"), one_way(database, "reverse")
    for each, source, target in ((forward, east, west), (reverse, west, east)):
        async with running(each, source, target):
            pass  # It has its place in the log, so that nothing comes before it.
    ends, choose = asyncio.Event(), random.Random(database)
    async with asyncio.TaskGroup() as group:
        for seed, server in enumerate((east, west)):
            group.create_task(asyncio.to_thread(work, server, database, seed, ends))
        group.create_task(keep_running(forward, east, west, choose, ends))
        group.create_task(keep_running(reverse, west, east, choose, ends))
        await asyncio.sleep(SECONDS)
        ends.set()
    async with running(forward, east, west) as there, running(reverse, west, east) as back:
        pair = ActivePair(there, back, east, west, database)
        await pair.quiet()
        here, there_too = pair.sides()
        assert min(pair.announced()) > 0
    assert here == there_too
