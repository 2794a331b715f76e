"""The SQL text of key ranges, with SQLite as the judge of what it means."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdcd.model.table import Column
from cdcd.verify.expression import any_of, beyond, can_match, literal, up_to

WIDTH = 3
keys = st.tuples(*[st.integers(0, 3)] * WIDTH)


def column(name: str = "k", column_type: str = "int(11)", charset: str = "", collation: str = "") -> Column:
    """Describe a column."""
    return Column(name, column_type, column_type.partition("(")[0], charset, collation, False, False, False)


COLUMNS = [column(f"k`{index}") for index in range(WIDTH)]


def select(rows: set[tuple[int, ...]], condition: str) -> set[tuple[int, ...]]:
    """Return the rows that the condition holds for."""
    names = ", ".join(f'"{each.name}"' for each in COLUMNS)
    database = sqlite3.connect(":memory:")
    try:
        database.execute(f"CREATE TABLE t ({names})")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        return set(database.execute(f"SELECT * FROM t WHERE {condition}"))
    finally:
        database.close()


@given(st.sets(keys), keys)
def test_a_bound_divides_rows_by_key_order(rows: set[tuple[int, ...]], bound: tuple[int, ...]) -> None:
    """Every row is on one side of a bound: beyond it, or up to it."""
    assert {row for row in rows if row > bound} == select(rows, beyond(COLUMNS, bound))
    assert {row for row in rows if row <= bound} == select(rows, up_to(COLUMNS, bound))


@given(st.sets(keys), st.lists(keys, min_size=1, max_size=5))
def test_rows_are_found_by_any_of_their_keys(rows: set[tuple[int, ...]], wanted: list[tuple[int, ...]]) -> None:
    """A lookup finds the wanted rows that there are, and no other."""
    assert rows & set(wanted) == select(rows, any_of(COLUMNS, wanted))


@pytest.mark.parametrize(
    ("of", "value", "expected"),
    [
        (column(column_type="bigint(20) unsigned"), 2**64 - 1, "18446744073709551615"),
        (column(column_type="varbinary(9)"), b"\x00'", "X'0027'"),
        (column(column_type="decimal(9,2)"), "-1.50", "-1.50"),
        (column(column_type="float"), "0.10000000149011612", "0.10000000149011612e0"),
        (column(column_type="double"), "1e-200", "1e-200"),
        (column(column_type="date"), "2020-01-01", "'2020-01-01'"),
        (
            column(column_type="varchar(9)", charset="latin1", collation="latin1_bin"),
            "a'\\",
            "CONVERT('a''\\\\' USING latin1) COLLATE latin1_bin",
        ),
    ],
)
def test_a_key_value_is_written_exactly(of: Column, value: int | str | bytes, expected: str) -> None:
    """No digit and no byte is lost, and text compares by the column's own collation."""
    assert expected == literal(of, value)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("int(11)", "bigint(20) unsigned", True),
        ("int(11)", "varchar(20)", False),
        ("decimal(9,2)", "decimal(9,2)", True),
        ("decimal(9,2)", "decimal(9,3)", False),
        ("binary(4)", "varbinary(9)", True),
        ("enum('a','b')", "enum('b','a')", False),
        ("enum('a','b')", "enum('a','b')", True),
        ("date", "datetime", False),
    ],
)
def test_key_columns_match_when_their_values_read_alike(one: str, other: str, expected: bool) -> None:
    """Keys are matched by value, so a pair of types that print the same value differently is refused."""
    assert expected == can_match(column(column_type=one), column(column_type=other))
