"""A link that stopped at a transaction goes on after `cdcd skip`: without that one, and with all others, once."""

from __future__ import annotations

import json

import pytest

from tests.fixtures.daemon import until
from tests.fixtures.links import running
from tests.system import ledger
from tests.system.conftest import HEARTBEAT_SECONDS, a_link, equal

TABLE = "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(40), u INT UNIQUE) ENGINE=InnoDB"


@pytest.fixture
def daemon(both, east, west, database, daemon_factory):
    """Return a daemon with one link over a table that both sides have."""
    both(TABLE)
    link = {"source": "east", "target": "west", "tables": [f"{database}.*"], "heartbeat_seconds": HEARTBEAT_SECONDS}
    return daemon_factory({"east": east, "west": west}, {database: {**link, "ddl": True}})


def run_all(server, database, statements):
    """Run statements one by one on one connection."""
    with server.connect(database=database) as session, session.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def values(server, database):
    """Return the values of a side's table."""
    return [v for (v,) in server.sql("SELECT v FROM t ORDER BY id", database=database)]


def stopped_at(daemon, west):
    """Wait until the daemon's only link has failed, and the process with it; return the transaction that it notes."""
    assert 1 == daemon.wait()
    [(gtid,)] = west.sql(f"SELECT failed_gtid FROM cdcd.link WHERE link = '{next(iter(daemon.links))}'")
    return gtid


# The statements of a transaction that no link carries; how many transactions they are in the log; what is shown.
STOPS = {
    "xa": (
        ["XA START 'x'", "INSERT INTO t (v) VALUES ('no')", "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'"],
        2, "v = 'no'",
    ),
    "statement": (["SET SESSION binlog_format = STATEMENT", "INSERT INTO t (v) VALUES ('no')"], 1, "VALUES ('no')"),
    "statement_with_values": (
        ["SET SESSION binlog_format = STATEMENT", "SET @a = 'no'", "INSERT INTO t (v) VALUES (@a)"],
        1, "USER_VAR",
    ),
    "rolled_back_in_the_log": (
        ["BEGIN", "INSERT INTO t (v) VALUES ('no')", "CREATE TEMPORARY TABLE x (id INT)", "ROLLBACK"],
        1, "v = 'no'",
    ),
    "unknown_statement": (["CREATE TABLE u (id INT) ENGINE=MEMORY", "INSERT INTO u VALUES (1)"], 0, ""),
    "alter_in_two_phases": (
        ["SET SESSION binlog_alter_two_phase = 1", "ALTER TABLE t ALTER v SET DEFAULT 'x'"], 2, "ALTER v SET DEFAULT",
    ),
    "change_that_the_target_refuses": (["ALTER TABLE t DROP KEY absent"], 1, "DROP KEY absent"),
    "rows_that_do_not_fit": (["CREATE TABLE w (id INT PRIMARY KEY)", "INSERT INTO w VALUES (7)"], 1, "id = 7"),
}  # fmt: skip
del STOPS["unknown_statement"]


@pytest.mark.parametrize("case", STOPS)
def test_a_link_goes_on_after_what_it_stopped_at_is_skipped(daemon, east, west, database, case):
    """The way out of every stop that one transaction is the reason of, whatever is in it."""
    statements, transactions, shown = STOPS[case]
    if case == "change_that_the_target_refuses":
        east.sql("ALTER TABLE t ADD KEY absent (v)", database=database)
    daemon.start()
    daemon.streams()
    if case == "rows_that_do_not_fit":
        daemon.write(ddl=False)
        daemon.kill()
        daemon.start()
        daemon.streams()
    east.sql("INSERT INTO t (v) VALUES ('before')", database=database)
    run_all(east, database, statements)
    east.sql("INSERT INTO t (v) VALUES ('after')", database=database)
    kept = []
    for n in range(transactions):
        gtid = stopped_at(daemon, west)
        assert ["before"] == values(west, database)
        assert f"cdcd skip --link {database} --gtid {gtid}" in daemon.events("link_failed")[-1]["error"]
        refused = daemon.command("skip", "--link", database, "--gtid", gtid)
        assert (2, True) == (refused.returncode, "--yes" in refused.stderr)
        done = daemon.command("skip", "--link", database, "--gtid", gtid, "--yes")
        assert 0 == done.returncode, done.stderr
        assert n or shown in done.stdout
        kept.append(gtid)
        daemon.start()
    until(lambda: values(west, database)[-1:] == ["after"])
    assert ["before", "after"] == values(west, database)
    rows = west.sql(f"SELECT gtid, content, skipped_by FROM cdcd.skipped WHERE link = '{database}' ORDER BY skipped_at")
    assert kept == [gtid for gtid, _, _ in rows]
    assert shown in rows[0][1]
    assert "@" in rows[0][2]
    # It stays skipped, and only that.
    daemon.kill()
    daemon.start()
    daemon.streams()
    east.sql("INSERT INTO t (v) VALUES ('later')", database=database)
    until(lambda: values(west, database)[-1:] == ["later"])
    assert ["before", "after", "later"] == values(west, database)


