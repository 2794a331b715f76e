"""A link that refuses to start for lack of a place goes on after the command that its error names, exactly once."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cdcd.checkpoint import offline
from cdcd.checkpoint.witness import StateFiles, state_folder
from cdcd.errors import (
    BinlogError,
    BinlogPurged,
    CdcdError,
    CheckpointForeign,
    CheckpointLost,
    ConfigError,
    Fenced,
    LayoutMismatch,
    LinkRuns,
    TargetLost,
)
from cdcd.model.position import Gtid, Position, Progress
from cdcd.mysql.session import Session
from tests.fixtures.links import purge, running, wait_until
from tests.fixtures.operator import Operator
from tests.fixtures.sites import a_link, site

TABLE = "CREATE TABLE t (n INT PRIMARY KEY)"


@pytest.fixture
def moving(both, east, west, database):
    """Return a link over a table that both sides have, and its operator."""
    both(TABLE)
    link = a_link(database)
    return link, Operator({"east": east, "west": west}, link)


def insert(server, database, *numbers):
    """Insert each number in a transaction of its own."""
    server.sql("; ".join(f"INSERT INTO t VALUES ({n})" for n in numbers), database=database)


def numbers(server, database):
    """Return the numbers that a side has."""
    return [n for (n,) in server.sql("SELECT n FROM t ORDER BY n", database=database)]


async def carry(link, east, west, *, names=None):
    """Run a link until it has caught up; nothing may be applied twice."""
    async with running(link, east, west, names=names) as run:
        await run.caught_up()
        assert (0, 0) == (run.row_by_row, run.runner.conflicts)


async def refused(link, east, west, *, names=None):
    """Run a link that stops, and return the error."""
    async with running(link, east, west, names=names) as run:
        return await run.stopped()


def everything(link, *servers):
    """Return how many rows each server's cdcd tables have for a link, and how many state files there are."""
    counts = [
        server.sql(f"SELECT COUNT(*) FROM cdcd.{table} WHERE link = '{link}'")[0][0]
        for server in servers
        for table in offline.TABLES
    ]
    files = [found for found in StateFiles(state_folder(Path("cdcd.toml"))).read() if found.link == link]
    return [*counts, len(files)]


async def test_a_link_without_its_checkpoint_goes_on_where_it_is_put(moving, east, west, database):
    """The rows of cdcd.checkpoint were lost, the data were not."""
    link, operator = moving
    insert(east, database, 1)
    async with running(link, east, west) as run:
        insert(east, database, 2)
        await run.caught_up()
        position = run.runner.position
    west.sql(f"DELETE FROM cdcd.checkpoint WHERE link = '{database}'")
    insert(east, database, 3)
    error = await refused(link, east, west)
    assert isinstance(error, CheckpointLost)
    assert f"cdcd position set --link {database} POSITION" in str(error)
    said = await operator.position_set(database, position)
    assert "has no checkpoint" in said
    await carry(link, east, west)
    assert [2, 3] == numbers(west, database)


async def test_a_name_that_was_another_link_s_can_be_taken_over(moving, east, west, database):
    """The file has turned a link round, or given its name to another: where that goes on, a human must say."""
    link, operator = moving
    await carry(link, east, west)
    west.sql(f"UPDATE cdcd.link SET source = 'north' WHERE link = '{database}'")
    insert(east, database, 1)
    assert isinstance(await refused(link, east, west), CheckpointForeign)
    await operator.position_set(database, east.binlog_position()[2])
    insert(east, database, 2)
    await carry(link, east, west)
    assert [2] == numbers(west, database)


@pytest.mark.parametrize("back", [False, True])
async def test_a_link_can_be_put_forward_and_back(moving, east, west, database, back):
    """It is said what that does to the transactions between; it is done only when it is meant."""
    link, operator = moving
    async with running(link, east, west) as run:
        insert(east, database, 1)
        await run.caught_up()
        first = run.runner.position
        insert(east, database, 2)
        await run.caught_up()
    insert(east, database, 3)
    file, offset, there = east.binlog_position()
    insert(east, database, 4)
    to = first if back else f"{file}:{offset}"
    meant = "applied again" if back else "never be"
    stored = west.sql(f"SELECT * FROM cdcd.checkpoint WHERE link = '{database}'")
    assert meant in await operator.position_set(database, to, dry_run=True)
    assert stored == west.sql(f"SELECT * FROM cdcd.checkpoint WHERE link = '{database}'")
    assert f"{database} is at {first if back else there}" in await operator.position_set(database, to)
    async with running(link, east, west) as run:
        await run.caught_up()
        assert (3 if back else 1) == run.runner.rows
    assert ([1, 2, 3, 4] if back else [1, 2, 4]) == numbers(west, database)


