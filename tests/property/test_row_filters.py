"""A row filter passes the rows that the server selects with the same text in a real WHERE clause.

A WHERE clause is more than an expression that is computed for each row: the server folds constants, puts what it knows
to be equal in each other's place, rewrites conditions on columns that are NOT NULL, and looks into indexes. So every
column is there as NULL and as NOT NULL, and the table both with and without an index on each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from random import Random
from typing import Any

import pymysql
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cdcd.model.table import Column
from cdcd.route.where import RowFilter, UndecidableFilter
from tests.fixtures.logged import logged
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.search import examples

LONG = ("2147483647", "9223372036854775807", "18446744073709551615", "9007199254740993")
EXACT = ("0", "1", "-1", "5", "10.5", "0.1", "-0.001", "1e1", "0.5e0", "255", "1e300", "0x05", "b'101'", *LONG)
NUMBERS = (*EXACT, "'5'", "'10.50'", "'-1'", "'0'")
INTEGERS = ("0", "1", "5", "9", "10", "255")
TEXTS = ("''", "' '", "'eu'", "'EU'", "'eu '", "'us'", "'é'", "'5'", "'5.0'", "'e%'", "'e_'", "'a\\t'", "'a,b'", "'a'")
BYTES = ("''", "' '", "'eu'", "'EU'", "'eu '", "X'FF00'", "0x657500", "X'00'", "'e%'")
DAYS = ("'0000-00-00'", "'1000-01-01'", "'1970-01-02'", "'1999-12-31'", "'2024-02-29'", "'9999-12-31'")
MOMENTS = (*DAYS, "'2024-02-29 12:30:00'", "'2024-02-29 12:30:00.5'", "'1999-12-31 23:59:59.999999'")
STAMPS = (DAYS[0], "'1970-01-02'", "'2024-02-29'", "'2024-02-29 12:30:00.5'", "'2038-01-19 03:14:07'")
YEARS = ("1901", "1999", "2024", "2155")

TYPES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "i": ("INT", NUMBERS, ("-7", "2147483647", *INTEGERS)),
    "ti": ("TINYINT UNSIGNED", NUMBERS, INTEGERS),
    "bi": ("BIGINT", NUMBERS, ("9223372036854775807", "-9223372036854775808", "9007199254740993", *INTEGERS)),
    "u": ("BIGINT UNSIGNED", NUMBERS, ("18446744073709551615", "9007199254740993", *INTEGERS)),
    "z": ("INT(5) ZEROFILL", NUMBERS, INTEGERS),
    "n": ("DECIMAL(12,3)", NUMBERS, ("10.5", "-0.001", "0.1", "999999999.999", *INTEGERS)),
    "nu": ("DECIMAL(20,0) UNSIGNED", NUMBERS, ("18446744073709551615", "9007199254740993", *INTEGERS)),
    "f": ("DOUBLE", NUMBERS, ("-0.0e0", "0.1", "10.5", "1e300", "9007199254740992", *INTEGERS)),
    "g": ("FLOAT", NUMBERS, ("0.1", "10.5", "16777216", *INTEGERS)),
    "b": ("BIT(10)", NUMBERS, INTEGERS),
    "y": ("YEAR", (*YEARS, "'1999'", "0", "99"), ("0", *YEARS)),
    "ci": ("VARCHAR(20) COLLATE utf8mb4_general_ci", TEXTS, TEXTS),
    "bin": ("VARCHAR(20) COLLATE utf8mb4_bin", TEXTS, TEXTS),
    "np": ("VARCHAR(20) COLLATE utf8mb4_nopad_bin", TEXTS, TEXTS),
    "npci": ("VARCHAR(20) COLLATE utf8mb4_general_nopad_ci", TEXTS, TEXTS),
    "uni": ("TEXT COLLATE utf8mb4_unicode_ci", TEXTS, TEXTS),
    "uca": ("CHAR(20) COLLATE utf8mb4_uca1400_as_ci", TEXTS, TEXTS),
    "cs": ("VARCHAR(20) COLLATE utf8mb4_uca1400_nopad_as_cs", TEXTS, TEXTS),
    "lat": ("CHAR(20) CHARACTER SET latin1 COLLATE latin1_bin", TEXTS, TEXTS),
    "asci": ("VARCHAR(20) CHARACTER SET ascii", tuple(filter(str.isascii, TEXTS)), tuple(filter(str.isascii, TEXTS))),
    "e": ("ENUM('us','EU','eu ','5','') COLLATE utf8mb4_general_ci", TEXTS, ("'us'", "'EU'", "'5'", "''")),
    "eb": ("ENUM('us','EU','eu','5') COLLATE utf8mb4_bin", TEXTS, ("'us'", "'EU'", "'eu'", "'5'", "0")),
    "s": ("SET('a','b','EU')", TEXTS, ("'a,b'", "''", "'EU'", "'a'")),
    "vb": ("VARBINARY(20)", BYTES, BYTES),
    "fb": ("BINARY(4)", BYTES, BYTES),
    "bl": ("BLOB", BYTES, BYTES),
    "d": ("DATE", MOMENTS, DAYS),
    "dt": ("DATETIME", MOMENTS, MOMENTS),
    "dt6": ("DATETIME(6)", MOMENTS, MOMENTS),
    "ts": ("TIMESTAMP(2)", STAMPS, STAMPS),
    "t": ("TIME", ("NULL",), ("0", "'12:30:00'")),
}
"""Columns by name: the type, literals that they are compared with, values that they hold, as literals.

