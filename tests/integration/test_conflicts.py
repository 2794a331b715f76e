"""What happens where the target's rows are not what the source's changes expect, under ``overwrite``.

The source's row wins and the conflict is counted, once a row. What cannot be done without losing a row that
the change does not speak of stops the link, and leaves the target as it was.
"""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from cdcd.errors import Conflict
from tests.fixtures.links import Both

pytestmark = pytest.mark.usefixtures("every_row_splits")

SHAPES = {
    "merged": "CREATE TABLE t (id INT PRIMARY KEY, u INT, v INT)",
    "merged with another key": "CREATE TABLE t (id INT PRIMARY KEY, u INT UNIQUE, v INT)",
    "composite": "CREATE TABLE t (id INT, u INT, v INT, PRIMARY KEY (id, u))",
    "in order": "CREATE TABLE t (id INT PRIMARY KEY, u INT, v INT, r INT REFERENCES t (id))",
}
ROWS = "INSERT INTO t (id, u, v) VALUES (1, 10, 1), (2, 20, 2), (3, 30, 3), (4, 40, 4)"


@pytest.mark.parametrize("writers", [1, 4])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("target", "source", "conflicts"),
    [
        ("INSERT INTO t (id, u, v) VALUES (7, 70, 7)", "INSERT INTO t (id, u, v) VALUES (7, 70, 0), (8, 80, 8)", 1),
        ("DELETE FROM t WHERE id = 1", "UPDATE t SET v = v + 5", 1),
        ("DELETE FROM t WHERE id > 1", "DELETE FROM t", 3),
        ("DELETE FROM t WHERE id = 4", "DELETE FROM t WHERE id = 4; INSERT INTO t (id, u, v) VALUES (5, 50, 5)", 1),
        ("UPDATE t SET v = 99 WHERE id < 4", "UPDATE t SET v = 7 WHERE id < 3; DELETE FROM t WHERE id = 3", 0),
        (
            "INSERT INTO t (id, u, v) VALUES (7, 70, 7); DELETE FROM t WHERE id < 3",
            "INSERT INTO t (id, u, v) VALUES (7, 70, 0); "
            "UPDATE t SET v = 9 WHERE id IN (1, 3); DELETE FROM t WHERE id = 2",
            3,
        ),
        ("DELETE FROM t WHERE id = 1", "UPDATE t SET v = 5 WHERE id = 1; UPDATE t SET v = 1 WHERE id = 1", 1),
    ],
)  # fmt: skip
async def test_conflicts_are_counted_and_the_source_wins(
    both: Both, shape: str, target: str, source: str, conflicts: int, writers: int
) -> None:
    """The count is what an operator acts on, so it may be neither more nor less than the rows that differed."""
    both.both(f"{SHAPES[shape]}; {ROWS}")
    both.only_target(target)
    outcome = await both.carry(source, writers=writers)
    assert conflicts == outcome.conflicts
    both.assert_equal("t")


@pytest.mark.parametrize("kind", ["SET('', 'x')", "ENUM('', 'x')"])
async def test_no_row_is_eaten_whose_key_reads_alike(both: Both, kind: str) -> None:
    """A member without letters reads as none; the numbers of the two keys differ, and so do their rows."""
    both.both(f"CREATE TABLE t (k {kind} PRIMARY KEY, u INT UNIQUE, v INT); INSERT INTO t VALUES (1, 10, 1)")
    both.only_target("SET sql_mode = ''; UPDATE t SET k = 0")
    with pytest.raises(Conflict, match="must be unique"):
        await both.carry("UPDATE t SET v = 7")
    assert [(0, 10, 1)] == both.on_target("SELECT k + 0, u, v FROM t")


async def test_a_conflict_does_not_take_the_rest_of_its_transaction_along(both: Both) -> None:
    """A transaction is applied whole: its other rows are not given up for one that differs."""
    both.both(f"{SHAPES['merged with another key']}; {ROWS}; CREATE TABLE other (id INT PRIMARY KEY)")
    both.only_target("INSERT INTO t VALUES (5, 50, 0)")
    script = "BEGIN; INSERT INTO other VALUES (1); INSERT INTO t VALUES (5, 50, 5); UPDATE t SET v = 0; COMMIT"
    assert 1 == (await both.carry(script)).conflicts
    both.assert_equal("t", "other")


@pytest.mark.parametrize(
    ("target", "source"),
    [
        ("UPDATE t SET u = 50 WHERE id = 4", "INSERT INTO t VALUES (5, 50, 5)"),
        ("UPDATE t SET u = 50 WHERE id = 4", "UPDATE t SET u = 50 WHERE id = 1"),
        ("DELETE FROM t WHERE id = 1; UPDATE t SET u = 10 WHERE id = 4", "UPDATE t SET v = 7 WHERE id = 1"),
        ("UPDATE t SET u = 50 WHERE id = 4", "UPDATE t SET id = 9, u = 50 WHERE id = 1"),
        ("INSERT INTO t VALUES (5, NULL, 0); UPDATE t SET u = 50 WHERE id = 4", "INSERT INTO t VALUES (5, 50, 5)"),
    ],
)  # fmt: skip
async def test_no_row_is_eaten_through_another_unique_key(both: Both, target: str, source: str) -> None:
    """REPLACE and unguarded upserts remove or overwrite a row that merely shares a value; the link stops instead."""
    both.both(f"{SHAPES['merged with another key']}; {ROWS}")
    both.only_target(target)
    before = both.on_target("SELECT * FROM t ORDER BY id")
    with pytest.raises(Conflict, match=rf"table {both.database}.t, row id = \d.*transaction 0-.*by hand"):
        await both.carry(f"BEGIN; UPDATE t SET v = 100 WHERE id = 2; {source}; COMMIT")
    assert before == both.on_target("SELECT * FROM t ORDER BY id")