async def test_the_witnesses_are_told_where_a_link_was_put(moving, east, west, database, capsys):
    """They would otherwise take the position for that of a restored target."""
    link, operator = moving
    start = east.binlog_position()[2]
    insert(east, database, 1)
    async with running(link, east, west) as run:
        insert(east, database, 2)
        await run.caught_up()
    west.sql("DELETE FROM t", database=database)
    await operator.position_set(database, start)
    capsys.readouterr()
    await carry(link, east, west)
    assert "checkpoint_older_than_seen" not in capsys.readouterr().out
    assert [1, 2] == numbers(west, database)


async def test_a_link_that_is_put_back_runs_schema_changes_again(both, east, west, database):
    """The target was put back too: what is kept of the first time must not pass for the second."""
    both(TABLE)
    link = a_link(database, ddl=True)
    operator = Operator({"east": east, "west": west}, link)
    start = east.binlog_position()[2]
    async with running(link, east, west) as run:
        east.sql("ALTER TABLE t ADD c INT", database=database)
        await run.caught_up()
    west.sql("CREATE OR REPLACE TABLE t (n INT COMMENT 'older' PRIMARY KEY)", database=database)
    await operator.position_set(database, start)
    await carry(link, east, west)
    async with running(link, east, west) as run:
        east.sql("INSERT INTO t VALUES (1, 2)", database=database)
        await run.caught_up()
    assert [(1, 2)] == west.sql("SELECT * FROM t", database=database)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE cdcd.checkpoint SET applied = X'FFFF'",
        "UPDATE cdcd.checkpoint SET position = 'rubbish'",
        "DELETE FROM cdcd.checkpoint WHERE slot = 0 AND",
        "UPDATE cdcd.link SET position = X'FF'",
    ],
)
async def test_damaged_rows_stop_the_link_and_can_be_put_right(moving, east, west, database, damage):
    """Whatever wrote there: the error names the way out, and the way out does not need what is damaged."""
    link, operator = moving
    async with running(link, east, west) as run:
        insert(east, database, 1)
        await run.caught_up()
        position = run.runner.position
    west.sql(f"{damage if damage.endswith('AND') else damage + ' WHERE'} link = '{database}'")
    checked = await operator.check()
    error = await refused(link, east, west)
    assert error.message in checked
    assert isinstance(error, CheckpointLost)
    assert "cdcd position set" in str(error)
    if "checkpoint" in damage:
        for command in (operator.rename(database, "other"), operator.skip(database, "0-1-1")):
            with pytest.raises(CheckpointLost, match="damaged"):
                await command
    await operator.position_set(database, position)
    insert(east, database, 2)
    await carry(link, east, west)
    assert [1, 2] == numbers(west, database)
    west.sql(f"{damage if damage.endswith('AND') else damage + ' WHERE'} link = '{database}'")
    await operator.forget(database)
    counts = [west.sql(f"SELECT COUNT(*) FROM cdcd.{table} WHERE link = '{database}'") for table in offline.TABLES]
    assert [[(0,)]] * 4 == counts


async def test_a_dry_run_changes_no_table(moving, east, west, database):
    """Neither makes it what is missing, nor upgrades what is older; it says that the daemon will."""
    link, operator = moving
    await carry(link, east, west)
    west.sql("ALTER TABLE cdcd.checkpoint COMMENT = ''")
    position = east.binlog_position()[2]
    try:
        for command in (operator.position_set(database, position, dry_run=True), operator.position_show(database)):
            with pytest.raises(LayoutMismatch, match="the daemon puts that right"):
                await command
        comment = "SELECT table_comment FROM information_schema.tables WHERE table_name = 'checkpoint'"
        assert [("",)] == west.sql(f"{comment} AND table_schema = 'cdcd'")
    finally:
        await operator.position_set(database, position)
    await operator.position_show(database)


