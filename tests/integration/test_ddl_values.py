"""Rows that a schema change fills hold the same values on both sides, or the link stops."""

from __future__ import annotations

from typing import Any

import pytest

from cdcd.errors import ApplyFailed, UnsupportedEvent
from tests.fixtures.links import Both, running
from tests.fixtures.sites import a_link

ROWS = (
    "CREATE TABLE t (id INT PRIMARY KEY, v INT, ts TIMESTAMP NULL); INSERT INTO t VALUES (5, 1, NULL), (1, 2, NULL),"
    " (3, 3, '2020-01-01')"
)


@pytest.fixture
def filled(both: Both):
    """Give both sides a table of the same rows; return what carries a statement and compares the sides."""
    both.both(ROWS)

    async def carry(*statements: str) -> list[tuple[Any, ...]]:
        await both.carry("; ".join(statements), ddl=True)
        both.assert_equal("t")
        return both.on_target("SELECT * FROM t ORDER BY id")

    return carry


@pytest.mark.parametrize(
    "statements",
    [
        ["ALTER TABLE t ADD c DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)"],
        ["SET timestamp = 1700000000.999999", "ALTER TABLE t ADD c DATETIME(6) DEFAULT (NOW(6) - INTERVAL 1 SECOND)"],
        ["SET sql_mode = ''", "ALTER TABLE t MODIFY ts TIMESTAMP(6) NOT NULL DEFAULT NOW(6) ON UPDATE NOW(6)"],
        [
            "SET time_zone = '+05:00'",
            "ALTER TABLE t ADD a TIMESTAMP DEFAULT '2021-01-01', ADD b DATETIME DEFAULT NOW()",
        ],
        ["SET lc_time_names = 'de_DE'", "ALTER TABLE t ADD c VARCHAR(99) DEFAULT (DATE_FORMAT(NOW(), '%W %M'))"],
        ["ALTER TABLE t ADD n BIGINT AUTO_INCREMENT UNIQUE"],
        [
            "SET auto_increment_increment = 5, auto_increment_offset = 3",
            "ALTER TABLE t ADD n BIGINT AUTO_INCREMENT UNIQUE FIRST",
        ],
        ["SET check_constraint_checks = 0", "ALTER TABLE t ADD CHECK (v > 1)"],
        ["SET sql_if_exists = 1", "DROP TABLE nosuch", "ALTER TABLE t ADD c INT DEFAULT 5"],
    ],
)
async def test_existing_rows_get_the_values_of_the_source(both, filled, statements):
    """The statement runs at the time and under the settings of the original."""
    assert 3 == len(await filled(*statements))
    [(here,)], [(there,)] = (side("SELECT @@server_id") for side in (both.on_source, both.on_target))
    assert here != there
    definitions = [side("SHOW CREATE TABLE t")[0][1] for side in (both.on_source, both.on_target)]
    assert definitions[0].partition("ENGINE")[0] == definitions[1].partition("ENGINE")[0]


async def test_a_constraint_is_checked_as_the_source_checked_it(both, filled):
    """The target's own rows are not let through where the source's were looked at."""
    both.only_target("SET check_constraint_checks = 0; INSERT INTO t VALUES (9, -1, NULL)")
    with pytest.raises(Exception, match=r"CONSTRAINT.*cdcd skip --link .* --gtid "):
        await filled("ALTER TABLE t ADD CHECK (v > 0)")


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("u UUID DEFAULT (UUID())", "UUID"),
        ("u DOUBLE DEFAULT (RAND())", "RAND"),
        ("u VARCHAR(99) DEFAULT (USER())", "USER"),
    ],
)
async def test_what_each_server_answers_in_its_own_way_stops_the_link(both, filled, column, told):
    """The log holds no values of the rows that the statement fills."""
    with pytest.raises(UnsupportedEvent, match=rf"{told}.*cdcd skip --link"):
        await filled(f"ALTER TABLE t ADD {column}")
    assert "`u`" not in both.on_target("SHOW CREATE TABLE t")[0][1]


async def test_where_there_are_no_rows_any_default_is_carried(both, filled):
    """Rows that come later are in the log."""
    rows = await filled(
        "DELETE FROM t", "ALTER TABLE t ADD u UUID DEFAULT (UUID())", "INSERT INTO t (id) VALUES (1), (2)"
    )
    assert 2 == len({row[-1] for row in rows})


