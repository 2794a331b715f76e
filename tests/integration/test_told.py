"""What an operator is told: each conflict with its row and transaction, and never a value outside of a key."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from cdcd.apply import conflicts
from cdcd.apply.sql import writer
from cdcd.errors import CdcdError
from tests.fixtures.links import Both, running
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.servers import ServerFactory

pytestmark = pytest.mark.usefixtures("every_row_splits")

ROWS = "INSERT INTO t VALUES (1, 10, 'a'), (2, 20, 'b'), (3, 30, 'c'), (4, 40, 'd')"
SHAPES = {
    "merged": "CREATE TABLE t (id INT PRIMARY KEY, u INT, v VARCHAR(40))",
    "another key": "CREATE TABLE t (id INT PRIMARY KEY, u INT UNIQUE, v VARCHAR(40))",
    "in order": "CREATE TABLE t (id INT PRIMARY KEY, u INT, v VARCHAR(40), r INT REFERENCES t (id))",
}


def told(logs: list[Any], *facts: str) -> list[tuple[str, ...]]:
    """Return facts of each conflict in the log, in a fixed order."""
    events = [each for each in logs if each["event"] == "conflict_overwritten"]
    return sorted(tuple(event[fact] for fact in facts) for event in events)


@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
async def test_each_conflict_is_told_with_its_row_and_transaction(both: Both, shape: str, parts: bool) -> None:
    """Beside rows that agree, in statements of one row and of many, and in transactions that come in parts."""
    both.both(f"{SHAPES[shape]}; {ROWS.replace(')', ', NULL)') if shape == 'in order' else ROWS}")
    columns = "(id, u, v)"
    both.only_target(f"DELETE FROM t WHERE id IN (1, 4); INSERT INTO t {columns} VALUES (7, 70, 'other')")
    begun, gtids = both.source.binlog_position()[2], []
    statements = [
        f"INSERT INTO t {columns} VALUES (6, 60, 'x'), (7, 70, 'y'), (8, 80, 'z')",
        "UPDATE t SET v = 'new' WHERE id < 4",
        "DELETE FROM t WHERE id > 2 AND id < 5",
        f"INSERT INTO t {columns} VALUES (9, 90, 'x')",
    ]
    for statement in statements:
        both.only_source(statement)
        gtids.append(both.source.binlog_position()[2])
    with capture_logs() as logs:
        changes = {"transaction_bytes_max": 1} if parts else {}
        outcome = await both.carry(start=begun, **changes)
    assert 3 == outcome.conflicts
    expected = [
        ("id = 1", gtids[1], "update_missed_row"),
        ("id = 4", gtids[2], "delete_missed_row"),
        ("id = 7", gtids[0], "insert_found_row"),
    ]
    assert expected == told(logs, "row", "gtid", "kind")
    assert {(f"{both.database}.t",)} == set(told(logs, "table"))
    both.assert_equal("t")


@pytest.mark.parametrize("far_seconds", [-1.0, 60.0])
async def test_a_row_that_has_the_new_values_already_is_no_conflict(
    both: Both, far_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server answers an upsert alike where the row was missing and where it changes nothing."""
    monkeypatch.setattr(writer, "FAR_SECONDS", far_seconds)
    both.both(f"{SHAPES['merged']}; {ROWS}")
    both.only_target("UPDATE t SET v = 'new' WHERE id < 3; DELETE FROM t WHERE id = 4")
    with capture_logs() as logs:
        for statement in ("UPDATE t SET v = 'new' WHERE id = 1", "UPDATE t SET v = 'new' WHERE id IN (2, 3)"):
            assert 0 == (await both.carry(statement)).conflicts
        assert 1 == (await both.carry("UPDATE t SET v = 'new' WHERE id = 4")).conflicts
    assert [("id = 4", "update_missed_row")] == told(logs, "row", "kind")
    both.assert_equal("t")


async def test_a_conflict_among_many_rows_costs_no_other_its_speed(both: Both) -> None:
    """Only the statement that is contradicted is looked at row by row."""
    both.both(f"{SHAPES['merged']}")
    both.only_target("INSERT INTO t VALUES (5000, 0, 'other')")
    with capture_logs() as logs:
        outcome = await both.carry("INSERT INTO t SELECT seq, seq, 'x' FROM seq_1_to_6000", writers=1)
    assert [("id = 5000",)] == told(logs, "row")
    assert 0 == outcome.row_by_row
    both.assert_equal("t")