async def test_a_purged_log_has_a_way_out(both, server_factory, west, database):
    """After a new copy, the link goes on from where the copy was taken; where the log is gone it cannot be put."""
    east = server_factory()
    east.sql(f"CREATE DATABASE {database}")
    both(TABLE.replace("TABLE", "TABLE IF NOT EXISTS"))
    east.sql(TABLE, database=database)
    link = a_link(database)
    operator = Operator({"east": east, "west": west}, link)
    async with running(link, east, west) as run:
        insert(east, database, 1)
        await run.caught_up()
        old = run.runner.position
    insert(east, database, 2)
    await purge(east)
    insert(east, database, 3)
    checked = await operator.check()
    error = await refused(link, east, west)
    assert isinstance(error, BinlogError)
    assert f"cdcd position set --link {database} POSITION" in str(error)
    assert error.message in checked
    with pytest.raises(BinlogPurged):
        await operator.position_set(database, old)
    insert(west, database, 2, 3)  # The new copy.
    await operator.position_set(database, "now")
    insert(east, database, 4)
    await carry(link, east, west)
    assert [1, 2, 3, 4] == numbers(west, database)


async def test_a_place_that_the_log_does_not_lead_on_from_is_refused(moving, east, west, database):
    """Nothing is changed where the source could not go on."""
    link, operator = moving
    await carry(link, east, west)
    now = Gtid.parse(east.binlog_position()[2])
    stored = west.sql("SELECT * FROM cdcd.checkpoint")
    with pytest.raises(CdcdError, match="has no 0-1-999999999: it ends at"):
        await operator.position_set(database, "0-1-999999999")
    with pytest.raises(CdcdError):
        await operator.position_set(database, str(now._replace(server=77, sequence=now.sequence - 1)))
    file, offset, _ = east.binlog_position()
    insert(east, database, 1)
    [*_, (_, inside, *_), _] = east.sql(f"SHOW BINLOG EVENTS IN '{file}' FROM {offset}")
    for place, reason in (
        ("binlog.999999:4", "has no file binlog.999999"),
        (f"{file}:{offset + 1}", "no event begins"),
        (f"{file}:4000000000", "no event begins"),
        (f"{file}:{inside}", "inside a transaction"),
    ):
        with pytest.raises(CdcdError, match=reason):
            await operator.position_set(database, place)
    for usage in ((database, "yesterday"), ("other", "now")):
        with pytest.raises(ConfigError):
            await operator.position_set(*usage)
    async with running(link, east, west):
        with pytest.raises(LinkRuns):
            await operator.position_set(database, "now")
    assert len(stored) == len(west.sql("SELECT * FROM cdcd.checkpoint"))


async def test_a_run_that_begins_while_a_link_is_moved_waits_and_takes_the_new_place(moving, east, west, database):
    """It must neither go on from the old place nor be killed half way."""
    link, _ = moving
    async with running(link, east, west) as run:
        insert(east, database, 1)
        await run.caught_up()
    insert(east, database, 2)
    there = Position.parse(east.binlog_position()[2])
    insert(east, database, 3)
    session = await Session.open(site(west, "west"), TargetLost)
    async with offline.hold(session, database) as held:
        task = asyncio.create_task(_carry_soon(link, east, west))
        # Asked as often as this, InnoDB's own table of waits is never read anew.
        waiting = "SELECT 1 FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND info LIKE"
        await wait_until(lambda: west.sql(f"{waiting} 'SELECT slot, position%FOR UPDATE'"))
        await held.move(Progress(there), "east")
    await session.close()
    await task
    assert [1, 3] == numbers(west, database)


async def _carry_soon(link, east, west):
    async with running(link, east, west) as run:
        await run.caught_up()


@pytest.mark.parametrize("dies", [False, True])
async def test_a_link_that_was_renamed_goes_on_under_its_new_name(moving, east, west, database, monkeypatch, dies):
    """All that is kept moves; a command that ends half way leaves the link as it was, and again finishes it."""
    link, _ = moving
    reverse = a_link(f"{database}_r", source="west", target="east", tables=link.tables)
    await carry(reverse, west, east)  # So that the source keeps witnesses too.
    async with running(link, east, west) as run:
        insert(east, database, 1)
        await run.caught_up()
    west.sql(f"INSERT INTO cdcd.skipped VALUES ('{database}', '0-1-1', 'x', 'test', NOW())")
    kept = everything(database, west, east)
    insert(east, database, 2)
    new = a_link(f"{database}_new", tables=link.tables)
    error = await refused(new, east, west, names=[new.name, reverse.name])
    assert isinstance(error, CheckpointLost)
    assert f"cdcd link rename --link {database} {new.name}" in str(error)
    renamed = Operator({"east": east, "west": west}, new, reverse)
    if dies:
        with monkeypatch.context() as patch:
            patch.setattr(StateFiles, "rename", _dies)
            with pytest.raises(RuntimeError):
                await renamed.rename(database, new.name)
        await carry(link, east, west)
        assert [1, 2] == numbers(west, database)
    await renamed.rename(database, new.name)
    assert [0] * len(kept) == everything(database, west, east)
    assert kept == everything(new.name, west, east)
    insert(east, database, 3)
    await carry(new, east, west, names=[new.name, reverse.name])
    assert [1, 2, 3] == numbers(west, database)
    # The daemon that was down comes back with the file of before.
    error = await refused(link, east, west, names=[database, reverse.name])
    assert isinstance(error, CheckpointLost)
    assert f"cdcd link rename --link {new.name} {database}" in str(error)


