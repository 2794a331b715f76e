"""Keys of every kind: what the source did with them is what the target ends with, in one batch and split.

A key is how a row is found, merged and kept apart from its neighbours, so each kind is taken through inserts,
updates, deletes, exchanges, and comings and goings in one batch, where nothing may need a second try.
"""

from __future__ import annotations

import re

import pytest

from cdcd.apply.sql.statement import render
from cdcd.batch.net import Batch
from cdcd.errors import ApplyFailed
from cdcd.model.table import Key
from tests.fixtures.binlog_bytes import Log, LoggedTable
from tests.fixtures.links import PLAIN, Both, Outcome

pytestmark = pytest.mark.usefixtures("every_row_splits")

KINDS = {
    "int": ("INT", "-1", "0", "2147483647"),
    "unsigned": ("BIGINT UNSIGNED", "0", "9223372036854775808", "18446744073709551615"),
    "decimal": ("DECIMAL(30,10)", "-0.0000000001", "12345678901234567890.5", "1"),
    "float": ("FLOAT", *(f"CAST({n} AS FLOAT)" for n in ("0.1", "-1.5e-30", "16777217"))),
    "double": ("DOUBLE", "0.1", "2.2250738585072014e-308", "-1e300"),
    "date": ("DATE", "'0000-00-00'", "'2024-02-29'", "'9999-12-31'"),
    "datetime": ("DATETIME(6)", "'2024-01-01 00:00:00.000001'", "'2024-01-01 00:00:00.00001'", "'1000-01-01'"),
    "timestamp": ("TIMESTAMP(6)", "'2024-07-01 12:00:00.5'", "'2024-07-01 12:00:00.05'", "'2037-01-01'"),
    "time": ("TIME(3)", "'-838:59:59'", "'00:00:00.001'", "'00:00:00.010'"),
    "year": ("YEAR", "1901", "2155", "0"),
    "bit": ("BIT(12)", "b'0'", "b'100000000000'", "b'1'"),
    "enum": ("ENUM('b','a','it''s')", "'a'", "'b'", "'it''s'"),
    "set": ("SET('x','y','z')", "'x,z'", "''", "'y'"),
    "uuid": ("UUID", *(f"'{n}e4af8c3-29d2-11ee-be56-0242ac120002'" for n in (1, 2, 3))),
    "inet6": ("INET6", "'::'", "'2001:db8::ff00:42:8329'", "'::ffff:192.168.0.1'"),
    "binary": ("BINARY(16)", *(f"X'{n:032x}'" for n in (0, 1 << 120, 257 << 112))),
    "varbinary": ("VARBINARY(16)", "X'61'", "X'6100'", "X'6120'"),
    "general_ci": ("VARCHAR(20) COLLATE utf8mb4_general_ci", "'a'", "'é'", "'it''s\\\\'"),
    "unicode_ci": ("VARCHAR(20) COLLATE utf8mb4_unicode_ci", "'ß'", "'z'", "'日本'"),
    "bin": ("VARCHAR(20) COLLATE utf8mb4_bin", "'a'", "'A'", "'é'"),
    "nopad": ("VARCHAR(20) COLLATE utf8mb4_nopad_bin", "'a'", "'a '", "'a  '"),
    "latin1": ("VARCHAR(20) CHARACTER SET latin1", "'a'", "'ü'", "'\\\\'"),
    "gbk": ("VARCHAR(20) CHARACTER SET gbk", "_utf8mb4'誠'", "'b'", "_utf8mb4'中\\\\'"),
    "char": ("CHAR(5)", "'a'", "'b'", "''"),
}
# Each line is a transaction. A, B and C are three values of the key; the row of C comes and goes.
CHANGES = """
INSERT INTO t VALUES (A, 1, 10, 1), (B, 2, 20, 1);
UPDATE t SET v = v + 1 WHERE k = A;
UPDATE t SET k = C WHERE k = A;
UPDATE t SET k = A WHERE k = B; UPDATE t SET k = B WHERE k = C;
DELETE FROM t WHERE k = B;
INSERT INTO t VALUES (C, 3, 30, 1), (B, 4, 40, 1);
UPDATE t SET u = u + 100; UPDATE t SET u = 302 - u WHERE v < 3;
DELETE FROM t WHERE k = C;
"""
SHAPES = {
    "alone": "PRIMARY KEY (k)",
    "composite": "PRIMARY KEY (g, k)",
    "with another": "PRIMARY KEY (k), UNIQUE (u)",
    "second": "PRIMARY KEY (u), UNIQUE (k)",
    "unique": "UNIQUE (k)",
    "without": "KEY (v)",
}


