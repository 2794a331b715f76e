"""Rows of one side and a schema change of the other that cross on their ways are told, never passed over."""

from __future__ import annotations

import pytest

from cdcd.errors import Conflict
from tests.fixtures.active_pair import contents
from tests.fixtures.links import running
from tests.fixtures.sites import one_way

CROSSING = {
    "truncate": "TRUNCATE TABLE t",
    "swap": "RENAME TABLE t TO x, u TO t, x TO u",
    "partition": "ALTER TABLE p DROP PARTITION p0",
    "fill": "ALTER TABLE t ADD c DATETIME(6) NOT NULL DEFAULT NOW(6)",
    "replace": "CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, v VARCHAR(9))",
}
TABLES = (
    "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9)); CREATE TABLE u LIKE t; CREATE TABLE other LIKE t;"
    " CREATE TABLE p (id INT PRIMARY KEY, v VARCHAR(9)) PARTITION BY RANGE (id)"
    " (PARTITION p0 VALUES LESS THAN (100), PARTITION p1 VALUES LESS THAN (200))"
)


@pytest.fixture
async def both(east, west, database):
    """Give both sides the same tables, and both links a place in the logs after that."""
    for server in (east, west):
        server.sql(TABLES, database=database)
    async with (
        running(one_way(database, "forward"), east, west),
        running(one_way(database, "reverse"), west, east),
    ):
        pass
    return east, west


@pytest.mark.parametrize("case", CROSSING)
async def test_rows_that_crossed_a_change_stop_the_link_that_carried_them(both, database, case):
    """They met the changed table on one side, and the change met them on the other."""
    east, west = both
    table = "p" if case == "partition" else "t"
    east.sql(CROSSING[case], database=database)
    west.sql(f"INSERT INTO {table} (id, v) VALUES (7, 'west')", database=database)
    async with running(one_way(database, "reverse"), west, east) as back:
        await back.caught_up()
        async with running(one_way(database, "forward"), east, west) as run:
            await run.caught_up()
        error = await back.stopped()
    assert isinstance(error, Conflict)
    assert f"west wrote to {database}.{table} while a schema change of east was on its way" in str(error)
    assert f"cdcd skip --link {database}_reverse --gtid " in str(error)


FOREIGN_KEYS = {
    "drop": ("ALTER TABLE c DROP FOREIGN KEY f", "DELETE FROM p2 WHERE id = 1"),
    "drop constraint": ("ALTER TABLE c DROP CONSTRAINT f", "UPDATE p2 SET id = 9 WHERE id = 1"),
    "add": ("ALTER TABLE n ADD FOREIGN KEY (p) REFERENCES p2 (id) ON DELETE CASCADE", "INSERT INTO p2 VALUES (7)"),
    "default": ("ALTER TABLE n ADD w INT DEFAULT (p + 1)", "UPDATE n SET p = 1"),
}


@pytest.mark.parametrize("case", FOREIGN_KEYS)
async def test_changes_that_depend_on_other_rows_or_columns_cross(east, west, database, case):
    """What a foreign key does to rows is in no log, and a default is computed once, from what the row is then."""
    tables = (
        "CREATE TABLE p2 (id INT PRIMARY KEY); CREATE TABLE n (id INT PRIMARY KEY, p INT); CREATE TABLE c (id INT"
        " PRIMARY KEY, p INT, CONSTRAINT f FOREIGN KEY (p) REFERENCES p2 (id) ON DELETE CASCADE ON UPDATE CASCADE);"
        " INSERT INTO p2 VALUES (1), (2); INSERT INTO c VALUES (1, 1); INSERT INTO n VALUES (2, 2)"
    )
    for server in (east, west):
        server.sql(tables, database=database)
    async with (
        running(one_way(database, "forward"), east, west),
        running(one_way(database, "reverse"), west, east),
    ):
        pass
    change, rows = FOREIGN_KEYS[case]
    east.sql(change, database=database)
    west.sql(rows, database=database)
    async with running(one_way(database, "reverse"), west, east) as back:
        await back.caught_up()
        async with running(one_way(database, "forward"), east, west) as run:
            await run.caught_up()
        assert isinstance(await back.stopped(20), Conflict)


async def test_a_restart_does_not_forget_rows_that_crossed(both, database):
    """Until somebody has looked at both sides, the link stays where it is."""
    await test_rows_that_crossed_a_change_stop_the_link_that_carried_them(both, database, "truncate")
    async with running(one_way(database, "reverse"), *reversed(both)) as back:
        assert isinstance(await back.stopped(), Conflict)


async def test_rows_in_order_and_rows_of_other_tables_do_not_cross(both, database):
    """What came before the original there, and after the statement here, is in the same order on both sides."""
    east, west = both
    async with running(one_way(database, "reverse"), west, east) as back:
        west.sql("INSERT INTO t VALUES (1, 'before')", database=database)
        await back.caught_up()
        east.sql("TRUNCATE TABLE t", database=database)
        west.sql("INSERT INTO other VALUES (2, 'beside')", database=database)
        await back.caught_up()
        async with running(one_way(database, "forward"), east, west) as run:
            await run.caught_up()
            west.sql("INSERT INTO t VALUES (3, 'after')", database=database)
            await back.caught_up()
            await run.caught_up()
    assert [(3, "after")] == east.sql("SELECT * FROM t", database=database)
    assert contents(east, database) == contents(west, database)


async def test_a_change_that_rows_may_cross_disturbs_no_link(both, database):
    """A column with a constant default is the same, whichever came first."""
    east, west = both
    east.sql("ALTER TABLE t ADD c INT NOT NULL DEFAULT 4", database=database)
    west.sql("INSERT INTO t (id, v) VALUES (7, 'west')", database=database)
    async with running(one_way(database, "reverse"), west, east) as back:
        await back.caught_up()
        async with running(one_way(database, "forward"), east, west) as run:
            await run.caught_up()
        await back.caught_up()
    assert contents(east, database) == contents(west, database)


async def test_changes_of_both_sides_to_one_table_are_told(both, database):
    """Each came first on its own side."""
    east, west = both
    east.sql("RENAME TABLE t TO x, u TO t, x TO u", database=database)
    west.sql("TRUNCATE TABLE t", database=database)
    async with running(one_way(database, "reverse"), west, east) as back:
        await back.caught_up()
        async with running(one_way(database, "forward"), east, west) as run:
            assert isinstance(await run.stopped(), Conflict)
        assert isinstance(await back.stopped(), Conflict)