def _dies(*_, **__):
    raise RuntimeError("the process ends here")


@pytest.mark.parametrize("dies", [False, True])
async def test_a_link_that_was_forgotten_begins_at_its_start(moving, east, west, database, monkeypatch, dies):
    """Nothing remembers it; a command that ends half way is finished by another."""
    link, operator = moving
    reverse = a_link(f"{database}_r", source="west", target="east", tables=link.tables)
    await carry(reverse, west, east)
    await carry(link, east, west)
    insert(east, database, 1)
    west.sql(f"DELETE FROM cdcd.checkpoint WHERE link = '{database}'")
    error = await refused(link, east, west)
    assert f"cdcd link forget --link {database}" in str(error)
    if dies:
        with monkeypatch.context() as patch:
            patch.setattr(StateFiles, "remove", _dies)
            with pytest.raises(RuntimeError):
                await operator.forget(database)
        assert isinstance(await refused(link, east, west), CheckpointLost)
    await operator.forget(database)
    assert [0] * 9 == everything(database, west, east)
    async with running(link, east, west) as run:
        insert(east, database, 2)
        await run.caught_up()
    assert [2] == numbers(west, database)


async def test_what_is_not_known_cannot_be_renamed_nor_forgotten(moving, east, west, database):
    """A slip of the keys is told; a running link is left alone; a name that is taken stays so."""
    link, operator = moving
    other = a_link(f"{database}_2", tables=("none.*",))
    await carry(other, east, west)
    for command in (operator.forget("nobody"), operator.rename("nobody", "somebody"), operator.forget(database)):
        with pytest.raises(CdcdError, match="nothing is kept"):
            await command
    async with running(link, east, west):
        for command in (operator.forget(database), operator.rename(database, "other")):
            with pytest.raises(LinkRuns):
                await command
    with pytest.raises(CdcdError, match="has a checkpoint on west too"):
        await operator.rename(database, other.name)
    for name in ("a name", database):
        with pytest.raises(ConfigError):
            await operator.rename(database, name)
    await carry(link, east, west)


async def test_a_target_that_takes_no_writes_is_not_told_as_a_running_link(moving, east, west, database):
    """Nobody holds anything, and there is no daemon to stop."""
    link, operator = moving
    await carry(link, east, west)
    west.sql("REVOKE READ ONLY ADMIN ON *.* FROM cdcd@'%'; SET GLOBAL read_only = ON")
    try:
        for command in (operator.position_set(database, "now"), operator.rename(database, f"{database}_2")):
            with pytest.raises(CdcdError, match="read-only") as caught:
                await command
            assert not isinstance(caught.value, LinkRuns)
    finally:
        west.sql("SET GLOBAL read_only = OFF; GRANT READ ONLY ADMIN ON *.* TO cdcd@'%'")


async def test_a_name_of_the_opposite_link_is_not_given(moving, east, west, database):
    """Two links under one name would take each other's place."""
    link, _ = moving
    reverse = a_link(f"{database}_r", source="west", target="east", tables=link.tables)
    await carry(link, east, west)
    pair, alone = (Operator({"east": east, "west": west}, *links) for links in ((link, reverse), (link,)))
    with pytest.raises(CdcdError, match="goes from west to east"):
        await pair.rename(database, reverse.name)
    await carry(reverse, west, east)
    with pytest.raises(CdcdError, match="has a checkpoint on east"):
        await alone.rename(database, reverse.name)
    east.sql(f"DELETE FROM cdcd.checkpoint WHERE link = '{reverse.name}'")
    with pytest.raises(CdcdError, match="has run from west to east"):
        await alone.rename(database, reverse.name)


async def test_links_that_are_exchanged_in_the_file_stop(moving, east, west, database):
    """Begun anew at `now`, they would leave out what came between; put back, they go on."""
    link, _ = moving
    reverse = a_link(f"{database}_r", source="west", target="east", tables=link.tables)
    await carry(link, east, west)
    await carry(reverse, west, east)
    turned = a_link(database, source="west", target="east")
    file = {link.name: ("west", "east"), reverse.name: ("east", "west")}
    other = a_link(reverse.name, tables=link.tables)
    checked = await Operator({"east": east, "west": west}, turned, other).check()
    error = await refused(turned, west, east, names=file)
    assert isinstance(error, CheckpointForeign)
    assert error.message in checked
    assert "2 errors" in checked
    await carry(link, east, west)


