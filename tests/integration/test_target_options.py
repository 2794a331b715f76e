"""What a target's option file makes of row events: where its applier would not do as they say, rows go as SQL."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator

import pytest

from cdcd.apply.sql import writer
from cdcd.apply.sql.exchange import Expected
from cdcd.errors import Fenced, PrecheckFailed
from cdcd.mysql.flavor import Flavor
from cdcd.row.row_set import RowSet
from tests.fixtures.links import Both, running
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.servers import ServerFactory

TABLE = "CREATE TABLE t (id INT PRIMARY KEY, v INT)"
MANY = "INSERT INTO t SELECT seq, 0 FROM seq_1_to_500"


def to_private(server_factory: ServerFactory, east: MariaDB, database: str, **options: str) -> Both:
    """Return links to a target of their own, with options of its own."""
    target = server_factory({name.replace("_", "-"): value for name, value in options.items()})
    target.sql(f"CREATE DATABASE {database}")
    both = Both(east, target, database)
    both.both(TABLE)
    return both


@pytest.mark.parametrize("errors", ["1062", "all"])
async def test_no_row_is_left_out_where_the_target_passes_over_errors(
    server_factory: ServerFactory, east: MariaDB, database: str, errors: str
) -> None:
    """Its applier would end an event at the first row that is there, and call that a success."""
    both = to_private(server_factory, east, database, slave_skip_errors=errors)
    both.only_target("INSERT INTO t VALUES (50, 7)")
    assert 1 == (await both.carry(MANY)).conflicts
    both.assert_equal("t")


@pytest.mark.parametrize("far", [False, True], ids=["near", "far"])
async def test_a_later_run_fences_where_the_target_passes_over_errors(
    server_factory: ServerFactory, east: MariaDB, database: str, monkeypatch: pytest.MonkeyPatch, far: bool
) -> None:
    """Its applier would say of a marker whose row it does not find that it was written."""
    monkeypatch.setattr(writer, "FAR_SECONDS", 0.0 if far else 60.0)
    both = to_private(server_factory, east, database, slave_skip_errors="1032,1062")
    async with running(both.link(), both.source, both.target) as link:
        both.only_source("INSERT INTO t VALUES (1, 1)")
        await link.caught_up()
        later = f"UPDATE cdcd.checkpoint SET epoch = epoch + 1 WHERE link = '{link.runner.name}'"
        await asyncio.to_thread(both.target.sql, later)
        both.only_source("INSERT INTO t VALUES (2, 2)")
        assert isinstance(await link.stopped(20), Fenced)
    assert [(1, 1)] == both.on_target("SELECT * FROM t")


@pytest.mark.parametrize("hidden", ["", "SET GLOBAL replicate_rewrite_db = ''; "], ids=["shown", "hidden"])
async def test_rows_reach_their_own_database_where_the_target_s_applier_renames_it(
    server_factory: ServerFactory, east: MariaDB, database: str, hidden: str
) -> None:
    """The filters that a server started with hold for events as statements too, whatever its variables say since."""
    both = to_private(server_factory, east, database, replicate_rewrite_db=f"{database}->archive")
    both.only_target(f"{hidden}CREATE DATABASE archive; CREATE TABLE archive.t LIKE t")
    await both.carry(MANY)
    assert [] == both.on_target("SELECT * FROM archive.t")
    both.assert_equal("t")


async def test_the_marker_is_written_to_its_own_database(
    server_factory: ServerFactory, east: MariaDB, database: str
) -> None:
    """A copy of cdcd's tables under another name would take it, and the link's own row stay behind."""
    both = to_private(server_factory, east, database, replicate_rewrite_db="cdcd->archive")
    async with running(both.link(), both.source, both.target) as link:
        both.only_target(
            "CREATE DATABASE archive; CREATE TABLE archive.checkpoint LIKE cdcd.checkpoint;"
            " INSERT INTO archive.checkpoint SELECT * FROM cdcd.checkpoint"
        )
        both.only_source("INSERT INTO t VALUES (1, 1)")
        await link.caught_up()
        slot = f"WHERE link = '{link.runner.name}' AND slot = 0"
        batch = link.pipeline.dispatcher.batch_number
        assert [(batch,)] == both.target.sql(f"SELECT batch FROM cdcd.checkpoint {slot}")
    assert [(0,)] == both.target.sql(f"SELECT batch FROM archive.checkpoint {slot}")


async def test_rows_that_are_not_renamed_go_as_events(
    server_factory: ServerFactory, east: MariaDB, database: str
) -> None:
    """What the option file says of other databases costs nothing here."""
    both = to_private(server_factory, east, database, replicate_rewrite_db="other->archive")
    async with running(both.link(writers=1), both.source, both.target) as link:
        before = both.target.sql("SHOW GLOBAL STATUS LIKE 'Com_binlog'")
        both.only_source(MANY)
        await link.caught_up()
        [(_, events)] = both.target.sql("SHOW GLOBAL STATUS LIKE 'Com_binlog'")
    both.assert_equal("t")
    assert int(events) > int(before[0][1])


async def test_a_target_that_stops_being_strict_within_a_partition_is_noticed(
    server_factory: ServerFactory, east: MariaDB, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server reads that setting anew for each event, and an idempotent one tells of no row that is there."""
    both = to_private(server_factory, east, database)
    both.both("CREATE TABLE wide (id INT PRIMARY KEY, v INT, filler VARBINARY(4000))")
    both.only_target("INSERT INTO wide VALUES (900, 7, '')")
    of = writer.as_events

    def as_events(steps: Collection[RowSet], flavor: Flavor) -> Iterator[tuple[bytes, Expected]]:
        for i, each in enumerate(of(steps, flavor)):
            if i == 3:  # What is before is on its way.
                both.target.sql("SET GLOBAL slave_exec_mode = 'IDEMPOTENT'")
            yield each

    monkeypatch.setattr(writer, "as_events", as_events)
    outcome = await both.carry("INSERT INTO wide SELECT seq, 0, REPEAT('x', 4000) FROM seq_1_to_1000", writers=1)
    assert 1 == outcome.conflicts
    both.assert_equal("wide")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("binlog-ignore-db", "cdcd", "keeps database cdcd out of the log"),
        ("binlog-do-db", "shop", "keeps database cdcd out of the log"),
        ("log-bin", None, "the binary log is off"),
    ],
)
async def test_a_pair_s_target_that_comes_back_without_the_marker_in_its_log_stops_the_link(
    server_factory: ServerFactory, east: MariaDB, database: str, option: str, value: str | None, said: str
) -> None:
    """The other link would take what this one writes for the target's own changes, and send it back."""
    both = to_private(server_factory, east, database)
    async with running(both.link(), both.source, both.target, is_paired=True) as link:
        both.only_source("INSERT INTO t VALUES (1, 1)")
        await link.caught_up()
        both.target.options[option] = value
        await asyncio.to_thread(both.target.stop)
        both.target.start()
        both.only_source("INSERT INTO t VALUES (2, 2)")
        error = await link.stopped(20)
    assert isinstance(error, PrecheckFailed), error
    assert said in str(error)
    assert option.replace("-", "_") in error.hint
    assert [(1, 1)] == both.on_target("SELECT * FROM t")


async def test_a_one_way_link_needs_no_marker_in_the_target_s_log(
    server_factory: ServerFactory, east: MariaDB, database: str
) -> None:
    """Nobody reads it there."""
    both = to_private(server_factory, east, database, binlog_ignore_db="cdcd")
    await both.carry(MANY)
    both.assert_equal("t")