async def test_a_link_goes_on_once_the_row_in_the_way_is_gone(both: Both) -> None:
    """What stopped is not lost: it is applied, once, after somebody has decided."""
    both.both(f"{SHAPES['merged with another key']}; {ROWS}")
    both.only_target("UPDATE t SET u = 50 WHERE id = 4")
    link = both.link()
    with pytest.raises(Conflict):
        await both.follow(link, "INSERT INTO t VALUES (5, 50, 5); UPDATE t SET v = 9 WHERE id = 1")
    both.only_target("UPDATE t SET u = 40 WHERE id = 4")
    await both.follow(link)
    both.assert_equal("t")


GUARDED = {
    "int": ("INT", "1", "2"),
    "auto": ("INT AUTO_INCREMENT", "1", "2"),
    "unsigned": ("BIGINT UNSIGNED", "18446744073709551614", "18446744073709551615"),
    "decimal": ("DECIMAL(65,30)", "12345678901234567890123456789012345.5", "0.1"),
    "double": ("DOUBLE", "1e300", "5e-324"),
    "text": ("VARCHAR(20) COLLATE utf8mb4_general_ci", "'a'", "'9'"),
    "latin1": ("VARCHAR(20) CHARACTER SET latin1", "'ü'", "'u'"),
    "varbinary": ("VARBINARY(20)", "X'FF00'", "X'FF'"),
    "binary": ("BINARY(3)", "X'610000'", "X'620000'"),
    "datetime": ("DATETIME(6)", "'2024-01-01 00:00:00.000001'", "'0000-00-00'"),
    "timestamp": ("TIMESTAMP(3)", "'2024-01-01 00:00:00.001'", "'2024-01-01'"),
    "time": ("TIME(6)", "'-838:59:59'", "'00:00:00.000001'"),
    "year": ("YEAR", "1999", "2000"),
    "bit": ("BIT(64)", "0xFFFFFFFFFFFFFFFF", "0"),
    "enum": ("ENUM('x','y')", "'x'", "'y'"),
    "set": ("SET('x','y')", "'x,y'", "''"),
    "uuid": ("UUID", "'00000000-0000-0000-0000-000000000001'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"),
    "inet6": ("INET6", "'::1'", "'::2'"),
}
RELAXED = "SET sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'"


@pytest.mark.parametrize("composite", ["", "g, "])
@pytest.mark.parametrize("kind", GUARDED)
async def test_an_upsert_fails_exactly_where_it_would_hit_another_row(both: Both, kind: str, composite: str) -> None:
    """One statement updates many rows; the guard in it must tell its own rows from others by keys of any kind."""
    declared, own, other = GUARDED[kind]
    keys = f"PRIMARY KEY ({composite}k), KEY (k)"
    create = f"CREATE TABLE t (k {declared} NOT NULL, g INT NOT NULL, v INT, u INT UNIQUE, {keys})"
    both.both(f"{RELAXED}; {create}; INSERT INTO t VALUES ({own}, 1, 1, 1)")
    outcome = await both.carry("UPDATE t SET v = v + 1", "UPDATE t SET v = 7")
    assert (0, 0) == (outcome.conflicts, outcome.row_by_row)
    both.assert_equal("t")

    both.only_target(f"{RELAXED}; DELETE FROM t; INSERT INTO t VALUES ({other}, 1, 3, 1)")
    before = both.on_target("SELECT * FROM t")
    with capture_logs() as logs, pytest.raises(Conflict):
        await both.carry("UPDATE t SET v = 8")
    *_, reason = [entry["reason"] for entry in logs if entry["event"] == "share_contradicted"]
    assert reason.startswith("server error 1690")
    assert before == both.on_target("SELECT * FROM t")


@pytest.mark.parametrize("change", ["UPDATE t SET v = 2", "DELETE FROM t"])
async def test_a_missing_row_without_a_key_stops_the_link(both: Both, change: str) -> None:
    """Without a key nobody can tell whether the row is missing or merely different, so nothing is guessed."""
    both.both("CREATE TABLE t (v INT, w INT); INSERT INTO t VALUES (1, 1)")
    both.only_target("UPDATE t SET w = 2")
    with pytest.raises(Conflict, match="add a primary key"):
        await both.carry(change)
    assert [(1, 2)] == both.on_target("SELECT * FROM t")


async def test_only_the_source_s_letters_remain(both: Both) -> None:
    """A row in the way whose key merely compares equal takes the source's key too."""
    both.both("CREATE TABLE t (k VARCHAR(9) COLLATE utf8mb4_general_ci PRIMARY KEY, v INT)")
    both.only_target("INSERT INTO t VALUES ('É', 1)")
    assert 1 == (await both.carry("INSERT INTO t VALUES ('e ', 2)")).conflicts
    both.assert_equal("t")