async def test_a_run_between_two_connections_does_not_survive_its_name(moving, east, west, database):
    """Its rows are gone: it must not make them anew and begin at `start`."""
    _, operator = moving
    async with running(a_link(database, heartbeat_seconds=60), east, west) as run:
        for writer in run.writers:
            west.sql(f"KILL {writer.session.thread_id}")
        await operator.rename(database, f"{database}_new")
        insert(east, database, 1)
        assert isinstance(await run.stopped(), Fenced)
    assert [] == numbers(west, database)


@asynccontextmanager
async def reading(link, source, target):
    """Run the reverse link, and see that it carries nothing and writes nothing."""
    async with running(link, source, target) as run:
        await run.caught_up()
        logged, carried = target.binlog_position(), run.runner.transactions
        yield run
        await run.caught_up()
        assert (logged, carried) == (target.binlog_position(), run.runner.transactions)


@pytest.mark.parametrize("relay", [False, True])
async def test_what_the_commands_write_is_sent_nowhere(moving, east, west, database, relay):
    """The reverse link's reader passes over it, and it is no reason for a position either."""
    link, operator = moving
    await carry(link, east, west)
    reverse = a_link(f"{database}_r", source="west", target="east", tables=("*.*",), relay=relay)
    east.sql("SET SESSION binlog_format = STATEMENT; INSERT INTO t VALUES (1)", database=database)
    await refused(link, east, west)
    [(gtid,)] = west.sql(f"SELECT failed_gtid FROM cdcd.link WHERE link = '{database}'")
    async with reading(reverse, west, east) as run:
        suppressed = run.runner.suppressed
        await operator.skip(database, gtid)
        await run.caught_up()
        assert relay or suppressed + 1 == run.runner.suppressed
    before = east.binlog_position()[2]
    async with reading_except_own(reverse, west, east):
        await operator.position_set(database, before)
        await operator.rename(database, f"{database}_new")
        await operator.forget(f"{database}_new")


@asynccontextmanager
async def reading_except_own(link, source, target):
    """Run the reverse link, and see that it carries nothing; the commands write to its target's log too."""
    async with running(link, source, target) as run:
        await run.caught_up()
        carried, batches = run.runner.transactions, run.runner.figures.batches
        yield
        await run.caught_up()
        assert (carried, batches) == (run.runner.transactions, run.runner.figures.batches)


@pytest.mark.parametrize("lost", ["DROP TABLE", "DELETE FROM"])
@pytest.mark.parametrize("table", offline.TABLES)
async def test_a_table_of_cdcd_s_that_is_lost_is_told_and_every_command_goes_on(
    moving, east, west, database, table, lost
):
    """Whoever cleaned up: check says what the run says, and neither names a way out that is closed."""
    link, operator = moving
    reverse = a_link(f"{database}_r", source="west", target="east", tables=link.tables)
    await carry(reverse, west, east)
    async with running(link, east, west) as run:
        insert(east, database, 1)
        await run.caught_up()
        position = run.runner.position
    west.sql(f"{lost} cdcd.{table}" + ("" if lost == "DROP TABLE" else f" WHERE link = '{database}'"))
    checked = await operator.check()
    if table == "checkpoint":
        assert "error: " in checked
        with pytest.raises(CdcdError, match=r"cdcd.checkpoint is missing|cdcd check"):
            await operator.position_show(database)
        error = await refused(link, east, west, names=[database])
        assert isinstance(error, CheckpointLost)
        assert error.message in checked
        west.sql("DROP TABLE cdcd.checkpoint")
        await operator.position_set(database, position, dry_run=False)
    else:
        assert "0 errors" in checked
    if lost == "DROP TABLE":
        west.sql(f"DROP TABLE IF EXISTS cdcd.{table}")
    renamed = Operator({"east": east, "west": west}, a_link(f"{database}_new", tables=link.tables), reverse)
    await renamed.rename(database, f"{database}_new")
    if lost == "DROP TABLE":
        west.sql(f"DROP TABLE IF EXISTS cdcd.{table}")
    await renamed.forget(f"{database}_new")
    assert [0] * 5 == everything(f"{database}_new", west)
    insert(east, database, 2)
    await carry(link, east, west, names=[database])
