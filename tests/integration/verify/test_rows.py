"""Which rows `verify` finds different: every type, every kind of difference."""

from __future__ import annotations

import pytest

from tests.fixtures.pair import SMALL_CHUNKS, Pair, found

EVERY_TYPE = """
CREATE TABLE t (
  id INT PRIMARY KEY, f FLOAT, d DOUBLE(10,2), n DECIMAL(65,30), b BIT(64), y YEAR, z INT(9) ZEROFILL,
  t TIME(6), dt DATETIME(6), ts TIMESTAMP(6) NULL, c CHAR(9), v VARCHAR(99), x LONGTEXT, j JSON,
  bin BINARY(9), vb VARBINARY(99), bl LONGBLOB, e ENUM('b','a',''), s SET('x','y','z'), g GEOMETRY,
  u UUID, i6 INET6, gen INT AS (id + 1) STORED
)
"""
A_ROW = """
INSERT INTO t VALUES (1, 0.1, 1.25, 1.5, b'1', 2020, 7, '-838:59:59', '0000-00-00 00:00:00', '2020-01-01',
 'c', 'é#', 'x', '{"a": 1}', 'a', 'b\\0', X'00FF', 'a', 'x,z', ST_GeomFromText('POINT(1 2)'),
 '123e4567-e89b-12d3-a456-426655440000', '::1', DEFAULT),
 (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
 NULL, NULL, NULL, NULL, DEFAULT)
"""


async def test_equal_tables_pass(pair: Pair) -> None:
    """Rows of every type, and NULLs, compare equal to themselves."""
    pair.both(f"SET sql_mode = ''; {EVERY_TYPE}; {A_ROW}")

    report = await pair.table()

    assert report.equal, str(report)
    assert (2, 1) == (report.rows, report.chunks)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("f", "0.10000001"),
        ("d", "1.26"),
        ("n", "1.500000000000000000000000000001"),
        ("b", "b'1000000000000000000000000000000000000000000000000000000000000001'"),
        ("y", "2021"),
        ("z", "8"),
        ("t", "'838:59:59'"),
        ("dt", "'0000-00-00 00:00:00.000001'"),
        ("ts", "'2020-01-01 00:00:00.000001'"),
        ("c", "'C'"),
        ("v", "'é# '"),
        ("x", "'X'"),
        ("x", "''"),
        ("j", "'{\"a\": 2}'"),
        ("bin", "'a\\0b'"),
        ("vb", "'b'"),
        ("bl", "X'00FE'"),
        ("e", "''"),
        ("s", "'x'"),
        ("g", "ST_GeomFromText('POINT(1 3)')"),
        ("u", "'123e4567-e89b-12d3-a456-426655440001'"),
        ("i6", "'::2'"),
    ],
)
async def test_one_changed_value_of_any_type_is_found(pair: Pair, column: str, value: str) -> None:
    """The smallest change of a value makes its row different, and so does NULL."""
    pair.both(f"SET sql_mode = ''; {EVERY_TYPE}; {A_ROW}")
    pair.only_target(f"SET sql_mode = ''; UPDATE t SET {column} = {value} WHERE id = 1")
    pair.only_target(f"SET sql_mode = ''; UPDATE t SET {column} = {value} WHERE id = 2")

    assert [("different", {"id": 1}), ("different", {"id": 2})] == found(await pair.table())


async def test_missing_extra_and_different_rows_are_found_by_key(pair: Pair) -> None:
    """Each kind is told apart, in the middle and beyond either end of the source's keys."""
    pair.both("CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t SELECT seq, seq FROM seq_1_to_100")
    pair.only_source("INSERT INTO t VALUES (-5, 0)")
    pair.only_target("INSERT INTO t VALUES (-9, 0), (101, 0), (999, 0); DELETE FROM t WHERE id IN (50, 100)")
    pair.only_target("UPDATE t SET v = -1 WHERE id = 70")

    report = await pair.table(SMALL_CHUNKS)

    assert [
        ("different", {"id": 70}),
        ("extra", {"id": -9}),
        ("extra", {"id": 101}),
        ("extra", {"id": 999}),
        ("missing", {"id": -5}),
        ("missing", {"id": 100}),
        ("missing", {"id": 50}),
    ] == found(report)
    assert (101, 3, 3, 1) == (report.rows, report.missing, report.extra, report.different)


async def test_two_differences_that_swap_values_are_found(pair: Pair) -> None:
    """A row's key is part of its hash, so rows that exchanged their values do not cancel out."""
    pair.both("CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 10), (2, 20)")
    pair.only_target("UPDATE t SET v = 30 - v")

    assert 2 == (await pair.table()).different


async def test_a_column_boundary_is_part_of_the_hash(pair: Pair) -> None:
    """'a#b' beside 'c' is not 'a' beside 'b#c', and '~' is not NULL."""
    pair.both("CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(9), b VARCHAR(9))")
    pair.only_source("INSERT INTO t VALUES (1, 'a#b', 'c'), (2, '~', '')")
    pair.only_target("INSERT INTO t VALUES (1, 'a', 'b#c'), (2, NULL, NULL)")

    assert 2 == (await pair.table()).different


async def test_the_charset_of_a_text_does_not_matter(pair: Pair) -> None:
    """The same characters are equal in latin1, utf16 and utf8mb4; bytes that only look alike are not."""
    pair.only_source("CREATE TABLE t (id INT PRIMARY KEY, a TEXT CHARACTER SET latin1, b TEXT CHARACTER SET utf16)")
    pair.only_target("CREATE TABLE t (id INT PRIMARY KEY, a TEXT, b TEXT)")
    pair.both("INSERT INTO t VALUES (1, 'é€', '漢'), (2, 'é', 'é')")
    pair.only_target("UPDATE t SET a = 'Ã©' WHERE id = 2")

    assert [("different", {"id": 2})] == found(await pair.table())


