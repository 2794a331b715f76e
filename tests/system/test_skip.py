"""A link that stopped at a transaction goes on after `cdcd skip`: without that one, and with all others, once."""

from __future__ import annotations

import json

import pytest

from cdcd.checkpoint import offline
from cdcd.errors import CdcdError, ConfigError, Fenced, LinkRuns, TargetLost
from cdcd.model.position import Gtid
from cdcd.mysql.session import Session
from tests.fixtures.daemon import until
from tests.fixtures.links import running
from tests.fixtures.operator import Operator
from tests.fixtures.sites import a_link, site
from tests.system import ledger
from tests.system.conftest import equal

TABLE = "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(40), u INT UNIQUE) ENGINE=InnoDB"


@pytest.fixture
def skipping(both, east, west, database):
    """Return a link over a table that both sides have, and its operator."""
    both(TABLE)
    link = a_link(database, ddl=True)
    return link, Operator({"east": east, "west": west}, link)


def run_all(server, database, statements):
    """Run statements one by one on one connection."""
    with server.connect(database=database) as session, session.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def values(server, database):
    """Return the values of a side's table."""
    return [v for (v,) in server.sql("SELECT v FROM t ORDER BY id", database=database)]


def stopped_at(west, link):
    """Return the transaction that the link has noted."""
    [(gtid,)] = west.sql(f"SELECT failed_gtid FROM cdcd.link WHERE link = '{link}'")
    return gtid


# The statements of what no link carries; how many transactions they are in the log; what is shown of the first.
STOPS = {
    "xa": (
        ["XA START 'x'", "INSERT INTO t (v) VALUES ('no')", "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'"],
        2, "v = 'no'",
    ),
    "xa_rolled_back": (
        ["XA START 'x'", "INSERT INTO t (v) VALUES ('no')", "XA END 'x'", "XA PREPARE 'x'", "XA ROLLBACK 'x'"],
        2, "v = 'no'",
    ),
    "statement": (["SET SESSION binlog_format = STATEMENT", "INSERT INTO t (v) VALUES ('no')"], 1, "VALUES ('no')"),
    "statement_with_values": (
        ["SET SESSION binlog_format = STATEMENT", "SET @a = 'no'", "INSERT INTO t (v) VALUES (@a)"],
        1, "USER_VAR",
    ),
    "alter_in_two_phases": (
        ["SET SESSION binlog_alter_two_phase = 1", "ALTER TABLE t ALTER v SET DEFAULT 'x'"], 2, "ALTER v SET DEFAULT",
    ),
    "change_that_the_target_refuses": (["ALTER TABLE t DROP KEY absent"], 1, "DROP KEY absent"),
}  # fmt: skip


@pytest.mark.parametrize("case", STOPS)
async def test_a_link_goes_on_after_what_it_stopped_at_is_skipped(skipping, east, west, database, case):
    """The way out of every stop that one transaction is the reason of, whatever is in it."""
    link, operator = skipping
    statements, transactions, shown = STOPS[case]
    east.sql("ALTER TABLE t ADD KEY absent (v); CREATE TABLE s (id INT PRIMARY KEY, v INT)", database=database)
    east.sql("INSERT INTO s VALUES (1, 1)", database=database)
    west.sql("CREATE TABLE s (id INT PRIMARY KEY, v SMALLINT); INSERT INTO s VALUES (1, 1)", database=database)
    west.sql("INSERT INTO t (id, v, u) VALUES (1000, 'here', 5)", database=database)
    async with running(link, east, west):
        pass
    east.sql("INSERT INTO t (v) VALUES ('before')", database=database)
    run_all(east, database, statements)
    east.sql("INSERT INTO t (v) VALUES ('after')", database=database)
    kept = []
    for n in range(transactions):
        async with running(link, east, west) as run:
            error = await run.stopped()
        kept.append(gtid := stopped_at(west, link.name))
        assert f"cdcd skip --link {database} --gtid {gtid}" in str(error)
        assert ["before", "here"] == values(west, database)
        said = await operator.skip(link.name, gtid)
        assert n or shown in said
    for later in ("after", "later"):  # It stays skipped over restarts, and only that.
        async with running(link, east, west) as run:
            if later == "later":
                east.sql("INSERT INTO t (v) VALUES ('later')", database=database)
            await run.caught_up()
    assert ["before", "after", "later", "here"] == values(west, database)
    assert 0 == run.runner.conflicts
    rows = west.sql(f"SELECT gtid, content, skipped_by FROM cdcd.skipped WHERE link = '{database}' ORDER BY skipped_at")
    assert kept == [gtid for gtid, _, _ in rows]
    assert shown in rows[0][1]
    assert "@" in rows[0][2]


