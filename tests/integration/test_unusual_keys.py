"""Keys that are not what their columns say: of hashes, and of periods."""

from __future__ import annotations

import random

import pytest

from cdcd.apply.sql import writer
from tests.fixtures.links import Both

pytestmark = pytest.mark.usefixtures("every_row_splits")

HASHED = {
    "text": "x TEXT, UNIQUE (x)",
    "blob": "x BLOB, UNIQUE (x)",
    "long_varchar": "x VARCHAR(4000), UNIQUE (x)",
    "with_another_column": "x TEXT, UNIQUE (x, w)",
    "not_null": "x TEXT NOT NULL, UNIQUE (x)",
    "prefix_beside": "x TEXT, UNIQUE (x), UNIQUE (x(3))",
    "two": "x TEXT, y TEXT DEFAULT '', UNIQUE (x), UNIQUE (y, id)",
}


@pytest.mark.parametrize("primary", ["id INT PRIMARY KEY", "id INT"])
@pytest.mark.parametrize("keys", HASHED)
async def test_a_value_moves_between_rows_of_a_key_over_long_columns(both: Both, keys: str, primary: str) -> None:
    """The server keeps such a key by a hidden column; rows that hold one value in turn must stay in order."""
    both.both(f"CREATE TABLE t ({primary}, w INT, {HASHED[keys]})")
    moves = [f"INSERT INTO t (id, w, x) VALUES ({row}, 1, '{row}-start')" for row in range(20)]
    for turn in range(40):
        row = turn % 20
        moves += [
            f"UPDATE t SET x = 'aside' WHERE id = {row}",
            f"UPDATE t SET x = '{row}-start ' WHERE id = {(row + 1) % 20}",
            f"DELETE FROM t WHERE id = {row}",
            f"UPDATE t SET x = '{(row + 1) % 20}-start' WHERE id = {(row + 1) % 20}",
            f"INSERT INTO t (id, w, x) VALUES ({row}, 1, '{row}-start')",
        ]
    outcome = await both.carry(";".join(moves), writers=4)
    assert 0 == outcome.conflicts
    both.assert_equal("t")


PERIODS = {
    "unique": "id INT, s DATE, e DATE, v INT, n INT PRIMARY KEY, PERIOD FOR p (s, e), UNIQUE (id, p WITHOUT OVERLAPS)",
    "primary": "id INT, s DATE, e DATE, v INT, n INT, PERIOD FOR p (s, e), PRIMARY KEY (id, p WITHOUT OVERLAPS)",
    "nullable": "id INT, s DATE, e DATE, v INT, n INT, PERIOD FOR p (s, e), UNIQUE (id, p WITHOUT OVERLAPS)",
}


@pytest.mark.parametrize("shape", PERIODS)
async def test_periods_that_must_not_overlap_are_handed_on_in_order(both: Both, shape: str) -> None:
    """Two rows of other dates can exclude each other, so no key of the log's bytes tells which may change writers."""
    both.both(f"CREATE TABLE t ({PERIODS[shape]})")
    chance = random.Random(shape)
    script, number = [], 0
    for _ in range(60):
        script.append(f"DELETE FROM t WHERE id = {chance.randrange(2)}")
        for _ in range(3):
            number += 1
            day = chance.randrange(300)
            until = day + chance.randrange(1, 60)
            dates = f"'2024-01-01' + INTERVAL {day} DAY, '2024-01-01' + INTERVAL {until} DAY"
            script.append(f"INSERT IGNORE INTO t (id, s, e, v, n) VALUES ({chance.randrange(2)}, {dates}, 0, {number})")
        script.append("UPDATE t FOR PORTION OF p FROM '2024-03-01' TO '2024-05-01' SET v = v + 1 WHERE n % 2")
    if shape == "unique":  # A portion of a row is a second row, which would need a number of its own.
        script = [text for text in script if "PORTION" not in text]
    outcome = await both.carry(";".join(script), writers=4)
    assert 0 == outcome.conflicts
    assert 0 == outcome.row_by_row
    both.assert_equal("t")


@pytest.mark.usefixtures("rows_as_events")
async def test_the_row_that_is_meant_is_changed_where_a_unique_key_holds_nulls(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An applier that looks at a table's first key may take the first row that another index finds for the one."""
    both.both(
        "CREATE TABLE t (u INT UNIQUE, v INT, w INT, KEY (v));"
        "INSERT INTO t SELECT IF(seq % 2 AND seq < 400, seq, NULL), (seq + 1) DIV 2, seq FROM seq_1_to_10000;"
        "ANALYZE TABLE t"
    )
    monkeypatch.delattr(writer, "row_events")  # None is made.
    outcome = await both.carry("DELETE FROM t WHERE u IS NULL AND w < 200; UPDATE t SET w = -1 WHERE w = 300")
    assert 0 == outcome.conflicts
    both.assert_equal("t")