def facts(outcome: Outcome) -> dict[str, int]:
    """Return what a link may not report of changes that nothing contradicts."""
    return {"conflicts": outcome.conflicts, "careful": outcome.row_by_row}


@pytest.mark.parametrize("kind", KINDS)
async def test_rows_are_found_by_keys_of_every_kind(both: Both, kind: str) -> None:
    """A key that is rendered or compared wrongly loses an update, or doubles a row, without an error."""
    declared, *values = KINDS[kind]
    relaxed = "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'; SET time_zone = '+03:00';"
    named = dict(zip("ABC", values, strict=True))
    changes = re.sub(r"\b[ABC]\b", lambda name: named[name[0]], CHANGES)
    tables = [f"t_{i}" for i in range(len(SHAPES))]
    for table, keys in zip(tables, SHAPES.values(), strict=True):
        column = f"k {declared} NOT NULL DEFAULT ({values[0]})" if "PRIMARY" in keys else f"k {declared} NOT NULL"
        both.both(f"{relaxed} CREATE TABLE {table} ({column}, v INT, u INT NOT NULL, g INT NOT NULL, {keys})")

    scripts = [
        relaxed
        + "".join(f"BEGIN; {line} COMMIT;" for line in changes.replace(" t ", f" {table} ").splitlines() if line)
        for table in tables
    ]
    assert PLAIN == facts(await both.carry(*scripts))
    both.assert_equal(*tables)
    assert 1 < len(both.on_target("SELECT * FROM t_0")) < 3


@pytest.mark.parametrize("writers", [1, 4])
@pytest.mark.parametrize("transactions", ["one", "several"])
@pytest.mark.parametrize(
    "changes",
    [
        "UPDATE t SET id = 9 WHERE id = 1; UPDATE t SET id = 1 WHERE id = 2; UPDATE t SET id = 2 WHERE id = 9",
        "UPDATE t SET u = NULL WHERE id = 1; UPDATE t SET u = 1 WHERE id = 2; UPDATE t SET u = 2 WHERE id = 1",
        "UPDATE t SET u = 9 WHERE id = 1; UPDATE t SET u = 1 WHERE id = 3; UPDATE t SET u = 3 WHERE id = 2",
        "DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (4, 1, 4); UPDATE t SET id = 1 WHERE id = 4",
        "UPDATE t SET u = 10 - u; UPDATE t SET id = id + 1 ORDER BY id DESC; UPDATE t SET u = 10 - u",
        "INSERT INTO t VALUES (5, 5, 5); UPDATE t SET id = 6 WHERE id = 5; DELETE FROM t WHERE id = 6",
        "DELETE FROM t; INSERT INTO t VALUES (1, 3, 1), (2, 1, 2), (3, 2, 3)",
        "REPLACE INTO t VALUES (1, 2, 7); REPLACE INTO t VALUES (3, 2, 8); INSERT INTO t VALUES (1, 1, 1)",
    ],
)
async def test_values_may_pass_from_row_to_row(both: Both, changes: str, transactions: str, writers: int) -> None:
    """Deletes, updates and inserts are reordered within a batch: never so that two rows want one value at a time."""
    both.both("CREATE TABLE t (id INT PRIMARY KEY, u INT UNIQUE, v INT); INSERT INTO t VALUES (1,1,1),(2,2,2),(3,3,3)")
    script = f"BEGIN; {changes}; COMMIT" if transactions == "one" else changes
    assert PLAIN == facts(await both.carry(script, writers=writers))
    both.assert_equal("t")


