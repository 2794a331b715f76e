"""Of two runs of one link, the later has it; the earlier stops with a reason, and nothing is doubled."""

from __future__ import annotations

from cdcd.errors import Fenced
from cdcd.model.states import State
from tests.fixtures.daemon import until
from tests.fixtures.links import forget, running
from tests.fixtures.sites import a_link
from tests.system import ledger
from tests.system.conftest import equal


async def test_an_idle_run_finds_out_that_it_was_taken_over(both, east, west, database):
    """Two idle runs would otherwise end each other's connections to the source for ever."""
    async with running(a_link(database), east, west) as first, running(a_link(database), east, west) as second:
        assert isinstance(await first.stopped(), Fenced)
        assert State.FAILED == first.runner.state
        both("CREATE TABLE t (n INT PRIMARY KEY)")
        east.sql("INSERT INTO t VALUES (1)", database=database)
        await second.caught_up()
        assert (State.STREAMING, 0) == (second.runner.state, second.runner.conflicts)


async def test_a_run_that_lost_its_target_does_not_take_the_link_back(both, east, west, database):
    """Reconnecting is no new start: what ended the connection may have been the later run."""
    both("CREATE TABLE t (n INT PRIMARY KEY)")
    async with running(a_link(database), east, west) as first:
        # The first run finds its writer's connection ended by the time that it looks for the reason.
        end_writers(west, first)
        async with running(a_link(database), east, west) as second:
            assert isinstance(await first.stopped(), Fenced)
            east.sql("INSERT INTO t VALUES (1)", database=database)
            await second.caught_up()


async def test_a_run_whose_rows_were_deleted_does_not_begin_anew(both, east, west, database):
    """Reconnecting, it would go on from where `start` says, and leave out what came between."""
    both("CREATE TABLE t (n INT PRIMARY KEY)")
    async with running(a_link(database), east, west) as link:
        west.sql(f"DELETE FROM cdcd.checkpoint WHERE link = '{link.runner.name}'")
        end_writers(west, link)
        east.sql("INSERT INTO t VALUES (1)", database=database)
        assert isinstance(await link.stopped(), Fenced)
    assert [] == west.sql("SELECT * FROM t", database=database)


async def test_deleted_rows_do_not_let_two_runs_have_one_epoch(both, east, west, database):
    """Counted from one again, the epoch of a new run would be the one that an old run still holds."""
    both("CREATE TABLE t (n INT PRIMARY KEY)")
    async with running(a_link(database), east, west) as first:
        west.sql(f"DELETE FROM cdcd.checkpoint WHERE link = '{first.runner.name}'")
        forget(first.runner.name, east, west)
        async with running(a_link(database), east, west) as second:
            assert isinstance(await first.stopped(), Fenced)
            east.sql("INSERT INTO t VALUES (1)", database=database)
            await second.caught_up()


def test_a_second_daemon_fences_the_first(pair, both, east, west, database):
    """An operator who starts it twice must not get twice the rows: the first exits with 1."""
    both(ledger.TABLES)
    first, second = pair(writers=4), pair(writers=4)
    first.start()
    first.streams()
    clients = ledger.Clients(east, database, "east", 4)
    try:
        until(lambda: ledger.count(west, database) > 50)
        second.start()
        assert 1 == first.wait()
    finally:
        clients.stop()
    until(lambda: equal(east, west, database))
    assert ledger.is_consistent(west, database)
    # The marker's own fence is all that stopped the first.
    assert all("out of range" in event["reason"] for event in first.events("share_contradicted"))
    assert [] == first.events("share_run_carefully") + second.events("share_contradicted")
    assert {"streaming"} == set(second.states.values())


async def test_two_files_that_use_the_same_names_for_other_targets_leave_each_other_alone(
    both, east, west, database, server_factory, monkeypatch, tmp_path
):
    """A source ends an older reader of the same server_id: the two links would take turns for ever."""
    both("CREATE TABLE t (n INT PRIMARY KEY)")
    south = server_factory()
    south.sql(f"CREATE DATABASE {database}; CREATE TABLE {database}.t (n INT PRIMARY KEY)")
    async with running(a_link(database), east, west) as first:
        monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "another"))
        async with running(a_link(database), east, south) as second:
            for n in range(3):
                east.sql(f"INSERT INTO t VALUES ({n})", database=database)
                await first.caught_up()
                await second.caught_up()
            assert [0, 0] == [link.runner.stages["source"]["reconnects"] for link in (first, second)]


def end_writers(server, link):
    """End the connections of a run's writers."""
    for writer in link.writers:
        server.sql(f"KILL {writer.session.thread_id}")
