"""A schema change runs once, wherever a run of a link ends."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from cdcd.apply.sql import schema_change
from cdcd.errors import ApplyFailed, UnsupportedEvent
from tests.fixtures.active_pair import announcements, contents
from tests.fixtures.interrupted import checkpoint_held, crash, interrupt, unchangeable, waiting
from tests.fixtures.links import running, wait_until
from tests.fixtures.sites import one_way

CHANGES = {
    "alter": "ALTER TABLE t ADD c INT DEFAULT 5",
    "index": "ALTER TABLE t ADD INDEX (v)",
    "truncate": "TRUNCATE TABLE t",
    "truncate_within_settings": "SET STATEMENT max_statement_time = 100 FOR TRUNCATE TABLE t",
    "swap": "RENAME TABLE t TO x, u TO t, x TO u",
    "swap_after_a_comment": "/* swap */ RENAME TABLE t TO x, u TO t, x TO u",
    "drop": "DROP TABLE t",
    "replace": "CREATE OR REPLACE TABLE t LIKE u",
    "create_select": "CREATE TABLE w (PRIMARY KEY (id)) SELECT * FROM t",
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_that_was_announced_and_not_run_runs_once(alterable, database, change):
    """The statement of the earlier run may still wait for a lock when the next run begins: it must not run too."""
    east, west = alterable
    forward, reverse = one_way(database, "forward"), one_way(database, "reverse")
    async with running(reverse, west, east) as back:
        with unchangeable(west, database, "w" if change == "create_select" else "t"):
            async with running(forward, east, west) as run:
                east.sql(CHANGES[change], database=database)
                await wait_until(lambda: waiting(west))
                [(first,)] = waiting(west)
                await crash(run)
            async with running(forward, east, west) as run:
                await wait_until(lambda: [row for row in waiting(west) if row != (first,)])
                assert [(first,)] != waiting(west)
                await crash(run)
        async with running(forward, east, west) as run:
            await run.caught_up()
            west.sql("INSERT INTO u VALUES (7, 'west')", database=database)
            await back.caught_up()
            await run.caught_up()
            assert 1 == back.runner.figures.suppressed_ddl
    assert 0 == announcements(east, back)
    assert contents(east, database) == contents(west, database)


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_that_ran_before_its_position_was_written_is_not_run_again(alterable, database, change):
    """Rows that the target's applications write after it must survive."""
    east, west = alterable
    forward, reverse = one_way(database, "forward"), one_way(database, "reverse")
    async with running(reverse, west, east) as back:
        with ExitStack() as later:
            async with running(forward, east, west) as run:
                with unchangeable(west, database, "w" if change == "create_select" else "t"):
                    before = contents(west, database)
                    east.sql(CHANGES[change], database=database)
                    await wait_until(lambda: waiting(west))
                    later.enter_context(checkpoint_held(west, forward.name))
                # The statement has run once the reverse link has dropped it.
                await wait_until(lambda: back.runner.figures.suppressed_ddl)
                await crash(run)
        assert before != contents(west, database)
        if change != "drop":
            west.sql("INSERT INTO t (id, v) VALUES (8, 'west')", database=database)
        async with running(forward, east, west) as run:
            await run.caught_up()
            await back.caught_up()
            await run.caught_up()
            assert 1 == back.runner.figures.suppressed_ddl
    assert (1, 0) == (announcements(west, run), announcements(east, back))
    assert contents(east, database) == contents(west, database)


async def test_a_reverse_link_that_begins_between_announcement_and_statement_drops_it(alterable, database):
    """What is announced before the place where reading begins is read from the table."""
    east, west = alterable
    forward, reverse = one_way(database, "forward"), one_way(database, "reverse")
    async with running(forward, east, west) as run:
        async with running(reverse, west, east) as back:
            with unchangeable(west, database, "t"):
                east.sql("TRUNCATE TABLE t", database=database)
                await wait_until(lambda: waiting(west))
                west.sql("INSERT INTO u VALUES (7, 'west')", database=database)
                await back.caught_up()
                await wait_until(lambda: back.runner.transactions == 1)
                await crash(back)
        await run.caught_up()
        async with running(reverse, west, east) as back:
            await back.caught_up()
            await run.caught_up()
            assert 1 == back.runner.figures.suppressed_ddl
    assert 0 == announcements(east, back)
    assert contents(east, database) == contents(west, database)


