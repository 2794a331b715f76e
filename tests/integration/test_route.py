"""What a link carries, and under which name: tables, rows and operations."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from cdcd.errors import SchemaMismatch
from cdcd.route.where import UndecidableFilter
from tests.fixtures.links import PLAIN, Both, Outcome, running, wait_until

TABLE = "(id INT PRIMARY KEY, region VARCHAR(9), amount INT)"


def facts(outcome: Outcome) -> dict[str, int]:
    """Return what a link may not report of changes that nothing contradicts."""
    return {"conflicts": outcome.conflicts, "careful": outcome.row_by_row}


async def test_only_tables_that_the_rules_name_are_carried(both: Both) -> None:
    """The result is the tables minus the excluded ones; a table that is not carried need not exist on the target."""
    both.both("".join(f"CREATE TABLE {name} (id INT PRIMARY KEY);" for name in ("orders", "cust_a", "cust_z")))
    both.only_source("CREATE TABLE tmp_orders (id INT PRIMARY KEY)")
    tables = tuple(f"{both.database}.{rule}" for rule in ("*orders", "cust_[a-m]*"))
    outcome = await both.carry(
        "BEGIN; INSERT INTO orders VALUES (1); INSERT INTO tmp_orders VALUES (1); INSERT INTO cust_a VALUES (1);"
        "COMMIT; INSERT INTO cust_z VALUES (1); INSERT INTO tmp_orders VALUES (2)",
        tables=tables,
        exclude=(f"{both.database}.tmp_*",),
    )
    assert (1, 2) == (outcome.transactions, outcome.rows)
    both.assert_equal("orders", "cust_a")
    assert [] == both.on_target("SELECT * FROM cust_z")


async def test_a_table_and_a_database_take_other_names(both: Both) -> None:
    """The most precise rule wins: one table may go elsewhere than its database."""
    other = f"{both.database}_b"
    both.only_source(f"CREATE TABLE orders {TABLE}; CREATE TABLE items {TABLE}; INSERT INTO items VALUES (1, 'eu', 1)")
    both.only_target(f"CREATE TABLE renamed {TABLE}; CREATE DATABASE {other}; CREATE TABLE {other}.items {TABLE}")
    both.only_target(f"INSERT INTO {other}.items VALUES (1, 'eu', 1)")
    try:
        outcome = await both.carry(
            "INSERT INTO orders VALUES (1, 'eu', 1); UPDATE items SET amount=2; INSERT INTO items VALUES (2, 'us', 3)",
            rename={f"{both.database}.orders": f"{both.database}.renamed", f"{both.database}.*": other},
        )
        assert PLAIN == facts(outcome)
        assert [(1, "eu", 1)] == both.on_target("SELECT * FROM renamed")
        assert [(1, "eu", 2), (2, "us", 3)] == both.on_target(f"SELECT * FROM {other}.items ORDER BY id")
    finally:
        both.only_target(f"DROP DATABASE {other}")


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO t VALUES (9, 'eu', 1), (10, 'us', 1)",
        "UPDATE t SET amount = amount + 1",
        "UPDATE t SET region = 'us' WHERE id = 1",
        "UPDATE t SET region = 'eu' WHERE id = 2",
        "UPDATE t SET id = 11, region = 'eu' WHERE id = 2; UPDATE t SET id = 12 WHERE id = 1",
        "UPDATE t SET region = 'us'; UPDATE t SET region = 'eu' WHERE id > 1",
        "UPDATE t SET region = NULL",
        "DELETE FROM t",
        "DELETE FROM t WHERE region='us'; INSERT INTO t VALUES (2, 'eu', 5); UPDATE t SET id=id+5 ORDER BY id DESC",
    ],
)
@pytest.mark.parametrize("keys", ["", ", UNIQUE (amount, id)"])
async def test_rows_come_and_go_as_they_cross_the_filter(both: Both, change: str, keys: str) -> None:
    """A row that begins to pass must appear whole on the target, and one that ceases to pass must go."""
    both.both(f"CREATE TABLE t (id INT PRIMARY KEY, region VARCHAR(9), amount INT{keys})")
    both.both("INSERT INTO t VALUES (1, 'eu', 1), (2, 'us', 2), (3, NULL, 3), (4, 'EU', 4)")
    both.only_target("DELETE FROM t WHERE region IS NULL OR region <> 'eu'")
    assert PLAIN == facts(await both.carry(change, where={f"{both.database}.t": "`region` = 'eu'"}))
    passing = both.on_source("SELECT * FROM t WHERE region = 'eu' ORDER BY id")
    assert passing == both.on_target("SELECT * FROM t ORDER BY id")


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        (("insert",), [(1, "a", 1), (2, "b", 2), (3, "c", 3)]),
        (("insert", "update"), [(1, "a", 9), (2, "b", 2), (3, "c", 3)]),
        (("update",), [(1, "a", 9), (2, "b", 2)]),
        (("delete",), [(1, "a", 1)]),
        (("insert", "delete"), [(1, "a", 1), (3, "c", 3)]),
        (("insert", "update", "delete"), [(1, "a", 9), (3, "c", 3)]),
    ],
)
async def test_only_the_operations_that_are_named_are_carried(
    both: Both, operations: tuple[str, ...], expected: list[tuple[int, str, int]]
) -> None:
    """An archive keeps what its source deletes: operations that are left out do not happen, and are no conflict."""
    both.both(f"CREATE TABLE t {TABLE}; INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)")
    outcome = await both.carry(
        "INSERT INTO t VALUES (3, 'c', 3); UPDATE t SET amount = 9 WHERE id = 1; DELETE FROM t WHERE id = 2",
        operations=operations,
    )
    assert PLAIN == facts(outcome)
    assert len(operations) == outcome.rows
    assert expected == both.on_target("SELECT * FROM t ORDER BY id")


async def test_links_that_share_a_source_do_not_disturb_each_other(both: Both) -> None:
    """Each link reads under an identity of its own: a source ends a reader whose identity another takes."""
    both.both(f"CREATE TABLE a {TABLE}; CREATE TABLE b {TABLE}")
    links = [both.link(tables=(f"{both.database}.{name}",)) for name in "ab"]
    async with (
        running(links[0], both.source, both.target) as first,
        running(links[1], both.source, both.target) as second,
    ):
        for i in range(20):
            both.only_source(f"BEGIN; INSERT INTO a VALUES ({i}, 'a', 1); INSERT INTO b VALUES ({i}, 'b', 1); COMMIT")
        await first.caught_up()
        await second.caught_up()
        assert [20, 20] == [link.runner.rows for link in (first, second)]
        assert [0, 0] == [link.runner.stages["source"]["reconnects"] for link in (first, second)]
    both.assert_equal("a", "b")


async def test_a_schema_change_that_is_not_carried_is_logged_and_passed(both: Both) -> None:
    """With ddl = false the operator alters both sides; what still fits goes on."""
    both.both(f"CREATE TABLE t {TABLE}; CREATE TABLE u {TABLE}")
    with capture_logs() as logs:
        outcome = await both.carry(
            "INSERT INTO t VALUES (1, 'a', 1); ALTER TABLE t ADD KEY (amount); INSERT INTO t VALUES (2, 'b', 2);"
            "DROP TABLE u; TRUNCATE TABLE t; INSERT INTO t VALUES (3, 'c', 3)"
        )
    passed = [entry["statement"] for entry in logs if entry["event"] == "ddl_not_carried"]
    assert ["ALTER TABLE t ADD KEY (amount)", "DROP TABLE `u`", "TRUNCATE TABLE t"] == [
        statement.split(" /*")[0] for statement in passed
    ]
    assert PLAIN == facts(outcome)
    assert [(1,), (2,), (3,)] == both.on_target("SELECT id FROM t ORDER BY id")


@pytest.mark.parametrize(
    ("there", "message"),
    [
        (None, r"the target has no table {db}\.t .*table {db}\.t.*create it there"),
        ("(id INT PRIMARY KEY, region VARCHAR(9))", r"column amount is missing .*table {db}\.t.*add it there"),
        ("(region VARCHAR(9) PRIMARY KEY, id INT, amount INT)", r"key \(region\).*table {db}\.t.*same keys"),
        ("(id INT, k INT PRIMARY KEY, region VARCHAR(9), amount INT)", r"column k is not on the source.*table {db}\.t"),
    ],
)  # fmt: skip
async def test_a_table_that_does_not_fit_stops_the_link(both: Both, there: str | None, message: str) -> None:
    """Rows that cannot be carried exactly are not carried at all; what came before them is."""
    both.both("CREATE TABLE before_it (id INT PRIMARY KEY)")
    both.only_source(f"CREATE TABLE t {TABLE}")
    if there is not None:
        both.only_target(f"CREATE TABLE t {there}")
    script = "INSERT INTO before_it VALUES (1); INSERT INTO t VALUES (1, 'a', 1); INSERT INTO before_it VALUES (2)"
    with pytest.raises(SchemaMismatch, match=message.format(db=both.database)):
        await both.carry(script)
    assert [(1,)] == both.on_target("SELECT * FROM before_it")


async def test_a_link_that_stopped_goes_on_once_the_table_fits(both: Both) -> None:
    """The position stays before what could not be applied, so nothing is lost and nothing comes twice."""
    both.only_source(f"CREATE TABLE t {TABLE}")
    link = both.link()
    with pytest.raises(SchemaMismatch):
        await both.follow(link, "INSERT INTO t VALUES (1, 'a', 1); UPDATE t SET amount = amount + 1")
    both.only_target(f"CREATE TABLE t {TABLE}")
    await both.follow(link)
    both.assert_equal("t")


async def test_a_table_may_be_altered_on_both_sides_while_the_link_runs(both: Both) -> None:
    """The plan of a table is made anew after a schema change, whoever carried it to the target."""
    both.both(f"CREATE TABLE t {TABLE}")
    async with running(both.link(), both.source, both.target) as link:
        both.only_source("INSERT INTO t VALUES (1, 'a', 1)")
        await link.caught_up()
        both.only_target("ALTER TABLE t ADD note VARCHAR(9) DEFAULT 'n'")
        both.only_source("ALTER TABLE t ADD note VARCHAR(9); INSERT INTO t VALUES (2, 'b', 2, 'x')")
        await link.caught_up()
        await wait_until(lambda: link.runner.rows == 2)
    assert [(1, "a", 1, "n"), (2, "b", 2, "x")] == both.on_target("SELECT * FROM t ORDER BY id")


CHARSETS = {
    "cp850": "é", "cp852": "š", "cp866": "Ж", "koi8u": "ї", "macroman": "é", "macce": "š", "tis620": "ก",
    "eucjpms": "表", "cp932": "表", "sjis": "表", "gbk": "誠", "big5": "表", "euckr": "똠", "ucs2": "é",
    "utf16": "é", "utf16le": "é", "utf32": "é", "latin1": "\x81", "latin7": "ž", "cp1256": "س", "hp8": "é",
}  # fmt: skip


async def test_a_filter_reads_every_charset(both: Both) -> None:
    """A column that was read as if it held UTF-8 would let no row pass, and nobody would know."""
    columns = "".join(
        f", v_{name} VARCHAR(9) CHARACTER SET {name} COLLATE {name}_bin, e_{name} ENUM('a','{text}')"
        f" CHARACTER SET {name} COLLATE {name}_bin,"
        f" z_{name} VARCHAR(300) COMPRESSED CHARACTER SET {name} COLLATE {name}_bin"
        for name, text in CHARSETS.items()
    )
    condition = " AND ".join(
        f"{column}_{name} = '{text}'" for name, text in CHARSETS.items() for column in ("v", "e", "z")
    )
    both.both(f"CREATE TABLE t (id INT PRIMARY KEY{columns})")
    values = ", ".join(f"'{text}', '{text}', '{text}'" for text in CHARSETS.values())
    others = ", ".join("'a', 'a', 'a'" for _ in CHARSETS)
    change = f"INSERT INTO t VALUES (1, {values}), (2, {others})"
    assert PLAIN == facts(await both.carry(change, where={f"{both.database}.t": condition}))
    assert [(1,)] == both.on_target("SELECT id FROM t") == both.on_source(f"SELECT id FROM t WHERE {condition}")


async def test_text_that_is_not_certain_stops_the_link_where_the_filter_asks(both: Both) -> None:
    """No guess: the row might have to go."""
    both.both("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9) CHARACTER SET sjis COLLATE sjis_bin)")
    with pytest.raises(UndecidableFilter, match="column v holds bytes"):
        await both.carry("INSERT INTO t VALUES (1, X'815F')", where={f"{both.database}.t": "v = 'x'"})