async def test_rows_without_a_primary_key_are_not_numbered(both):
    """They have no order that is the same on both sides."""
    both.both("CREATE TABLE t (v INT); INSERT INTO t VALUES (1), (2)")
    with pytest.raises(UnsupportedEvent, match="order of the rows"):
        await both.carry("ALTER TABLE t ADD id INT AUTO_INCREMENT PRIMARY KEY", ddl=True)


async def test_the_time_zone_of_the_system_must_be_the_same(server_factory, monkeypatch):
    """The log says SYSTEM, and each server takes it for its own."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    east = server_factory()
    monkeypatch.setenv("TZ", "America/New_York")
    west = server_factory()
    for server in (east, west):
        server.sql(f"CREATE DATABASE shop; USE shop; {ROWS}")
    link = a_link("shop", ddl=True)
    async with running(link, east, west) as run:
        east.sql("ALTER TABLE t ADD c INT DEFAULT 4", database="shop")
        await run.caught_up()
        east.sql("ALTER TABLE t ADD d TIMESTAMP DEFAULT '2021-01-01 00:00:00'", database="shop")
        error = await run.stopped()
    assert isinstance(error, UnsupportedEvent)
    assert "default_time_zone" in str(error)
    assert "`c`" in west.sql("SHOW CREATE TABLE shop.t")[0][1]


async def test_a_list_of_tables_is_dropped_as_far_as_it_is_there(both):
    """The source drops what there is, tells its client what is not, and logs the whole list."""
    both.both("CREATE TABLE a (id INT PRIMARY KEY); CREATE TABLE b (id INT PRIMARY KEY)")
    link = both.link(ddl=True)
    with pytest.raises(Exception, match="Unknown table"):
        both.only_source("DROP TABLE a, nosuch, b")
    await both.follow(link)
    assert [] == both.on_target("SHOW TABLES")


async def test_hundreds_of_tables_are_dropped_by_one_statement(both):
    """Long names fill more than 64 KiB of announcement."""
    names = [f"{'é' * 50}_{number}" for number in range(560)]
    both.both("; ".join(f"CREATE TABLE `{name}` (id INT PRIMARY KEY) ENGINE = MyISAM" for name in names))
    await both.carry("DROP TABLE " + ", ".join(f"`{name}`" for name in names), ddl=True)
    assert [] == both.on_target("SHOW TABLES")


async def test_a_statement_that_the_target_takes_in_no_packet_stops_the_link(east, server_factory, database):
    """The target would end the connection, again and again."""
    west = server_factory({"max-allowed-packet": "1M"})
    west.sql(f"CREATE DATABASE {database}")
    async with running(a_link(database, ddl=True), east, west) as run:
        east.sql(f"/* {'x' * 1_100_000} */ CREATE TABLE t (id INT PRIMARY KEY)", database=database)
        error = await run.stopped()
    assert isinstance(error, ApplyFailed)
    assert "raise max_allowed_packet on the target" in str(error)


@pytest.mark.parametrize("existing", ["x", "y"])
async def test_an_operator_is_told_each_way_out_once(both, filled, existing):
    """What is done by hand on one side of a pair must not come back; no advice is given twice."""
    statement = "ALTER TABLE t ADD x INT" if existing == "x" else "ALTER TABLE t ADD y CHAR(40) DEFAULT (UUID())"
    if existing == "x":
        both.only_target(statement)
    link = both.link(ddl=True)
    async with running(link, both.source, both.target, is_paired=True) as run:
        both.only_source(statement)
        told = str(await run.stopped(20))
    assert 1 == told.count(f"cdcd skip --link {link.name} --gtid ")
    assert ("by hand" in told) == ("on west, SET sql_log_bin = 0 before that" in told) == (existing == "y")
    assert (existing == "x") == told.count("start the link again")


async def test_division_has_the_digits_of_the_source(both, filled):
    """No event says how many, so the source's own setting counts, and rows that are there are not computed."""
    both.both("CREATE TABLE n (id INT PRIMARY KEY)")
    both.source.sql("SET GLOBAL div_precision_increment = 9")
    try:
        await both.carry("ALTER TABLE n ADD d VARCHAR(40) DEFAULT (1 / 3)", ddl=True)
        with pytest.raises(UnsupportedEvent, match="a division"):
            await both.carry("ALTER TABLE t ADD d VARCHAR(40) DEFAULT (v / 3)", ddl=True)
    finally:
        both.source.sql("SET GLOBAL div_precision_increment = DEFAULT")
