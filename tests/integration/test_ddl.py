"""Schema changes are carried once, as barriers, and never sent back."""

from __future__ import annotations

import pytest

from tests.fixtures.active_pair import active_pair
from tests.fixtures.schema_changes import CASES, script


@pytest.mark.parametrize("case", CASES)
async def test_a_schema_change_is_carried_once_each_way(east, west, database, case):
    """Both links carry what was born on their side, and nothing that the other has run."""
    async with active_pair(east, west, database) as pair:
        await pair.run(east, script(case, "a_"))
        await pair.quiet()
        here, there = pair.sides()
        assert here == there
        carried, _ = pair.announced()
        assert (carried, 0) == pair.announced()
        assert (0, carried) == pair.dropped()

        await pair.run(west, script(case, "b_"))
        await pair.quiet()
        here, there = pair.sides()
        assert here == there
        assert (carried, carried) == pair.announced()
        assert (carried, carried) == pair.dropped()
        assert carried > 0


async def test_names_and_literals_of_a_latin1_client_arrive(east, west, database):
    """The log holds the client's bytes, whatever its charset; what the server writes itself is UTF-8."""
    statements = [
        "SET NAMES latin1",
        "CREATE TABLE `é` (`à` INT PRIMARY KEY COMMENT 'ü', s VARCHAR(10) DEFAULT 'ß', e ENUM('ä','ö'))",
        "INSERT INTO `é` VALUES (1, 'x', 'ö')",
        "CREATE TABLE `ö` AS SELECT * FROM `é`",
        "ALTER TABLE `é` ADD `û` VARCHAR(20) DEFAULT 'garçon'",
        "RENAME TABLE `é` TO `è`",
        "CREATE TABLE `ñ` LIKE `è`",
        "DROP TABLE `ö`, `ñ`",
    ]
    async with active_pair(east, west, database) as pair:
        await pair.run(east, statements, charset="latin1")
        await pair.quiet()
        here, there = pair.sides()
        assert f"{database}.è" in here
        assert here == there
        assert (7 - 1, 0) == pair.announced()
        assert (0, 7 - 1) == pair.dropped()


async def test_a_multibyte_client_charset_keeps_its_quotes(east, west, database):
    """In sjis and gbk a character may hold the byte of a backslash, which must not escape the quote after it."""
    statement = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9) CHARACTER SET utf8mb4 DEFAULT '表' COMMENT '表')"
    async with active_pair(east, west, database) as pair:
        await pair.run(east, [statement, "INSERT INTO t (id) VALUES (1)"], charset="sjis")
        await pair.quiet()
        here, there = pair.sides()
        assert "表" in here[f"{database}.t"][0]
        assert here == there


async def test_a_database_is_carried_with_its_tables(east, west, database):
    """``db.*`` carries the database as a whole, with its defaults."""
    other = f"{database}_x"
    statements = [
        f"CREATE DATABASE {other} CHARACTER SET latin1",
        f"USE {other}",
        "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9))",
        "INSERT INTO t VALUES (1, 'é')",
        f"ALTER DATABASE {other} CHARACTER SET utf8mb4",
        f"ALTER TABLE {database}.u ADD w INT",
        "CREATE TABLE u (v VARCHAR(9))",
    ]
    async with active_pair(east, west, database, f"{database}_*") as pair:
        await pair.run(east, ["CREATE TABLE u (id INT PRIMARY KEY)", *statements])
        await pair.quiet()
        here, there = pair.sides(database, other)
        assert f"{other}.t" in here
        assert here == there

        await pair.run(west, [f"DROP DATABASE {other}"])
        await pair.quiet()
        here, there = pair.sides(database, other)
        assert other not in here
        assert here == there


async def test_another_connection_may_do_the_same_to_the_same_table(east, west, database):
    """What is dropped as one's own is told by its connection: the same text of an application is carried."""
    async with active_pair(east, west, database) as pair:
        await pair.run(east, ["CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)", "TRUNCATE TABLE t"])
        await pair.quiet()
        await pair.run(west, ["INSERT INTO t VALUES (2)"])
        await pair.quiet()
        await pair.run(west, ["TRUNCATE TABLE t", "INSERT INTO t VALUES (3)"])
        await pair.quiet()
        assert [(3,)] == east.sql("SELECT id FROM t", database=database)
        assert (2, 1) == pair.announced()


async def test_rows_of_both_sides_flow_around_a_change(east, west, database):
    """A change that fits the rows of both definitions disturbs no writer on either side."""
    async with active_pair(east, west, database) as pair:
        await pair.run(east, ["CREATE TABLE t (id INT PRIMARY KEY, v INT)"])
        await pair.quiet()
        for first in range(0, 100, 20):
            await pair.run(east, [f"INSERT INTO t (id, v) VALUES ({first + n}, 1)" for n in range(10)])
            await pair.run(west, [f"INSERT INTO t (id, v) VALUES ({first + n}, 2)" for n in range(10, 20)])
            await pair.run(east, [f"ALTER TABLE t ADD c{first} INT NOT NULL DEFAULT {first}"])
            await pair.run(west, [f"UPDATE t SET v = v + 1 WHERE id = {first}"])
        await pair.quiet()
        here, there = pair.sides()
        assert 100 == len(here[f"{database}.t"][1])
        assert here == there
