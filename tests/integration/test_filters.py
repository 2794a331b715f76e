"""Rows pass a filter as they would have in a WHERE clause on the source when they were written."""

from __future__ import annotations

import pytest

from cdcd.errors import SchemaMismatch
from cdcd.route.where import UndecidableFilter
from tests.fixtures.links import Both, stopped
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.moved_on import begin, rows
from tests.fixtures.servers import ServerFactory
from tests.fixtures.sites import a_link

ALTER = "ALTER TABLE t ADD added INT"


async def carried(both: Both, here: str, there: str, row_filter: str, *values: str, alter: str = ALTER) -> list[int]:
    """Write values of a column that the target has as ``there``, alter the tables, and say which rows then arrive."""
    both.only_source(f"CREATE TABLE t (id INT PRIMARY KEY, c {here}) CHARACTER SET utf8mb4")
    both.only_target(f"CREATE TABLE t (id INT PRIMARY KEY, c {there}) CHARACTER SET utf8mb4")
    link = both.link(where={f"{both.database}.t": row_filter})
    written = ", ".join(f"({number}, {value})" for number, value in enumerate(values, 1))
    both.only_source(f"SET time_zone = '+00:00', sql_mode = ''; INSERT INTO t VALUES {written}; {alter}")
    both.only_target(ALTER)
    await both.follow(link)
    return [row[0] for row in both.on_target("SELECT id FROM t ORDER BY id")]


@pytest.mark.parametrize(
    ("here", "there", "row_filter", "expected"),
    [
        ("VARCHAR(9) COLLATE utf8mb4_bin", "VARCHAR(9) COLLATE utf8mb4_general_ci", "c = 'eu'", [1]),
        ("VARCHAR(9) COLLATE utf8mb4_general_ci", "VARCHAR(9) COLLATE utf8mb4_bin", "c = 'eu'", [1, 2]),
        ("VARCHAR(9) COLLATE utf8mb4_bin", "VARCHAR(9) COLLATE utf8mb4_nopad_bin", "c IN ('us', 'eu ')", [1, 3]),
        ("VARCHAR(9) CHARACTER SET latin1 COLLATE latin1_bin", "TEXT COLLATE utf8mb4_general_ci", "c = 'eu'", [1]),
        ("VARCHAR(9) COLLATE utf8mb4_bin", "VARBINARY(36)", "c = 'us '", [3]),
        (
            "ENUM('eu','EU','us') COLLATE utf8mb4_bin",
            "ENUM('eu','EU','us') COLLATE utf8mb4_nopad_bin",
            "c = 'EU '",
            [2],
        ),
    ],
)
async def test_text_behind_an_alter_is_compared_as_the_source_compared_it(
    both: Both, here: str, there: str, row_filter: str, expected: list[int]
) -> None:
    """The event says what the column was; the table is another by now, and the target's always was."""
    assert expected == await carried(both, here, there, row_filter, "'eu'", "'EU'", "'us'")


@pytest.mark.parametrize(
    ("here", "there", "row_filter", "values", "expected"),
    [
        ("DATETIME", "VARCHAR(30)", "c = '2024-01-01'", ("'2024-01-01'", "'2024-01-01 00:00:01'"), [1]),
        ("DATE NOT NULL", "DATE NULL", "c = '0000-00-00'", ("'2024-01-01'", "'0000-00-00'"), [2]),
        (
            "TIMESTAMP(2) NULL",
            "TIMESTAMP(6) NULL",
            "c < '2024-01-01'",
            ("'2024-01-01'", "'2023-12-31 23:59:59.99'"),
            [2],
        ),
        ("DECIMAL(6,2)", "DECIMAL(20,4)", "c * 3 = 4.5 OR c / 4 = 0.5", ("1.5", "2", "3"), [1, 2]),
        ("BIGINT UNSIGNED", "DECIMAL(20)", "c - 1 < 5", ("5", "7"), [1]),
        ("BINARY(3)", "VARBINARY(9)", "c = 0x610000", ("'a'", "'a\\0b'"), [1]),
        ("YEAR", "INT", "c = 1999", ("99", "2000"), [1]),
        ("BIT(9)", "BIGINT", "c = b'101'", ("5", "4"), [1]),
    ],
)
async def test_values_behind_an_alter_are_compared_by_the_source_s_type(
    both: Both, here: str, there: str, row_filter: str, values: tuple[str, ...], expected: list[int]
) -> None:
    """A moment is no text, and a number has the digits that it had."""
    assert expected == await carried(both, here, there, row_filter, *values)


