"""The marker, as an event or as a statement: every transaction begins with it, and none is without."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from cdcd.apply.contract import Mark
from cdcd.apply.sql import marker_event, writer
from cdcd.apply.sql.marker_event import MarkerEvents
from cdcd.checkpoint import layout
from cdcd.errors import Fenced, TargetBusy
from cdcd.mysql.session import Session
from tests.fixtures.links import Both, running
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.servers import ServerFactory

TABLE = "CREATE TABLE t (id INT PRIMARY KEY, v INT)"
FEW = "INSERT INTO t VALUES (1, 1)"
MANY = "INSERT INTO t SELECT seq, 0 FROM seq_1_to_500"
PARTS = "INSERT INTO t SELECT seq, 0 FROM seq_1_to_30000"


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the batches that were marked by an event."""
    batches: list[int] = []

    def statement(self: MarkerEvents, mark: Mark, of: Any = MarkerEvents.statement) -> Any:
        batches.append(mark.batch)
        return of(self, mark)

    monkeypatch.setattr(MarkerEvents, "statement", statement)
    return batches


def transactions(server: MariaDB, since: tuple[str, int, str]) -> list[list[str]]:
    """Return the tables of each transaction that a server has logged, in their order there, or its statement."""
    found: list[list[str]] = []
    for event in server.sql(f"SHOW BINLOG EVENTS IN '{since[0]}' FROM {since[1]}"):
        if event[2] == "Gtid":
            found.append([])
        elif event[2] == "Table_map":
            found[-1].append(event[5].split("(")[1].rstrip(")"))
        elif event[2] == "Query":
            found[-1].append(event[5])
    return found


WAYS: dict[str, tuple[str, str, str, int]] = {
    # What the target's table holds, what is carried, the size of a part, how many marks are events at least.
    "few rows": ("", FEW, "", 1),
    "few rows each": ("", FEW + "; UPDATE t SET v = 2; INSERT INTO t VALUES (2, 2)", "", 1),
    "many rows": ("", MANY, "", 1),
    "parts": ("", PARTS, "64KiB", 0),
    "a row that is there": ("INSERT INTO t VALUES (1, 7)", FEW, "", 1),
    "many rows and one that is there": ("INSERT INTO t VALUES (1, 7)", MANY, "", 1),
    "many changes of rows that are not there": (
        "",
        f"SET sql_log_bin = 0; {MANY}; SET sql_log_bin = 1; UPDATE t SET v = id",
        "",
        1,
    ),
}


@pytest.mark.parametrize("image", ["FULL", "MINIMAL", "NOBLOB"])
@pytest.mark.parametrize("way", WAYS)
async def test_the_marker_is_the_first_table_of_every_transaction(
    both: Both, marked: list[int], way: str, image: str
) -> None:
    """The other link of a pair knows by it what not to send back, and reads nothing before it."""
    target, script, part, by_event = WAYS[way]
    both.both(TABLE)
    both.only_target(f"SET GLOBAL binlog_row_image = {image}; {target}")
    try:
        options = {"transaction_bytes_max": 1 << 16, "queue_bytes_max": 1 << 20} if part else {}
        async with running(both.link(**options), both.source, both.target) as link:
            await link.caught_up()
            before = both.target.binlog_position()
            both.only_source(script)
            await link.caught_up()
            logged = transactions(both.target, before)
    finally:
        both.only_target("SET GLOBAL binlog_row_image = FULL")
    both.assert_equal("t")
    applied = [tables for tables in logged if f"{both.database}.t" in tables]
    assert applied
    assert {"cdcd.checkpoint"} == {tables[0] for tables in applied}, logged
    assert len(marked) >= by_event


async def test_a_position_that_moves_and_a_schema_change_begin_with_a_table_of_cdcd(both: Both) -> None:
    """Neither carries a row, and the other link must not take either for a client's."""
    both.both(TABLE)
    async with running(both.link(ddl=True, heartbeat_seconds=1), both.source, both.target) as link:
        await link.caught_up()
        before = both.target.binlog_position()
        both.only_source("ALTER TABLE t ADD COLUMN w INT")
        await link.caught_up()
        dispatcher = link.pipeline.dispatcher
    logged = transactions(both.target, before)
    assert dispatcher is not None
    carried = [i for i, tables in enumerate(logged) if any("ADD COLUMN w" in each for each in tables)]
    assert ["cdcd.ddl", "cdcd.checkpoint"] == logged[carried[0] - 1][:2]
    rest = [tables for i, tables in enumerate(logged) if i not in (carried[0], carried[0] - 1)]
    assert {"cdcd.checkpoint", "cdcd.link"} >= {tables[0] for tables in rest if tables}, logged


