"""A statement whose time the log does not tell runs where its time does not matter; else the link stops."""

from __future__ import annotations

import random
import threading
from contextlib import suppress

import pytest
from pymysql.err import MySQLError

from cdcd.errors import UnsupportedEvent
from tests.fixtures.active_pair import announcements, contents
from tests.fixtures.interrupted import interrupt
from tests.fixtures.links import running
from tests.fixtures.sites import one_way

DEADLINE_TRIES = 60
NO_TIME = "SET timestamp = 0.5; "
CHANGES = ["CREATE TABLE w (id INT PRIMARY KEY, ts TIMESTAMP)", "ALTER TABLE t ADD c INT DEFAULT 5", "DROP TABLE u"]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_without_a_time_runs_and_does_not_come_back(alterable, database, change):
    """It runs at the target's time, which is announced like any other."""
    east, west = alterable
    async with (
        running(one_way(database, "forward"), east, west) as run,
        running(one_way(database, "reverse"), west, east) as back,
    ):
        east.sql(NO_TIME + change, database=database)
        await run.caught_up()
        await back.caught_up()
        assert 1 == back.runner.figures.suppressed_ddl
    assert contents(east, database) == contents(west, database)


async def test_a_run_after_a_crash_takes_the_time_that_was_announced(alterable, database):
    """The reverse link then meets the very statement that it was told of."""
    east, west = alterable
    forward, reverse = one_way(database, "forward"), one_way(database, "reverse")
    at = f"SELECT announced_at FROM cdcd.ddl WHERE link = '{forward.name}'"
    async with running(reverse, west, east) as back:
        await interrupt(forward, east, west, database, NO_TIME + "ALTER TABLE t ADD c INT DEFAULT 5")
        announced = west.sql(at)
        async with running(forward, east, west) as run:
            await run.caught_up()
            await back.caught_up()
            assert 1 == back.runner.figures.suppressed_ddl
    assert announced == west.sql(at)
    assert 0 == announcements(east, back)
    assert contents(east, database) == contents(west, database)


async def test_a_change_that_may_depend_on_its_time_stops_the_link(alterable, database):
    """Rows would get another time than the source's."""
    east, west = alterable
    async with running(one_way(database, "forward"), east, west) as run:
        east.sql(NO_TIME + "ALTER TABLE t ADD c DATETIME DEFAULT NOW()", database=database)
        error = await run.stopped()
    assert isinstance(error, UnsupportedEvent)
    assert "may depend on its time" in str(error)
    assert "cdcd skip --link" in str(error)


RECOVERED = "SET pseudo_thread_id = 0, timestamp = 0.5, @@sql_mode = DEFAULT; "  # As a server logs in its recovery.


@pytest.mark.parametrize(
    ("change", "unknown"),
    [
        ('ALTER TABLE t ADD c VARCHAR(9) DEFAULT "x"', "sql_mode"),
        ("ALTER TABLE t ADD c VARCHAR(9) DEFAULT 'a\\\\b'", "sql_mode"),
        ("ALTER TABLE t ADD `é` INT", "character_set_client"),
        ("ALTER TABLE t ADD n BIGINT AUTO_INCREMENT UNIQUE", "auto_increment_increment"),
        ("ALTER TABLE t ADD c TIMESTAMP DEFAULT '2020-01-01'", "its time"),
    ],
)
async def test_a_change_logged_in_recovery_does_not_run_under_settings_that_are_not_its_own(
    alterable, database, change, unknown
):
    """The log has the server's settings in their place; what they may change is for somebody to do by hand."""
    east, west = alterable
    async with running(one_way(database, "forward"), east, west) as run:
        east.sql(RECOVERED + change, database=database)
        error = await run.stopped()
    assert isinstance(error, UnsupportedEvent)
    assert unknown in str(error)
    assert "cdcd skip --link" in str(error)


async def test_a_change_logged_in_recovery_is_carried(alterable, database):
    """Most depend on no setting."""
    east, west = alterable
    async with running(one_way(database, "forward"), east, west) as run:
        east.sql(RECOVERED + "ALTER TABLE t ADD c VARCHAR(9) DEFAULT 'x', ADD INDEX (c)", database=database)
        await run.caught_up()
    assert contents(east, database) == contents(west, database)


async def test_a_change_that_the_target_logged_in_its_recovery_does_not_come_back(alterable, database):
    """It may be the one that cdcd ran there when the server crashed: run again, it could drop a later table."""
    east, west = alterable
    async with running(one_way(database, "forward"), east, west):
        pass
    west.sql(
        "INSERT INTO cdcd.ddl (link, gtid, origin, verb, objects, digest, state_before, session, announced_at)"
        f" VALUES ('{database}_forward', '0-1-1', 'east', 'DROP TABLE', '{database}\tt', '', 'state', 7, NOW(6))"
    )
    async with running(one_way(database, "reverse"), west, east) as back:
        west.sql(RECOVERED + "DROP TABLE t", database=database)
        error = await back.stopped()
    assert isinstance(error, UnsupportedEvent)
    assert f"nothing tells whether it is the one that link {database}_forward ran there" in str(error)
    assert [(1,)] == east.sql("SELECT id FROM t", database=database)


@pytest.mark.storm
async def test_a_change_that_a_crash_of_the_source_cut_off_is_carried(server_factory, west, database):
    """The source logs it at the next start, under no session and without a time."""
    east = server_factory()
    east.sql(f"CREATE DATABASE {database}")
    for server in (east, west):
        server.sql("CREATE TABLE t (id INT PRIMARY KEY, n INT); INSERT INTO t VALUES (1, 1)", database=database)
    forward = one_way(database, "forward")
    async with running(forward, east, west) as run:
        await run.caught_up()
    for number in range(DEADLINE_TRIES):
        if altered_by_recovery(east, database, number):
            break
    else:
        pytest.fail(f"no crash of {DEADLINE_TRIES} came between the change and its place in the log")
    async with running(forward, east, west) as run:
        await run.caught_up()
    assert contents(east, database) == contents(west, database)


def altered_by_recovery(server, database, number) -> bool:
    """Kill a server within an ALTER TABLE, start it again, and return whether it has logged one by itself."""

    def alter() -> None:
        with suppress(MySQLError), server.connect(database=database, autocommit=True) as session:
            with session.cursor() as cursor:
                for n in range(10_000):
                    cursor.execute(f"ALTER TABLE t ADD COLUMN x{number}_{n} INT DEFAULT 5, ADD INDEX i{n} (n)")
                    cursor.execute(f"ALTER TABLE t DROP INDEX i{n}, DROP COLUMN x{number}_{n}")

    altering = threading.Thread(target=alter)
    altering.start()
    altering.join(0.3 + random.random() / 5)
    server.kill()
    altering.join()
    server.start()
    [(last, *_)] = server.sql("SHOW BINARY LOGS")[-1:]
    return any("ALTER TABLE" in event[5] for event in server.sql(f"SHOW BINLOG EVENTS IN '{last}'"))