async def test_no_more_conflicts_are_told_than_anyone_reads(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood is cut short, and how much of it was left out is told."""
    monkeypatch.setattr(conflicts, "TOLD_MAX", 3)
    both.both(SHAPES["merged"])
    both.only_target("INSERT INTO t SELECT seq, 0, 'other' FROM seq_1_to_10")
    with capture_logs() as logs:
        await both.carry("INSERT INTO t SELECT seq, 1, 'x' FROM seq_1_to_10")
    assert 3 == len(told(logs, "row"))
    [left] = [event for event in logs if event["event"] == "conflicts_left_out"]
    assert (7, 3) == (left["conflicts"], left["told"])


SECRET = "s3cret"
REFUSED = {
    "keyless": ("CREATE TABLE t (v VARCHAR(40))", "INSERT INTO t VALUES ('{s}')", "DELETE FROM t", "DELETE FROM t"),
    "duplicate": (
        "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40), UNIQUE (v))",
        "INSERT INTO t VALUES (1, 'a')", "UPDATE t SET v = '{s}'", "INSERT INTO t VALUES (2, '{s}')",
    ),
    "no character": (
        "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))",
        "DO 0", "ALTER TABLE t MODIFY v VARCHAR(40) CHARACTER SET latin1", "INSERT INTO t VALUES (1, '{s}\u4e2d')",
    ),
    "partition": (
        "CREATE TABLE t (id INT, v INT, PRIMARY KEY (id, v))",
        "DO 0", "ALTER TABLE t PARTITION BY RANGE (v) (PARTITION p VALUES LESS THAN (5))",
        "INSERT INTO t VALUES (1, 9)",
    ),
    "parent": (
        "CREATE TABLE p (v VARCHAR(40) PRIMARY KEY); CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))",
        "INSERT INTO p VALUES ('{s}')", "DELETE FROM p; ALTER TABLE t ADD FOREIGN KEY (v) REFERENCES p (v)",
        "INSERT INTO t VALUES (1, '{s}')",
    ),
    "generated": (
        "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))",
        "DO 0", "ALTER TABLE t ADD w INT AS (CAST(JSON_VALUE(v, '$') AS INT) + EXP(LENGTH(v) * 1000)) STORED",
        "INSERT INTO t VALUES (1, '{s}')",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
async def test_no_value_outside_of_a_key_is_told(both: Both, case: str, either_way: str) -> None:
    """Neither in the error, nor in the status, nor in any line of the log: servers quote values in their errors."""
    create, rows, on_target, change = (text.replace("{s}", SECRET) for text in REFUSED[case])
    both.both(f"{create}; {rows}")
    link = both.link()
    both.only_target(f"SET sql_mode = ''; {on_target}")
    both.only_source(change)
    with capture_logs() as logs:
        async with running(link, both.source, both.target) as followed:
            error = await followed.stopped(20)
            shown = f"{error!s} {error!r} {followed.runner.error}"
    assert isinstance(error, CdcdError), logs
    assert SECRET not in shown + repr(logs)
    assert f"table {both.database}.t, " in str(error)
    assert ", change " in str(error)
    assert "transaction 0-" in str(error)
    if case == "duplicate":
        assert "for key 'v'" in str(error)
    if case == "partition":
        assert "no partition for value ..." in str(error)


MIB = 1024 * 1024
LARGE = {
    "quotes": ("LONGTEXT", "REPEAT('''', {size})"),
    "backslashes": ("LONGBLOB", "REPEAT(0x5C, {size})"),
    "letters": ("LONGTEXT", "REPEAT('x', {size})"),
}


@pytest.fixture(scope="module")
def narrow(module_server_factory: ServerFactory) -> MariaDB:
    """A target that takes packets of 4 MiB."""
    return module_server_factory({"max-allowed-packet": "4M"})


@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize("case", LARGE)
async def test_rows_near_the_largest_packet_are_carried(east: Any, narrow: Any, case: str, parts: bool) -> None:
    """Text doubles in SQL, bytes are a third more in an event: what fits in either way is carried."""
    column, value = LARGE[case]
    name = f"large_{case}_{parts}".lower()
    both = Both(east, narrow, name)
    for server in (east, narrow):
        server.sql(f"DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name}")
    both.both(f"CREATE TABLE t (id INT PRIMARY KEY, v {column})")
    # An insert or a delete fits as an event up to three quarters of a packet, an update has two images.
    large, half = (value.format(size=size * MIB // 10) for size in (29, 14))
    outcome = await both.carry(
        f"INSERT INTO t VALUES (1, {large}), (2, {half})",
        f"BEGIN; UPDATE t SET v = CONCAT({half}, 'a') WHERE id = 2; INSERT INTO t VALUES (3, 'z'); COMMIT",
        "UPDATE t SET id = 4 WHERE id = 2",
        "DELETE FROM t WHERE id = 1",
        **({"transaction_bytes_max": 1} if parts else {}),
    )
    assert 0 == outcome.conflicts
    query = "SELECT id, LENGTH(v), MD5(v) FROM t ORDER BY id"
    assert both.on_source(query) == both.on_target(query)
    east.sql(f"DROP DATABASE {name}")


async def test_a_row_larger_than_any_packet_says_what_is_needed(east: Any, narrow: Any) -> None:
    """Which row it is, how large, and which setting to raise."""
    both = Both(east, narrow, "too_large")
    for server in (east, narrow):
        server.sql("DROP DATABASE IF EXISTS too_large; CREATE DATABASE too_large")
    both.both("CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT)")
    with pytest.raises(CdcdError, match=r"of 4\d{6} bytes.*max_allowed_packet is 4194304 .*row id = 1.*raise max_"):
        await both.carry(f"INSERT INTO t VALUES (1, REPEAT('x', 4 * {MIB}))")
    east.sql("DROP DATABASE too_large")