@pytest.mark.parametrize(
    ("collation", "changes"),
    [
        ("utf8mb4_general_ci", "UPDATE t SET k = 'A' WHERE k = 'a'"),
        ("utf8mb4_general_ci", "DELETE FROM t WHERE k = 'a'; INSERT INTO t VALUES ('A', 2)"),
        ("utf8mb4_general_ci", "DELETE FROM t WHERE k = 'a'; INSERT INTO t VALUES ('Á  ', 2)"),
        ("utf8mb4_general_ci", "UPDATE t SET k = 'A '; UPDATE t SET k = 'a'; UPDATE t SET k = 'á', v = 5"),
        ("utf8mb4_unicode_ci", "DELETE FROM t WHERE k = 'a'; INSERT INTO t VALUES ('ss', 2); UPDATE t SET k = 'ß'"),
        ("utf8mb4_bin", "UPDATE t SET k = 'a  '; INSERT INTO t VALUES ('A', 1); UPDATE t SET v = 3 WHERE k = 'a'"),
        ("utf8mb4_danish_ci", "UPDATE t SET k = 'aa'; INSERT INTO t VALUES ('a', 2); UPDATE t SET k = 'å' WHERE v = 1"),
    ],
)
async def test_text_keys_are_one_where_the_target_says_so(both: Both, collation: str, changes: str) -> None:
    """Equal under the collation is not equal bytes: the rows meet all the same, and the source's bytes win."""
    both.both(f"CREATE TABLE t (k VARCHAR(9) COLLATE {collation} PRIMARY KEY, v INT); INSERT INTO t VALUES ('a', 1)")
    assert PLAIN == facts(await both.carry(changes))
    both.assert_equal("t")


async def test_a_unique_prefix_keeps_rows_apart(both: Both) -> None:
    """The index compares two characters: values that differ only after them exclude each other."""
    both.both("CREATE TABLE t (id INT PRIMARY KEY, u VARCHAR(20), b BLOB, UNIQUE (u(2)), UNIQUE (b(3)))")
    both.both("INSERT INTO t VALUES (1, 'éé1', 'abc1'), (2, 'bb', 'x')")
    assert PLAIN == facts(
        await both.carry(
            "DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (3, 'ÉE2', 'abc2')",
            "UPDATE t SET u = 'bc' WHERE id = 2; UPDATE t SET u = 'bb9', b = NULL WHERE id = 3",
            "UPDATE t SET b = 'abc' WHERE id = 2",
        )
    )
    both.assert_equal("t")


async def test_a_unique_value_that_the_server_generates_is_respected(both: Both) -> None:
    """The log does not say what a generated unique column becomes, so nothing of the table is reordered."""
    both.both(
        "CREATE TABLE t (id INT PRIMARY KEY, v INT, low INT AS (v % 10) PERSISTENT, UNIQUE (low));"
        "INSERT INTO t (id, v) VALUES (1, 11), (2, 12)"
    )
    assert PLAIN == facts(
        await both.carry(
            "UPDATE t SET v = 13 WHERE id = 1; UPDATE t SET v = 21 WHERE id = 2;"
            "INSERT INTO t (id, v) VALUES (3, 12); DELETE FROM t WHERE id = 1; INSERT INTO t (id, v) VALUES (1, 33)"
        )
    )
    both.assert_equal("t")


async def test_columns_that_only_the_target_has_keep_their_values(both: Both) -> None:
    """A row that changes its key is still the same row: what the target alone knows of it stays."""
    both.only_source("CREATE TABLE t (id INT PRIMARY KEY, u INT UNIQUE); INSERT INTO t VALUES (1, 1), (2, 2)")
    both.only_target("CREATE TABLE t (id INT PRIMARY KEY, u INT UNIQUE, note VARCHAR(9) DEFAULT 'none')")
    both.only_target("INSERT INTO t VALUES (1, 1, 'kept'), (2, 2, 'too')")
    outcome = await both.carry("UPDATE t SET id = 7 WHERE id = 1; UPDATE t SET u = 8; INSERT INTO t VALUES (3, 3)"
                               .replace("SET u = 8", "SET u = u + 8"))  # fmt: skip
    assert PLAIN == facts(outcome)
    assert [(2, 10, "too"), (3, 3, "none"), (7, 9, "kept")] == both.on_target("SELECT * FROM t ORDER BY id")


