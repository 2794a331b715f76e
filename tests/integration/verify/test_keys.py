"""How `verify` walks keys, and what it does without one."""

from __future__ import annotations

import pytest

from cdcd.verify import Limits
from tests.fixtures.pair import SMALL_CHUNKS, Pair, found


async def test_composite_keys_are_walked_in_chunks(pair: Pair) -> None:
    """A chunk may end in the middle of a key's first column, and nothing is read twice or left out."""
    pair.both("CREATE TABLE t (a INT, b VARCHAR(9), c DATE, v INT, PRIMARY KEY (a, b, c))")
    pair.both("INSERT INTO t SELECT seq DIV 25, seq MOD 5, '2020-01-01' + INTERVAL seq DAY, 0 FROM seq_0_to_99")
    pair.only_target("UPDATE t SET v = 1 WHERE a = 1 AND b = '3' ORDER BY c LIMIT 1")
    pair.only_target("INSERT INTO t VALUES (1, '3', '1999-01-01', 0)")

    report = await pair.table(Limits(settle_seconds=0, chunk_rows_max=7))

    assert [
        ("different", {"a": 1, "b": "3", "c": "2020-01-29"}),
        ("extra", {"a": 1, "b": "3", "c": "1999-01-01"}),
    ] == found(report)
    assert (100, 15) == (report.rows, report.chunks)


@pytest.mark.parametrize(
    ("key_type", "expression"),
    [
        ("VARCHAR(20) COLLATE utf8mb4_unicode_ci", "CONCAT(IF(seq % 2, 'k', 'K'), seq, '\\'\\\\é')"),
        ("VARCHAR(20) CHARACTER SET latin1", "CONCAT('é', seq)"),
        ("VARBINARY(20)", "UNHEX(MD5(seq))"),
        ("BIGINT UNSIGNED", "18446744073709551615 - seq"),
        ("INT(9) ZEROFILL", "seq"),
        ("DECIMAL(20,5)", "seq / 7"),
        ("FLOAT", "seq / 7"),
        ("DOUBLE", "seq / 7e200"),
        ("BIT(64)", "seq * 100000000000000000"),
        ("TIME(6)", "SEC_TO_TIME(50.5 - seq)"),
        ("TIMESTAMP(6)", "'2020-01-01' + INTERVAL seq MICROSECOND"),
        ("UUID", "CAST(INSERT(MD5(seq), 13, 0, '') AS CHAR)"),
        ("ENUM('z','y','x','w','v','u','t','s','r','q','p','o')", "1 + seq % 12"),
    ],
)
async def test_a_key_of_any_type_is_walked_in_chunks(pair: Pair, key_type: str, expression: str) -> None:
    """Every row falls into exactly one chunk, and the one that is missing is found."""
    pair.both(f"CREATE TABLE t (k {key_type} PRIMARY KEY, v INT)")
    pair.both(f"INSERT IGNORE INTO t SELECT {expression}, seq FROM seq_1_to_100")
    [(rows,)] = pair.source.sql("SELECT COUNT(*) FROM t", database=pair.database)
    pair.only_target("DELETE FROM t WHERE v = 7")

    report = await pair.table(Limits(settle_seconds=0, chunk_rows_max=3))

    assert (rows, rows // 3 + 1, 1, 0, 0) == (
        report.rows,
        report.chunks,
        report.missing,
        report.extra,
        report.different,
    )


async def test_the_case_of_a_case_insensitive_key_counts(pair: Pair) -> None:
    """A target that holds the key in another case holds another value."""
    pair.both("CREATE TABLE t (k VARCHAR(9) COLLATE utf8mb4_general_ci PRIMARY KEY)")
    pair.only_source("INSERT INTO t VALUES ('abc')")
    pair.only_target("INSERT INTO t VALUES ('ABC')")

    assert [("extra", {"k": "ABC"}), ("missing", {"k": "abc"})] == found(await pair.table())