@pytest.mark.parametrize("part_bytes", [1, 2**20])
async def test_a_row_that_its_filter_cannot_decide_is_skipped(skipping, east, west, database, part_bytes):
    """The error names the table and the transaction, of many that were read together and of one in parts."""
    _, operator = skipping
    link = a_link(database, where={f"{database}.t": "v <> 'x'"}, transaction_bytes_max=part_bytes)
    async with running(link, east, west):
        pass
    run_all(east, database, [f"INSERT INTO t (v) VALUES ('{v}')" for v in ("before", "undécidable", "after", "x")])
    async with running(link, east, west) as run:
        error = await run.stopped()
    assert isinstance(error, CdcdError)
    gtid = stopped_at(west, link.name)
    assert (f"{database}.t", gtid) == (error.where["table"], error.where["transaction"])
    assert ["before"] == values(west, database)
    await operator.skip(link.name, gtid)
    async with running(link, east, west) as run:
        await run.caught_up()
    assert ["before", "after"] == values(west, database)


async def test_only_what_the_link_stopped_at_can_be_skipped(skipping, east, west, database):
    """A slip of the keys must not lose another transaction, and one that is applied can't be taken back."""
    link, operator = skipping
    with pytest.raises(CdcdError, match="no checkpoint"):
        await operator.skip(link.name, "0-1-1")
    async with running(link, east, west) as run:
        with pytest.raises(LinkRuns, match="a cdcd runs the link"):
            await operator.skip(link.name, "0-1-999999999")
        east.sql("INSERT INTO t (v) VALUES ('before')", database=database)
        await run.caught_up()
        applied = east.binlog_position()[2]
    with pytest.raises(CdcdError, match="has not noted a transaction"):
        await operator.skip(link.name, "0-1-999999999")
    run_all(east, database, STOPS["statement"][0])
    east.sql("INSERT INTO t (v) VALUES ('after')", database=database)
    last = east.binlog_position()[2]
    async with running(link, east, west) as run:
        await run.stopped()
    gtid = stopped_at(west, link.name)
    for wrong, said in [
        (applied, "applied already"),
        (last, f"stopped at {gtid}, not at {last}"),
        ("0-1-999999999", f"stopped at {gtid}, not at"),
    ]:
        with pytest.raises(CdcdError, match=said):
            await operator.skip(link.name, wrong)
    for usage in ((link.name, "0-1"), ("other", gtid)):
        with pytest.raises(ConfigError):
            await operator.skip(*usage)
    await operator.skip(link.name, gtid)
    with pytest.raises(CdcdError, match="applied already"):
        await operator.skip(link.name, gtid)


async def test_a_start_forgets_what_an_earlier_run_stopped_at(skipping, east, west, database):
    """What was put right by other means must not be skipped later, by a command from yesterday."""
    link, operator = skipping
    async with running(link, east, west) as run:
        run_all(east, database, STOPS["statement"][0])
        await run.stopped()
    gtid = stopped_at(west, link.name)
    async with running(link, east, west) as run:
        await run.stopped()
    assert gtid == stopped_at(west, link.name)
    await operator.skip(link.name, gtid)
    async with running(link, east, west) as run:
        await run.caught_up()
    assert "" == stopped_at(west, link.name)