No ENUM has both the member '' and the value of an error, which reads as '' too: an index alone tells these apart.
"""

NAMES = [name + suffix for name in TYPES for suffix in ("", "_nn")]
RELATED = ({"i", "ti", "bi", "u", "z", "n", "nu", "f", "g", "b"}, {"d", "dt", "dt6", "ts"})
"""Columns that may be compared with each other, other than with those of the same type."""
ROW_COUNT = 80


@dataclass(repr=False)
class Server:
    """A connection to a server, the columns of its two tables, and their rows as the log has them."""

    connection: pymysql.Connection[Any]
    columns: list[Column]
    rows: list[tuple[Any, ...]]

    def selects(self, table: str, condition: str) -> set[int]:
        """Return the rows that a WHERE clause finds."""
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT id FROM d.{table} WHERE {condition}")
            return {row[0] for row in cursor.fetchall()}


def tables() -> str:
    """Return the statements that make the tables, without indexes and with them, and fill both."""
    defined = ", ".join(f"{name} {TYPES[name][0]} NULL, {name}_nn {TYPES[name][0]} NOT NULL" for name in TYPES)
    indexes = ", ".join(f"KEY ({name}{'(9)' * (name[:2] in ('un', 'bl'))})" for name in NAMES)
    chance = Random(5)

    def value(name: str) -> str:
        return "NULL" if "_" not in name and not chance.randrange(5) else chance.choice(TYPES[name.split("_")[0]][2])

    rows = [f"({number}, {', '.join(map(value, NAMES))})" for number in range(ROW_COUNT)]
    return (
        "SET time_zone = '+00:00', sql_mode = ''; CREATE DATABASE d;"
        f"CREATE TABLE d.plain (id INT PRIMARY KEY, {defined}) CHARACTER SET utf8mb4;"
        f"INSERT INTO d.plain VALUES {', '.join(rows)};"
        f"CREATE TABLE d.indexed (id INT PRIMARY KEY, {defined}, {indexes}) CHARACTER SET utf8mb4;"
        "INSERT INTO d.indexed SELECT * FROM d.plain; ANALYZE TABLE d.indexed"
    )


@pytest.fixture(scope="module")
def server(mariadb_programs: None) -> Iterator[Server]:
    """Give a server with both tables, and their columns and rows."""
    with MariaDB() as started, closing(started.connect()) as connection:
        started.sql(tables())
        started.sql("SET GLOBAL sql_mode = ''")
        described = started.sql(
            "SELECT column_name, column_type, data_type, IFNULL(character_set_name, ''), IFNULL(collation_name, ''),"
            " is_nullable = 'YES' FROM information_schema.columns WHERE table_schema = 'd' AND table_name = 'plain'"
            " ORDER BY ordinal_position"
        )
        columns = [Column(*row[:5], nullable=bool(row[5]), generated=False, invisible=False) for row in described]
        read = ", ".join(f"{c.name} + 0e0" if c.data_type == "float" else c.name for c in columns)
        with connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00'")
            cursor.execute(f"SELECT {read} FROM d.plain")
            rows = [tuple(map(logged, row, columns)) for row in cursor.fetchall()]
        yield Server(connection, columns, rows)


def related(name: str) -> list[str]:
    """Return the columns that a column may be compared with."""
    kind = name.split("_")[0]
    kinds = next((group for group in RELATED if kind in group), {kind})
    return [other for other in NAMES if other.split("_")[0] in kinds]


@st.composite
def terms(draw: st.DrawFn, name: str) -> str:
    """Return what may stand for a column in a comparison: mostly itself."""
    if name.split("_")[0] not in RELATED[0] or draw(st.integers(0, 3)):
        return name
    form = draw(st.sampled_from(["-{}", "{} + {}", "{} - {}", "({}) * {}", "{} % {}", "{} / 4", "{} MOD 3"]))
    return form.replace("{}", name, 1).replace("{}", draw(st.sampled_from(["1", "2", "0.5", name])))


@st.composite
def comparisons(draw: st.DrawFn, names: list[str]) -> str:
    """Return one test of a column."""
    name = draw(st.sampled_from(names))
    literal = st.sampled_from((*TYPES[name.split("_")[0]][1], "NULL"))
    other = st.one_of(literal, literal, st.sampled_from([n for n in related(name) if n in names or n[:2] == name[:2]]))
    term, negated = draw(terms(name)), draw(st.sampled_from(["", "", "NOT "]))
    is_text = TYPES[name.split("_")[0]][1] in (TEXTS, BYTES)
    tests = ["=", "=", "<=>", "<>", "<", "<=", ">", ">=", "IN", "BETWEEN", "IS", "IS NULL", *["LIKE"] * is_text]
    match draw(st.sampled_from(tests)):
        case "IN":
            return f"{term} {negated}IN ({', '.join(draw(st.lists(other, min_size=1, max_size=4)))})"
        case "BETWEEN":
            return f"{term} {negated}BETWEEN {draw(other)} AND {draw(other)}"
        case "LIKE":
            return f"{name} {negated}LIKE {draw(st.sampled_from(TEXTS))}"
        case "IS":
            return f"{name} IS {negated}{draw(st.sampled_from(['TRUE', 'FALSE', 'NULL']))}"
        case "IS NULL":
            return f"{term} IS {negated}NULL"
        case operator:
            pair = [term, draw(other)]
            return f" {operator} ".join(draw(st.permutations(pair)))


@st.composite
def conditions(draw: st.DrawFn) -> str:
    """Return a filter over a few columns, so that its parts meet."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3))

    def combined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        forms = ["({}) AND ({})", "({}) AND ({})", "({}) OR ({})", "({}) XOR ({})", "NOT ({})", "({}) IS NOT TRUE"]
        forms += ["({}) IS FALSE", "({}) IS NULL", "({}) = ({})", "({}) IN (0, ({}))", "{} AND {} OR {}"]
        return st.tuples(st.sampled_from(forms), parts, parts, parts).map(lambda found: found[0].format(*found[1:]))

    return draw(st.recursive(comparisons(names), combined, max_leaves=6))


@settings(max_examples=examples(80, 20_000))
@given(condition=conditions())
def test_a_filter_passes_the_rows_that_the_server_selects(server: Server, condition: str) -> None:
    """What a link carries, and what ``cdcd verify`` compares, is then the same."""
    try:
        passes = RowFilter.parse(condition).bind(server.columns)
    except UndecidableFilter:
        assume(False)
    passed, undecided = set(), set()
    for row in server.rows:
        try:
            if passes(row):
                passed.add(row[0])
        except UndecidableFilter:
            undecided.add(row[0])
    for table in ("plain", "indexed"):
        try:
            selected = server.selects(table, condition)
        except pymysql.err.MySQLError:
            assert undecided  # A number out of range.
        else:
            assert passed == selected - undecided, table