@pytest.mark.parametrize(
    ("here", "there", "row_filter", "alter"),
    [
        ("FLOAT(7,2)", "DOUBLE", "c = 1.5", ALTER),
        ("DOUBLE(7,2)", "DOUBLE", "c = 1.5", "ALTER TABLE t MODIFY c DOUBLE"),
        ("UUID", "UUID", "c IS NULL", ALTER),
        ("BINARY(4)", "BINARY(4)", "c = 'a'", ALTER),
    ],
)
async def test_a_type_that_no_event_tells_is_not_guessed_behind_an_alter(
    both: Both, here: str, there: str, row_filter: str, alter: str
) -> None:
    """Two decimals compare with a tolerance, and a UUID is logged as any other bytes."""
    with pytest.raises(SchemaMismatch, match="filter needs column c") as caught:
        await carried(both, here, there, row_filter, "NULL", alter=alter)
    assert "cdcd verify" in caught.value.hint


async def test_without_names_in_the_log_a_filter_stops_behind_an_alter(
    server_factory: ServerFactory, west: MariaDB, database: str
) -> None:
    """Neither the live table nor the target's says how the source compared its rows."""
    source = server_factory({"binlog-row-metadata": "MINIMAL"})
    source.sql(f"CREATE DATABASE {database}")
    for server, collation in ((source, "utf8mb4_bin"), (west, "utf8mb4_general_ci")):
        server.sql(f"CREATE TABLE t (id INT PRIMARY KEY, c VARCHAR(9) COLLATE {collation})", database=database)
    keys = {"where": {f"{database}.t": "c = 'eu'"}}
    await begin(source, west, database, **keys)
    source.sql(f"INSERT INTO t VALUES (1, 'EU'); {ALTER}", database=database)
    west.sql(ALTER, database=database)
    error = await stopped(source, west, a_link(database, **keys))
    assert isinstance(error, SchemaMismatch)
    assert "binlog_row_metadata=FULL" in error.hint
    assert [] == rows(west, database)


@pytest.mark.parametrize("kind", ["DATE", "DATETIME", "DATETIME(6)"])
async def test_a_zero_date_passes_where_it_passes_on_the_server(both: Both, kind: str) -> None:
    """``= '0000-00-00'`` means one thing everywhere; IS NULL of a column that is NOT NULL does not, and is refused."""
    start = both.source.binlog_position()[2]
    both.both(f"CREATE TABLE t (id INT PRIMARY KEY, gone {kind} NOT NULL DEFAULT '0000-00-00')")
    both.only_source("SET sql_mode = ''; INSERT INTO t VALUES (1, '0000-00-00'), (2, '2024-01-01')")
    name = f"{both.database}.t"
    changes = "SET sql_mode = ''; UPDATE t SET gone = '0000-00-00' WHERE id = 2; INSERT INTO t VALUES (3, '2024-01-01')"
    link = both.link(where={name: "gone = '0000-00-00'"}, start=start)
    await both.follow(link, changes)
    query = "SELECT id FROM t WHERE gone IS NULL ORDER BY id"
    assert (
        [(1,), (2,)] == both.on_source(query) == both.on_target(query) == both.on_target("SELECT id FROM t ORDER BY id")
    )

    both.only_source("UPDATE t SET id = 4 WHERE id = 2")
    error = await stopped(both.source, both.target, both.link(where={name: "gone IS NULL"}, start=link.start))
    assert isinstance(error, UndecidableFilter)
    assert "write `gone` = '0000-00-00'" in error.hint