async def test_tables_of_nothing_but_their_key(both: Both) -> None:
    """A link table has no other column to update, and its upsert must still say something."""
    both.both("CREATE TABLE t (a INT, b VARCHAR(5), PRIMARY KEY (a, b)); INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    assert PLAIN == facts(
        await both.carry(
            "UPDATE t SET a = a + 1 ORDER BY a DESC; DELETE FROM t WHERE a = 3; INSERT INTO t VALUES (3, 'y')"
        )
    )
    both.assert_equal("t")


async def test_rows_without_a_key_are_found_by_all_they_hold(both: Both) -> None:
    """Values that look alike under a collation, or as text, are told apart; equal rows are changed one at a time."""
    both.both(
        "CREATE TABLE t (s VARCHAR(9), f FLOAT, b VARBINARY(4), j JSON, e ENUM('a','A') COLLATE utf8mb4_bin, n INT);"
        """INSERT INTO t VALUES ('a', 0.1, 'x', '{"a": 1}', 'a', NULL), ('A', 0.1, 'X', '{"a":1}', 'A', NULL),"""
        "('a ', 1e-30, 'x\\0', NULL, NULL, 0), ('a', NULL, '', '[]', 'a', 1), ('a', NULL, '', '[]', 'a', 1)"
    )
    outcome = await both.carry(
        "UPDATE t SET n = 1 WHERE s = BINARY 'A'; DELETE FROM t WHERE s = 'a' AND f IS NULL LIMIT 1;"
        "UPDATE t SET f = 0.3 WHERE f = CAST(0.1 AS FLOAT) LIMIT 1; DELETE FROM t WHERE b = 'x\\0'"
    )
    assert PLAIN == facts(outcome)
    both.assert_equal("t")


@pytest.mark.parametrize(
    ("key", "columns"),
    [
        (("id",), {"id": "int", "v": "int"}),
        (("id",), {"id": "varchar", "v": "int"}),
        (("a", "b"), {"a": "int", "b": "varchar", "v": "int"}),
    ],
)
async def test_deletes_of_many_rows_use_the_key(both: Both, key: tuple[str, ...], columns: dict[str, str]) -> None:
    """A delete of many keys that reads the whole table would make a large table impossible to follow."""
    table = LoggedTable(columns, keys=(Key("PRIMARY", key, (0,) * len(key)),), name=(both.database, "t"))
    declared = ", ".join(f"{name} {'INT' if kind == 'int' else 'VARCHAR(50)'}" for name, kind in columns.items())
    filled = ", ".join("seq" for _ in columns)
    both.only_target(f"CREATE TABLE t ({declared}, PRIMARY KEY ({', '.join(key)}))")
    both.only_target(f"INSERT INTO t SELECT {filled} FROM seq_1_to_20000; ANALYZE TABLE t")
    log = Log()
    for i in range(1, 250):
        log.commit(table.delete([str(i) if kind == "varchar" else i for kind in columns.values()]))
    batch = Batch(log.plans)
    for transaction in log.read(table):
        batch.add(transaction)
    [step] = batch.partitions(1)[0].steps
    for statement in render(step):
        [plan] = both.target.sql(f"EXPLAIN {statement.sql.decode()}")
        assert ("range", "PRIMARY") == (plan[3], plan[5])
        assert int(plan[8]) <= statement.rows


async def test_a_value_that_the_target_refuses_is_named(both: Both) -> None:
    """Out of a batch of hundreds, the message must name the table and the row, and say what to do."""
    both.only_source("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    both.only_target("CREATE TABLE t (id INT PRIMARY KEY, v TINYINT)")
    with pytest.raises(ApplyFailed, match=rf"table {both.database}.t, row id = 7.*alter it"):
        await both.carry("INSERT INTO t VALUES (1, 1), (2, 2), (7, 400), (8, 8)")
    assert [] == both.on_target("SELECT * FROM t")
