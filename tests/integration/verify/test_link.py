"""What `verify` takes from the link, and what the command says."""

from __future__ import annotations

import io
import json

import pytest

from cdcd.cli.verify import run
from cdcd.config.schema import Config, Daemon
from cdcd.errors import ConfigError
from cdcd.verify import Limits
from tests.fixtures.pair import AT_ONCE, SMALL_CHUNKS, Pair, found
from tests.fixtures.sites import a_link, site


async def test_a_row_filter_holds_on_both_sides(pair: Pair) -> None:
    """Rows that the filter leaves out are not compared, whichever side holds them."""
    pair.both("CREATE TABLE t (id INT PRIMARY KEY, region CHAR(2))")
    pair.both("INSERT INTO t SELECT seq, IF(seq % 2, 'eu', 'us') FROM seq_1_to_50")
    pair.only_source("DELETE FROM t WHERE id = 1")
    pair.only_target("DELETE FROM t WHERE id IN (2, 3); INSERT INTO t VALUES (99, 'us')")

    report = await pair.table(SMALL_CHUNKS, where={f"{pair.database}.t": "`region` = 'eu' -- only Europe"})

    assert [("extra", {"id": 1}), ("missing", {"id": 3})] == found(report)
    assert 24 == report.rows


@pytest.mark.parametrize(
    ("here", "there", "row_filter", "told"),
    [
        ("VARCHAR(9) COLLATE utf8mb4_general_ci", "VARCHAR(9) COLLATE utf8mb4_bin", "c = 'eu'", "utf8mb4_bin"),
        ("DATETIME", "VARCHAR(30)", "c > '2024-01-01'", "varchar(30)"),
        ("DATE NOT NULL", "DATE NOT NULL", "c IS NULL", "NOT NULL"),
        ("DATE", "DATE NOT NULL", "c IS NULL", "NOT NULL"),
    ],
)
async def test_a_filter_that_finds_other_rows_on_the_target_is_not_compared(
    pair: Pair, here: str, there: str, row_filter: str, told: str
) -> None:
    """The source's columns decide what is carried; a WHERE clause on the target decides by its own."""
    pair.only_source(f"CREATE TABLE t (id INT PRIMARY KEY, c {here}) CHARACTER SET utf8mb4")
    pair.only_target(f"CREATE TABLE t (id INT PRIMARY KEY, c {there}) CHARACTER SET utf8mb4")

    report = await pair.table(where={f"{pair.database}.t": row_filter})

    assert told in report.problem


async def test_a_filter_that_finds_the_same_rows_on_the_target_is_compared(pair: Pair) -> None:
    """A wider type decides alike."""
    pair.only_source("CREATE TABLE t (id INT PRIMARY KEY, c VARCHAR(9) COLLATE utf8mb4_general_ci, n INT)")
    pair.only_target("CREATE TABLE t (id BIGINT PRIMARY KEY, c TEXT COLLATE utf8mb4_unicode_ci, n DECIMAL(20))")
    pair.both("INSERT INTO t VALUES (1, 'EU', 1), (2, 'us', 1), (3, 'eu', 3)")

    report = await pair.table(where={f"{pair.database}.t": "c = 'eu' AND n < 2"})

    assert (1, "", []) == (report.rows, report.problem, found(report))


async def test_a_renamed_table_is_compared_under_its_new_name(pair: Pair) -> None:
    """The source's rows are looked for where the link puts them."""
    pair.only_source("CREATE TABLE old (id INT PRIMARY KEY); INSERT INTO old VALUES (1), (2)")
    pair.only_target("CREATE TABLE new (id INT PRIMARY KEY); INSERT INTO new VALUES (1)")

    report = await pair.table(rename={f"{pair.database}.old": f"{pair.database}.new"})

    assert (f"{pair.database}.old", f"{pair.database}.new") == (report.table, report.target)
    assert [("missing", {"id": 2})] == found(report)


async def test_a_table_that_the_target_lacks_is_a_difference(pair: Pair) -> None:
    """What can't be compared is never silence."""
    pair.only_source("CREATE TABLE t (id INT PRIMARY KEY)")

    report = await pair.verify()

    assert not report.equal
    assert "no such table on the target" in report.tables[0].problem


@pytest.mark.parametrize("target_rows", [0, 21], ids=["by number", "by content"])
async def test_tables_that_differ_wholesale_are_not_listed(pair: Pair, target_rows: int) -> None:
    """Past a limit, memory stays bounded and the message says so; other tables are still compared."""
    pair.both("CREATE TABLE t (id INT PRIMARY KEY, v INT); CREATE TABLE u (id INT PRIMARY KEY)")
    pair.only_source("INSERT INTO t SELECT seq, 1 FROM seq_1_to_21; INSERT INTO u VALUES (1)")
    pair.only_target(f"INSERT INTO t SELECT seq, 2 FROM seq_1_to_21 WHERE seq <= {target_rows}")

    report = await pair.verify(Limits(settle_seconds=0, suspects_max=20))

    assert "differ wholesale, in more than 20 rows" in report.tables[0].problem
    assert 1 == report.tables[1].missing


async def test_a_link_that_does_not_carry_every_operation_is_refused(pair: Pair) -> None:
    """Such a link's sides are meant to differ."""
    with pytest.raises(ConfigError, match=r"links\.forward\.operations: without delete and update"):
        await pair.verify(operations=("insert",))


async def test_a_link_without_tables_is_refused(pair: Pair) -> None:
    """Nothing compared is not everything equal."""
    with pytest.raises(ConfigError, match=r"links\.forward\.tables: no table of site 'east' matches"):
        await pair.verify()


def a_config(pair: Pair) -> Config:
    """Describe the pair as a configuration file would."""
    sites = {"east": site(pair.source, "east"), "west": site(pair.target, "west")}
    return Config(daemon=Daemon(), sites=sites, links={"forward": a_link(pair.database, name="forward")})


async def test_the_command_says_equal_with_status_0(pair: Pair) -> None:
    """Text for people ends with the result."""
    pair.both("CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1)")
    out = io.StringIO()

    assert 0 == await run(a_config(pair), "forward", as_json=False, out=out)
    assert out.getvalue().endswith("forward: both sides are equal\n")
    assert f"{pair.database}.t: equal (1 rows in 1 chunks" in out.getvalue()


async def test_the_command_tells_differences_with_status_4(pair: Pair) -> None:
    """JSON names each table, its counts, and the rows that stayed different."""
    pair.both("CREATE TABLE t (k VARBINARY(9) PRIMARY KEY)")
    pair.only_source("INSERT INTO t VALUES (X'00FF')")
    out = io.StringIO()

    assert 4 == await run(a_config(pair), "forward", as_json=True, out=out, limits=AT_ONCE)
    printed = json.loads(out.getvalue())
    assert ("forward", False) == (printed["link"], printed["equal"])
    [table] = printed["tables"]
    assert (f"{pair.database}.t", False, 1) == (table["table"], table["equal"], table["missing"])
    assert [{"kind": "missing", "key": {"k": "0x00ff"}}] == table["first"]


async def test_the_command_refuses_an_unknown_link(pair: Pair) -> None:
    """The message names the links that there are."""
    with pytest.raises(ConfigError, match=r"no link named 'reverse' \(there are: forward\)"):
        await run(a_config(pair), "reverse", as_json=False, out=io.StringIO())