def test_only_what_the_link_stopped_at_can_be_skipped(daemon, east, west, database):
    """A slip of the keys must not lose another transaction, and one that is applied can't be taken back."""
    daemon.start()
    daemon.streams()
    east.sql("INSERT INTO t (v) VALUES ('before')", database=database)
    applied = east.binlog_position()[2]
    run_all(east, database, STOPS["statement"][0])
    east.sql("INSERT INTO t (v) VALUES ('after')", database=database)
    last = east.binlog_position()[2]
    gtid = stopped_at(daemon, west)
    domain, server, sequence = last.split("-")
    for wrong, said in [
        (applied, "applied already"),
        (last, f"stopped at {gtid}"),
        (f"{domain}-{server}-{int(sequence) + 9}", f"stopped at {gtid}"),
    ]:
        done = daemon.command("skip", "--link", database, "--gtid", wrong, "--yes")
        assert (1, "") == (done.returncode, done.stdout)
        assert said in done.stderr
    assert 2 == daemon.command("skip", "--link", database, "--gtid", "0-1", "--yes").returncode
    assert 2 == daemon.command("skip", "--link", "other", "--gtid", gtid, "--yes").returncode
    assert 0 == daemon.command("skip", "--link", database, "--gtid", gtid, "--yes").returncode
    again = daemon.command("skip", "--link", database, "--gtid", gtid, "--yes")
    assert (1, True) == (again.returncode, "applied already" in again.stderr)


def test_nothing_is_skipped_while_the_link_runs_or_has_never_run(daemon, west, database):
    """A run keeps what is applied in memory: it must be stopped first."""
    never = daemon.command("skip", "--link", database, "--gtid", "0-1-1", "--yes")
    assert (1, True) == (never.returncode, "no checkpoint" in never.stderr)
    daemon.start()
    daemon.streams()
    done = daemon.command("skip", "--link", database, "--gtid", "0-1-999999999", "--yes")
    assert (1, True) == (done.returncode, "a cdcd runs the link" in done.stderr)
    assert {"streaming"} == set(daemon.states.values())


def test_the_answer_for_programs_is_one_document(daemon, east, west, database):
    """What is shown before the question goes elsewhere."""
    daemon.start()
    daemon.streams()
    run_all(east, database, STOPS["statement"][0])
    gtid = stopped_at(daemon, west)
    answer = json.loads(daemon.command("skip", "--link", database, "--gtid", gtid, "--yes", "--json").stdout)
    assert (database, gtid) == (answer["link"], answer["gtid"])
    assert "VALUES ('no')" in answer["content"]
    shown = json.loads(daemon.command("position", "show", "--link", database, "--json").stdout)
    assert [gtid] == shown["applied_after"]


def test_a_skip_among_shares_of_several_writers_loses_none_of_them(daemon, both, east, west, database):
    """What each writer had applied when one of them stopped must still count, once."""
    both(ledger.TABLES)
    daemon.write(writers=4)
    daemon.start()
    daemon.streams()
    clients = ledger.Clients(east, database, "east", 4)
    skipped = 0
    try:
        for _ in range(2):
            until(lambda: ledger.count(west, database) > 50 * (skipped + 1))
            run_all(east, database, STOPS["xa"][0])
            for _ in range(2):
                gtid = stopped_at(daemon, west)
                assert 0 == daemon.command("skip", "--link", database, "--gtid", gtid, "--yes").returncode
                daemon.start()
                skipped += 1
    finally:
        clients.stop()
    until(lambda: equal(east, west, database))
    assert ledger.is_consistent(west, database)
    assert [] == west.sql("SELECT * FROM t", database=database)


async def test_a_run_between_two_connections_is_fenced_by_a_skip(both, east, west, database, tmp_path):
    """It would go on from what it has in memory, where the skipped transaction is still to come."""
    from cdcd.checkpoint import offline
    from cdcd.errors import Fenced, TargetLost
    from cdcd.model.position import Gtid
    from cdcd.mysql.session import Session
    from tests.fixtures.links import site

    both(TABLE)
    async with running(a_link(database), east, west) as link:
        session = await Session.open(site(west, "west"), TargetLost)
        west.sql(f"UPDATE cdcd.checkpoint SET session = 0 WHERE link = '{database}'")  # As if it had no connection.
        async with offline.hold(session, database) as held:
            await held.skip(Gtid(7, 7, 7), "nothing", "test")
        state = await offline.look(session, database)
        await session.close()
        assert {Gtid(7, 7, 7)} == state.progress.applied
        east.sql("INSERT INTO t (v) VALUES ('x')", database=database)
        assert isinstance(await link.stopped(), Fenced)
    assert [] == values(west, database)