@pytest.mark.parametrize("change", ["ALTER TABLE t DROP v, ADD v VARCHAR(9)", "DROP TABLE t, u"])
async def test_a_change_that_may_leave_no_trace_is_not_guessed(alterable, database, change):
    """A statement that ended at an unknown place is neither run twice nor taken for done."""
    east, west = alterable
    forward = one_way(database, "forward")
    await interrupt(forward, east, west, database, change, table="u" if "DROP TABLE" in change else "t")
    if "DROP TABLE" in change:  # As a server does that is killed between two tables of a list.
        west.sql("DROP TABLE t", database=database)
    async with running(forward, east, west) as run:
        error = await run.stopped()
    assert isinstance(error, UnsupportedEvent)
    assert f"DELETE FROM cdcd.ddl WHERE link = '{database}_forward' AND gtid = '" in str(error)
    assert f"cdcd skip --link {database}_forward --gtid " in str(error)


async def test_a_truncate_is_not_guessed_by_an_account_that_sees_no_table_ids(alterable, database, monkeypatch):
    """Without PROCESS nothing tells an emptied table from one that is still to be emptied."""

    async def hidden(*_):
        return []

    monkeypatch.setattr(schema_change, "_identity", hidden)
    east, west = alterable
    forward = one_way(database, "forward")
    await interrupt(forward, east, west, database, "TRUNCATE TABLE t")
    async with running(forward, east, west) as run:
        error = await run.stopped()
    assert isinstance(error, UnsupportedEvent)
    assert [(1,)] == west.sql("SELECT id FROM t", database=database)


async def test_a_refused_change_stops_the_link_and_says_the_ways_out(alterable, database):
    """What the target cannot do is for somebody to decide."""
    east, west = alterable
    async with running(one_way(database, "forward"), east, west) as run:
        west.sql("INSERT INTO t VALUES (2, 't')", database=database)
        east.sql("ALTER TABLE t ADD UNIQUE (v)", database=database)
        error = await run.stopped()
    assert isinstance(error, ApplyFailed)
    assert "Duplicate entry" in str(error)
    assert f"cdcd skip --link {database}_forward --gtid " in str(error)


async def test_an_announcement_of_before_a_restart_hides_no_statement_of_an_application(alterable, database):
    """A server that starts again gives its connection numbers to others."""
    east, west = alterable
    async with running(one_way(database, "forward"), east, west):
        pass
    with west.connect(database=database) as session, session.cursor() as cursor:
        cursor.execute(
            "INSERT INTO cdcd.ddl (link, gtid, origin, verb, objects, digest, state_before, session, announced_at)"
            f" VALUES ('{database}_forward', '0-1-1', 'east', 'TRUNCATE TABLE', '{database}\tt', '', 'state',"
            " CONNECTION_ID(), NOW(6) - INTERVAL 5 SECOND)"
        )
        async with running(one_way(database, "reverse"), west, east) as back:
            cursor.execute("TRUNCATE TABLE t")
            await back.caught_up()
    assert [] == east.sql("SELECT id FROM t", database=database)


async def test_inserts_on_the_target_do_not_make_a_change_look_done(alterable, database):
    """The next AUTO_INCREMENT value is part of a definition, and moves while the link does not run."""
    east, west = alterable
    for server in alterable:
        server.sql("CREATE TABLE a (id INT PRIMARY KEY AUTO_INCREMENT)", database=database)
    forward = one_way(database, "forward")
    await interrupt(forward, east, west, database, "ALTER TABLE a ADD c INT", table="a")
    west.sql("INSERT INTO a VALUES (40)", database=database)
    async with running(forward, east, west) as run:
        await run.caught_up()
    assert "`c` int" in contents(west, database)[f"{database}.a"][0]


@pytest.mark.parametrize(
    "other", ["digest = 'x'", "verb = 'DROP TABLE'", "announced_at = announced_at - INTERVAL 1 DAY"]
)
async def test_an_announcement_of_another_log_hides_no_statement(alterable, database, other):
    """A source that was reset or restored numbers other statements as the link has met them before."""
    east, west = alterable
    forward = one_way(database, "forward")
    await interrupt(forward, east, west, database, "ALTER TABLE t ADD c INT")
    west.sql(f"UPDATE cdcd.ddl SET {other}, state_before = 'another' WHERE link = '{forward.name}'")
    async with running(forward, east, west) as run:
        await run.caught_up()
    assert contents(east, database) == contents(west, database)