async def test_keys_that_sort_differently_on_both_sides_are_compared_exactly(pair: Pair) -> None:
    """Other collations and charsets of a key make no difference; a real one is found, and only that."""
    pair.only_source("CREATE TABLE t (k VARCHAR(9) COLLATE utf8mb4_general_ci PRIMARY KEY)")
    pair.only_target("CREATE TABLE t (k VARCHAR(9) CHARACTER SET latin1 COLLATE latin1_bin PRIMARY KEY)")
    pair.both("INSERT INTO t SELECT CONCAT(IF(seq % 3, 'é', 'Z'), seq) FROM seq_1_to_50")
    pair.only_source("INSERT INTO t VALUES ('ж')")
    pair.only_target("INSERT INTO t VALUES ('É1')")

    report = await pair.table(SMALL_CHUNKS)

    assert [("extra", {"k": "É1"}), ("missing", {"k": "ж"})] == found(report)
    assert 51 == report.rows


async def test_one_difference_in_100_000_rows_is_found_in_chunks(pair: Pair) -> None:
    """Chunks grow, and only the one that differs is read row by row."""
    pair.both("CREATE TABLE t (id INT PRIMARY KEY, v CHAR(32))")
    pair.both("INSERT INTO t SELECT seq * 3, MD5(seq) FROM seq_1_to_100000")
    pair.only_target("UPDATE t SET v = 'x' WHERE id = 3 * 77777")

    report = await pair.table()

    assert [("different", {"id": 233331})] == found(report)
    assert 100_000 == report.rows
    assert 10 <= report.chunks <= 101


async def test_a_not_null_unique_key_serves_as_the_key(pair: Pair) -> None:
    """Without a primary key, the first unique key whose columns are never NULL tells rows apart."""
    pair.both("CREATE TABLE t (a INT UNIQUE, b INT NOT NULL UNIQUE, v INT)")
    pair.both("INSERT INTO t SELECT NULL, seq, seq FROM seq_1_to_30")
    pair.only_target("UPDATE t SET v = 0 WHERE b = 17")

    assert [("different", {"b": 17})] == found(await pair.table(SMALL_CHUNKS))


async def test_a_table_without_a_key_is_compared_as_a_whole(pair: Pair) -> None:
    """Order does not matter, and how often a row occurs does."""
    pair.both("CREATE TABLE t (a INT, b VARCHAR(9))")
    pair.only_source("INSERT INTO t VALUES (1, 'x'), (1, 'x'), (2, NULL)")
    pair.only_target("INSERT INTO t VALUES (2, NULL), (1, 'x'), (1, 'x')")
    assert (await pair.table()).equal

    pair.only_source("INSERT INTO t VALUES (3, 'y'), (3, 'y')")
    pair.only_target("INSERT INTO t VALUES (4, 'y'), (4, 'y')")
    report = await pair.table()
    assert not report.equal
    assert "5 on the source, 5 on the target" in report.problem


async def test_a_row_twice_on_a_target_without_the_key_is_found(pair: Pair) -> None:
    """A pair of equal rows cancels out in an exclusive or, but not in the count."""
    pair.only_source("CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1), (2)")
    pair.only_target("CREATE TABLE t (id INT NOT NULL); INSERT INTO t VALUES (1), (2), (2), (2)")

    assert [("different", {"id": 2})] == found(await pair.table())


async def test_a_null_in_the_targets_key_column_is_found(pair: Pair) -> None:
    """No range holds a NULL, so such a table is compared as a whole."""
    pair.only_source("CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t SELECT seq FROM seq_1_to_30")
    pair.only_target("CREATE TABLE t (id INT NULL UNIQUE); INSERT INTO t SELECT seq FROM seq_1_to_30")
    assert (await pair.table(SMALL_CHUNKS)).equal

    pair.only_target("INSERT INTO t VALUES (NULL)")
    assert not (await pair.table(SMALL_CHUNKS)).equal


async def test_a_key_that_the_target_lacks_or_types_differently_is_a_difference(pair: Pair) -> None:
    """Keys that can't be matched are named, with both types."""
    pair.both("CREATE TABLE a (id INT PRIMARY KEY, v INT); CREATE TABLE b (id INT PRIMARY KEY, v INT)")
    pair.only_target("ALTER TABLE a DROP COLUMN id; ALTER TABLE b MODIFY id VARCHAR(20)")

    problems = [table.problem for table in (await pair.verify()).tables]

    assert "no column 'id'" in problems[0]
    assert "int(11) on the source, varchar(20) on the target" in problems[1]