async def test_a_large_row_is_hashed(pair: Pair) -> None:
    """A value of several megabytes is compared like any other."""
    pair.both("CREATE TABLE t (id INT PRIMARY KEY, a LONGBLOB, b LONGTEXT)")
    pair.both("INSERT INTO t VALUES (1, REPEAT('a', 3000000), REPEAT('é', 1000000))")
    pair.only_target("INSERT INTO t SELECT 2, CONCAT(a, 'b'), b FROM t")
    pair.only_source("INSERT INTO t SELECT 2, a, b FROM t")

    assert [("different", {"id": 2})] == found(await pair.table())


async def test_empty_tables_are_equal_and_an_empty_target_is_not(pair: Pair) -> None:
    """No rows on either side is equality; no rows on one side is as many differences as the other has."""
    pair.both("CREATE TABLE a (id INT PRIMARY KEY); CREATE TABLE b (id INT PRIMARY KEY); CREATE TABLE c (v INT)")
    pair.only_source("INSERT INTO b VALUES (1), (2)")

    report = await pair.verify()

    assert [True, False, True] == [table.equal for table in report.tables]
    assert 2 == report.tables[1].missing


async def test_columns_on_one_side_only_are_named(pair: Pair) -> None:
    """What was not compared is said, and does not make the rows different."""
    pair.both("CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 1)")
    pair.only_source("ALTER TABLE t ADD here INT DEFAULT 1")
    pair.only_target("ALTER TABLE t ADD there INT DEFAULT 2")

    report = await pair.table()

    assert report.equal
    assert ["here", "there"] == report.columns_not_compared


# What a server compares, prints or converts alike, and stores as two values.
LOOKS_ALIKE = {
    "float zeros": ("FLOAT", "0", "-1e-46"),
    "enum's error value and its empty member": ("ENUM('b', '')", "2", "0"),
    "NULL and the empty text": ("VARCHAR(9)", "NULL", "''"),
    "trailing space": ("VARCHAR(9)", "'a'", "'a '"),
    "trailing space in a TEXT": ("TEXT", "'a'", "'a '"),
    "case": ("CHAR(9)", "'a'", "'A'"),
    "accent": ("VARCHAR(9)", "'a'", "'ä'"),
    "normal form": ("VARCHAR(9)", "'é'", "'e\u0301'"),
    "sharp s": ("VARCHAR(9) COLLATE utf8mb4_german2_ci", "'ß'", "'ss'"),
    "JSON's white space": ("JSON", "'[1]'", "'[ 1]'"),
    "JSON's numbers": ("JSON", "'[1]'", "'[1.0]'"),
    "two codes of one character": ("VARCHAR(9) CHARACTER SET cp932", "_cp932 X'8782'", "_cp932 X'FA59'"),
    "codes of no character": ("VARCHAR(9) CHARACTER SET big5", "_big5 X'A3C0'", "_big5 X'A3C1'"),
    "a code of no character and a question mark": ("VARCHAR(9) CHARACTER SET dec8", "'?'", "_dec8 X'A4'"),
    "trailing zero byte": ("VARBINARY(9)", "'a'", "'a\\0'"),
    "the year zero": ("YEAR", "'2000'", "0"),
    "zero and impossible dates": ("DATE", "'0000-00-00'", "'2024-02-30'"),
    "dates partly zero": ("DATE", "'2024-00-00'", "'2024-00-01'"),
    "negative zero seconds": ("TIME(6)", "'-00:00:00.000001'", "'00:00:00.000001'"),
    "zero and the first second": ("TIMESTAMP NULL", "0", "'1970-01-01 00:00:01'"),
    "the hour that summer time repeats": ("TIMESTAMP NULL", "FROM_UNIXTIME(1729987200)", "FROM_UNIXTIME(1729990800)"),
    "a bit": ("BIT(64)", "b'0'", "b'1000000000000000000000000000000000000000000000000000000000000000'"),
    "set": ("SET('x', 'y')", "''", "'y'"),
    "digits of a double": ("DOUBLE", "0.1e0", "0.10000000000000002e0"),
    "digits of a float": ("FLOAT", "0.1e0", "0.10000001e0"),
    "separators in a text": ("VARCHAR(9)", "'#'", "'~'"),
    "mapped addresses": ("INET6", "'::ffff:1.2.3.4'", "'::1.2.3.4'"),
    "points": ("POINT", "POINT(0, 0)", "POINT(0, 0e0 * -1e0)"),
}


@pytest.mark.parametrize("case", LOOKS_ALIKE)
async def test_values_that_look_alike_are_told_apart(pair: Pair, case: str) -> None:
    """Who trusts the verdict trusts every byte, whatever a collation or a client makes of it."""
    column, east, west = LOOKS_ALIKE[case]
    settings = "SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'"
    pair.both(f"{settings}; CREATE TABLE t (id INT PRIMARY KEY, v {column}); CREATE TABLE k (v {column})")
    for only, value in ((pair.only_source, east), (pair.only_target, west)):
        only(f"{settings}; INSERT INTO t VALUES (1, {value}); INSERT INTO k VALUES ({value})")
    keyless, keyed = (await pair.verify()).tables
    assert not keyless.equal
    assert [("different", {"id": 1})] == found(keyed)