def test_the_command_asks_and_answers_as_a_program_expects(both, east, west, database, daemon_factory):
    """Without a terminal nobody can be asked; with --json, stdout is one document; the daemon then goes on."""
    both(TABLE)
    daemon = daemon_factory(
        {"east": east, "west": west}, {database: {"source": "east", "target": "west", "tables": [f"{database}.*"]}}
    )
    daemon.start()
    daemon.streams()
    run_all(east, database, STOPS["statement"][0])
    east.sql("INSERT INTO t (v) VALUES ('after')", database=database)
    assert 1 == daemon.wait()
    gtid = stopped_at(west, database)
    skip = ("skip", "--link", database, "--gtid", gtid)
    refused = daemon.command(*skip)
    assert (2, True) == (refused.returncode, "give --yes" in refused.stderr)
    answer = json.loads(daemon.command(*skip, "--yes", "--json").stdout)
    assert (database, gtid, True) == (answer["link"], answer["gtid"], "VALUES ('no')" in answer["content"])
    again = daemon.command(*skip, "--yes")
    assert (1, True) == (again.returncode, "applied already" in again.stderr)
    shown = json.loads(daemon.command("position", "show", "--link", database, "--json").stdout)
    assert [gtid] == shown["applied_after"]
    daemon.start()
    until(lambda: ["after"] == values(west, database))


async def test_a_skip_among_shares_of_several_writers_loses_none_of_them(skipping, both, east, west, database):
    """What each writer had applied when the link stopped must still count, once."""
    both(ledger.TABLES)
    link, operator = skipping
    async with running(link, east, west):
        pass
    clients = ledger.Clients(east, database, "east", 4)
    try:
        for n in range(2):
            async with running(link, east, west) as run:
                while ledger.count(west, database) < 40 * (n + 1):
                    await run.caught_up()
                run_all(east, database, STOPS["xa"][0])
                await run.stopped()
            await operator.skip(link.name, stopped_at(west, link.name))
            async with running(link, east, west) as run:
                await run.stopped()
            await operator.skip(link.name, stopped_at(west, link.name))
    finally:
        clients.stop()
    async with running(link, east, west) as run:
        await run.caught_up()
    assert equal(east, west, database)
    assert ledger.is_consistent(west, database)
    assert [] == values(west, database)


async def test_a_skip_adds_to_what_several_slots_say(skipping, east, west, database):
    """Rows of earlier batches must not come back, and none of the latest be lost."""
    link, _ = skipping
    async with running(link, east, west):
        pass
    for slot, batch, applied in ((0, 7, "0-1:11"), (1, 7, "0-1:13"), (2, 7, ""), (3, 6, "0-1:12")):
        west.sql(
            f"UPDATE cdcd.checkpoint SET position = '0-1-10', batch = {batch}, applied = '{applied}'"
            f" WHERE link = '{database}' AND slot = {slot}"
        )
    session = await Session.open(site(west, "west"), TargetLost)
    before = await offline.settled(session, database)
    async with offline.hold(session, database) as held:
        await held.skip(Gtid(0, 2, 20), "nothing", "test")
    after = await offline.look(session, database)
    await session.close()
    assert before.progress is not None
    assert after.progress is not None
    assert {Gtid(0, 1, 11), Gtid(0, 1, 13)} == before.progress.applied
    assert before.progress.applied | {Gtid(0, 2, 20)} == after.progress.applied
    assert (before.progress.position, before.progress.at) == (after.progress.position, after.progress.at)
    assert after.epoch > before.epoch


async def test_a_run_between_two_connections_is_fenced_by_a_skip(skipping, east, west, database):
    """It would go on from what it has in memory, where the skipped transaction is still to come."""
    link, _ = skipping
    async with running(link, east, west) as run:
        session = await Session.open(site(west, "west"), TargetLost)
        west.sql(f"UPDATE cdcd.checkpoint SET session = 0 WHERE link = '{database}'")  # As if it had no connection.
        async with offline.hold(session, database) as held:
            await held.skip(Gtid(7, 7, 7), "nothing", "test")
        await session.close()
        east.sql("INSERT INTO t (v) VALUES ('x')", database=database)
        assert isinstance(await run.stopped(), Fenced)
    assert [] == values(west, database)