async def row_of(both: Both, link: str) -> dict[str, Any]:
    """Return the row of a link's first slot, by column."""
    names = ",".join(layout.columns("checkpoint"))
    [row] = both.target.sql(f"SELECT {names} FROM cdcd.checkpoint WHERE link = '{link}' AND slot = 0")
    return dict(zip(layout.columns("checkpoint"), row, strict=True))


async def test_an_event_writes_what_the_statement_writes(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later run of either kind goes on from it."""
    both.both(TABLE)
    marks: list[Any] = []

    class Noted(writer.Marking):
        def __init__(self, mark, events) -> None:
            marks.append((mark, events))
            super().__init__(mark, events)

    monkeypatch.setattr(writer, "Marking", Noted)
    async with running(both.link(writers=1), both.source, both.target) as link:
        both.only_source(FEW)
        await link.caught_up()
        [own] = link.pipeline.dispatcher.writers
        mark, events = marks[-1]
        assert events is not None
        by_event = await row_of(both, link.runner.name)
        [(ahead,)] = both.target.sql(
            "SELECT TIMESTAMPDIFF(MICROSECOND, updated_at, NOW(6)) FROM cdcd.checkpoint"
            f" WHERE link = '{link.runner.name}' AND slot = 0"
        )
        assert abs(ahead) < 10_000_000
        await own.begin(replace(mark, batch=mark.batch + 1))
        await own.commit()
        by_statement = await row_of(both, link.runner.name)
    assert mark.batch == by_event["batch"]
    same = set(by_event) - {"updated_at", "batch"}
    assert {name: by_event[name] for name in same} == {name: by_statement[name] for name in same}


@pytest.fixture
def private(server_factory: ServerFactory, east: MariaDB, database: str) -> Both:
    """A target of its own, whose settings and tables may be changed."""
    target = server_factory()
    target.sql(f"CREATE DATABASE {database}")
    both = Both(east, target, database)
    both.both(TABLE)
    return both


def later_run(link: str) -> str:
    """Return what another run of a link does to its rows."""
    return f"UPDATE cdcd.checkpoint SET epoch = epoch + 1 WHERE link = '{link}'"


@pytest.mark.parametrize("far", [False, True], ids=["near", "far"])
@pytest.mark.parametrize(
    "change",
    [
        "SET GLOBAL slave_exec_mode = 'IDEMPOTENT'",
        "SET GLOBAL slave_type_conversions = 'ALL_LOSSY'",
        "ALTER TABLE cdcd.checkpoint DROP PRIMARY KEY, ADD PRIMARY KEY (link, slot)",
        "ALTER TABLE cdcd.checkpoint MODIFY event_time BIGINT UNSIGNED NOT NULL DEFAULT 0 AFTER batch",
        "ALTER TABLE cdcd.checkpoint ADD COLUMN note BIGINT UNSIGNED NOT NULL DEFAULT 0 AFTER slot",
        "ALTER TABLE cdcd.checkpoint ADD COLUMN note BIGINT UNSIGNED NOT NULL DEFAULT 0",
        "ALTER TABLE cdcd.checkpoint MODIFY origin VARCHAR(70) NOT NULL",
    ],
)
async def test_where_an_event_would_not_do_the_statement_marks(
    private: Both, monkeypatch: pytest.MonkeyPatch, change: str, far: bool
) -> None:
    """A server that passes over a row it does not find, or a table that is not ours, would leave rows unmarked."""
    monkeypatch.setattr(writer, "FAR_SECONDS", 0.0 if far else 60.0)
    async with running(private.link(writers=1), private.source, private.target) as link:
        private.only_source("INSERT INTO t VALUES (1, 1)")
        await link.caught_up()
        await asyncio.to_thread(private.target.sql, change)
        with capture_logs() as logs:
            for n in (2, 3):  # To a far target the first is sent again for what the guard before COMMIT saw.
                private.only_source(f"INSERT INTO t VALUES ({n}, {n})")
                await link.caught_up()
        row = await row_of(private, link.runner.name)
        assert row["batch"] == link.pipeline.dispatcher.batch_number
        assert "east" == row["origin"]
        assert row["event_time"] > 1_500_000_000
        assert 1 == [entry["event"] for entry in logs].count("marker_sent_as_sql")
        assert 0 == link.runner.conflicts
        await asyncio.to_thread(private.target.sql, later_run(link.runner.name))
        private.only_source("INSERT INTO t VALUES (4, 4)")
        assert isinstance(await link.stopped(20), Fenced)
    assert [(1,), (2,), (3,)] == private.on_target("SELECT id FROM t ORDER BY id")


@pytest.mark.parametrize("rows", [1, 300])
async def test_a_run_that_was_taken_over_says_so_though_a_row_is_missing_too(both: Both, rows: int) -> None:
    """Both are a row that is not found; only one of them is the marker's."""
    both.both(f"{TABLE}; INSERT INTO t SELECT seq, 0 FROM seq_1_to_{rows}")
    async with running(both.link(), both.source, both.target) as link:
        both.only_source("UPDATE t SET v = 1")
        await link.caught_up()
        both.only_target(f"DELETE FROM t WHERE id = {rows}; {later_run(link.runner.name)}")
        both.only_source("UPDATE t SET v = 2")
        error = await link.stopped(20)
    assert isinstance(error, Fenced)
    assert "a later run of this link has begun" in str(error)


async def test_a_row_that_is_missing_is_a_conflict_and_no_fence(both: Both, marked: list[int]) -> None:
    """The server says the same of the marker's row and of any other."""
    both.both(f"{TABLE}; INSERT INTO t SELECT seq, 0 FROM seq_1_to_300")
    async with running(both.link(), both.source, both.target) as link:
        both.only_target("DELETE FROM t WHERE id = 300")
        both.only_source("UPDATE t SET v = 2")
        await link.caught_up()
        assert 1 == link.runner.conflicts
        both.only_source("UPDATE t SET v = 3 WHERE id = 1")
        await link.caught_up()
    both.assert_equal("t")
    assert len(marked) >= 2  # What the rows contradicted was no reason to do without events.


async def test_what_is_there_though_its_commit_seemed_to_fail_is_not_applied_again(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may say that its disk is full after it has committed: a second try must see the first."""
    both.both("CREATE TABLE trace (n INT)")
    execute = Session.execute
    failing: list[Any] = []

    async def fail(self: Session, statement: str | bytes) -> int:
        answer = await execute(self, statement)
        if statement == "COMMIT" and failing:
            failing.pop()
            raise TargetBusy("server error 1026: no space")
        return answer

    monkeypatch.setattr(writer, "FAR_SECONDS", 60.0)
    async with running(both.link(), both.source, both.target) as link:
        both.only_source("INSERT INTO trace VALUES (0)")
        await link.caught_up()
        failing.append(1)
        monkeypatch.setattr(Session, "execute", fail)
        both.only_source("INSERT INTO trace VALUES (1)")
        assert isinstance(await link.stopped(20), Fenced)
    assert [(0,), (1,)] == both.on_target("SELECT n FROM trace ORDER BY n")


@pytest.mark.parametrize(
    ("change", "is_ours"),
    [
        (lambda text: text, True),
        (lambda text: text.replace(b"PRIMARY KEY (`link`,`slot`,`epoch`)", b"PRIMARY KEY (`link`,`slot`)"), False),
        (lambda text: text.replace(b"`log_began` bigint(20) unsigned", b"`log_began` bigint(20)"), False),
        (lambda text: text.replace(b"`link` varchar(64)", b"`link` varchar(63)"), False),
        (lambda text: text.replace(b"bigint(20)", b"bigint").replace(b"smallint(5)", b"smallint"), True),
    ],
)
def test_a_table_is_ours_by_its_columns_and_its_key(
    west: MariaDB, change: Callable[[bytes], bytes], is_ours: bool
) -> None:
    """Events know columns by their place."""
    west.sql(f"{layout.CREATE_DATABASE}; CREATE TABLE IF NOT EXISTS cdcd.marks_like ({layout.COLUMNS['checkpoint']})")
    [(_, definition)] = west.sql("SHOW CREATE TABLE cdcd.marks_like")
    west.sql("DROP TABLE cdcd.marks_like")
    assert is_ours is marker_event.is_ours(change(definition.encode()))
