"""Rows meet the table that they were written to, however far the source's tables have moved on since."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from cdcd.errors import SchemaMismatch
from cdcd.mysql.flavor.mariadb import MARIADB
from cdcd.mysql.schema import read_table
from tests.fixtures.active_pair import contents
from tests.fixtures.links import running, stopped
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.moved_on import HISTORY, begin, both, rows
from tests.fixtures.sites import a_link


async def test_a_column_that_the_target_has_first_lets_rows_go_on(east, west, database):
    """With ddl = false, the target is altered first: a change on the source is logged, and its rows fit."""
    both((east, west), database)
    with capture_logs() as logs:
        async with running(a_link(database), east, west) as run:
            rows_before = "INSERT INTO t VALUES (1, 1, 1, 'x')"
            east.sql(rows_before, database=database)
            await run.caught_up()
            west.sql("ALTER TABLE t ADD c INT DEFAULT 7 AFTER id", database=database)
            east.sql("INSERT INTO t VALUES (2, 2, 2, 'x')", database=database)
            await run.caught_up()
            east.sql("ALTER TABLE t ADD c INT AFTER a; INSERT INTO t (id, c) VALUES (3, 33)", database=database)
            await run.caught_up()
    assert [(1, 7, 1, 1, "x"), (2, 7, 2, 2, "x"), (3, 33, None, None, None)] == rows(west, database)
    [logged] = [entry for entry in logs if entry["event"] == "ddl_not_carried"]
    assert "ALTER TABLE t ADD c INT AFTER a" == logged["statement"]


async def test_a_column_dropped_on_the_source_gets_its_default(east, west, database):
    """A column that only the target has is left to the target."""
    both((east, west), database)
    async with running(a_link(database), east, west) as run:
        east.sql("INSERT INTO t VALUES (1, 1, 1, 'x')", database=database)
        await run.caught_up()
        west.sql("ALTER TABLE t ALTER a SET DEFAULT 9", database=database)
        east.sql("ALTER TABLE t DROP a; INSERT INTO t VALUES (2, 2, 'y'); UPDATE t SET b = 5", database=database)
        await run.caught_up()
    assert [(1, 1, 5, "x"), (2, 9, 5, "y")] == rows(west, database)


async def test_a_column_that_the_target_lacks_stops_the_link_until_it_is_there(east, west, database):
    """What cannot be written exactly is not written at all; after the repair the link goes on where it was."""
    both((east, west), database)
    await begin(east, west, database)
    statements = "INSERT INTO t (id) VALUES (1); ALTER TABLE t ADD c INT; INSERT INTO t (id, c) VALUES (2, 22)"
    east.sql(statements, database=database)
    error = await stopped(east, west, a_link(database))
    assert isinstance(error, SchemaMismatch)
    assert "column c is missing on the target table" in str(error)
    assert "add it there (int(11); cdcd check prints the statement)" in str(error)
    assert [(1,)] == rows(west, database, "SELECT id FROM t")

    west.sql("ALTER TABLE t ADD c INT", database=database)
    async with running(a_link(database), east, west) as run:
        await run.caught_up()
    assert rows(east, database) == rows(west, database)


async def test_a_new_table_that_the_target_lacks_stops_the_link(east, west, database):
    """Rows of a carried table are never dropped because there is no place for them."""
    await begin(east, west, database)
    east.sql("CREATE TABLE n (id INT PRIMARY KEY); INSERT INTO n VALUES (1)", database=database)
    error = await stopped(east, west, a_link(database))
    assert isinstance(error, SchemaMismatch)
    assert f"the target has no table {database}.n" in str(error)
    assert "ddl = true" in error.hint


PASSING = """
    CREATE DATABASE {d}_other
    CREATE TABLE {d}_other.x (id INT PRIMARY KEY)
    INSERT INTO {d}_other.x VALUES (1)
    ALTER TABLE {d}_other.x ADD y INT
    RENAME TABLE {d}_other.x TO {d}_other.z
    DROP DATABASE {d}_other
    CREATE VIEW v AS SELECT * FROM t
    CREATE OR REPLACE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW v AS SELECT id FROM t
    ALTER VIEW v AS SELECT a FROM t
    DROP VIEW v
    CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1
    DROP TRIGGER g
    CREATE PROCEDURE p() BEGIN DELETE FROM t WHERE id = 99; END
    CALL p()
    DROP PROCEDURE p
    CREATE FUNCTION f(x INT) RETURNS INT DETERMINISTIC RETURN x + 1
    DROP FUNCTION f
    CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM t
    ALTER EVENT e DISABLE
    DROP EVENT e
    CREATE USER {d}@localhost IDENTIFIED BY 'secret'
    GRANT SELECT ON *.* TO {d}@localhost
    SET PASSWORD FOR {d}@localhost = PASSWORD('other')
    REVOKE SELECT ON *.* FROM {d}@localhost
    RENAME USER {d}@localhost TO {d}_2@localhost
    DROP USER {d}_2@localhost
    CREATE ROLE {d}
    DROP ROLE {d}
    CREATE TEMPORARY TABLE tmp (id INT PRIMARY KEY)
    INSERT INTO tmp VALUES (1)
    ALTER TABLE tmp ADD x INT
    DROP TABLE tmp
    CREATE TEMPORARY TABLE t2 AS SELECT * FROM t
    DROP TEMPORARY TABLE t2
    ANALYZE TABLE t
    OPTIMIZE TABLE t
    FLUSH TABLES t
    FLUSH PRIVILEGES
    CREATE SEQUENCE s START WITH 5
    DO NEXTVAL(s)
    ALTER SEQUENCE s RESTART 50
    DO SETVAL(s, 70)
    DROP SEQUENCE s
"""


@pytest.mark.parametrize("ddl", [False, True])
async def test_what_is_no_table_of_the_link_passes(east, west, database, ddl):
    """Views, routines, accounts, sequences and foreign tables are in the log, and do not stop a link."""
    both((east, west), database)
    async with running(a_link(database, ddl=ddl), east, west) as run:
        with east.connect(database=database) as session, session.cursor() as cursor:
            for number, line in enumerate(PASSING.strip().splitlines()):
                cursor.execute(line.strip().replace("{d}", database))
                cursor.execute(f"INSERT INTO t (id) VALUES ({number})")
        await run.caught_up()
    assert rows(east, database) == rows(west, database)
    assert [("t", "BASE TABLE")] == west.sql(f"SHOW FULL TABLES FROM {database}")


SEQUENCE_LIKE = (
    "CREATE TABLE q (next_not_cached_value BIGINT NOT NULL, minimum_value BIGINT NOT NULL, maximum_value BIGINT NOT"
    " NULL, start_value BIGINT NOT NULL, increment BIGINT NOT NULL, cache_size BIGINT UNSIGNED NOT NULL, cycle_option"
    " TINYINT UNSIGNED NOT NULL, cycle_count BIGINT NOT NULL{key})"
)


@pytest.mark.parametrize("key", ["", ", PRIMARY KEY (start_value)"])
async def test_a_table_that_looks_like_a_sequence_is_carried(east, west, database, key):
    """What it is, the source says, not the names of its columns."""
    both((east, west), database, SEQUENCE_LIKE.format(key=key))
    async with running(a_link(database), east, west) as run:
        east.sql("INSERT INTO q VALUES (1, 2, 3, 4, 5, 6, 0, 0)", database=database)
        await run.caught_up()
    assert [(1, 2, 3, 4, 5, 6, 0, 0)] == rows(west, database, "SELECT * FROM q")


async def test_what_was_a_sequence_is_told_by_how_it_ended(east, west, database):
    """A link that was away finds in the log what the source no longer has; where it does not, it stops."""
    both((east, west), database)
    await begin(east, west, database)
    east.sql("CREATE SEQUENCE s; DO NEXTVAL(s); INSERT INTO t (id) VALUES (1); DROP SEQUENCE s", database=database)
    async with running(a_link(database), east, west) as run:
        await run.caught_up()
    assert 1 == len(rows(west, database))
    east.sql(
        f"{SEQUENCE_LIKE.format(key='')}; INSERT INTO q VALUES (1, 2, 3, 4, 5, 6, 0, 0); DROP TABLE q",
        database=database,
    )
    error = await stopped(east, west, a_link(database))
    assert isinstance(error, SchemaMismatch)
    assert "nothing tells whether it was one" in str(error)


async def test_statements_are_logged_without_the_secrets_in_them(east, west, database):
    """What passes is logged by its kind alone."""
    with capture_logs() as logs:
        async with running(a_link(database), east, west) as run:
            east.sql(f"CREATE USER {database}@localhost IDENTIFIED BY 'hush'; DROP USER {database}@localhost")
            await run.caught_up()
    assert ["CREATE USER", "DROP USER"] == [e["verb"] for e in logs if e["event"] == "statement_passed"]
    assert "IDENTIFIED" not in repr(logs)


async def test_a_link_that_was_away_follows_the_tables_as_they_were(east, west, database):
    """FULL metadata names each event's own columns, whatever the live table has become."""
    both((east, west), database)
    await begin(east, west, database, ddl=True)
    east.sql(HISTORY, database=database)
    async with running(a_link(database, ddl=True), east, west) as run:
        await run.caught_up()
    assert contents(east, database) == contents(west, database)


async def test_members_of_an_enum_are_those_of_the_event(east, west, database):
    """Values travel as numbers: the live table's list would give them another meaning."""
    table = "CREATE TABLE e (id INT PRIMARY KEY, e ENUM('a','it''s','\\\\'), s SET('x','y'))"
    both((east, west), database, table)
    await begin(east, west, database)
    east.sql("INSERT INTO e VALUES (1, 'a', 'x'), (2, '\\\\', 'x,y')", database=database)
    reordered = "ALTER TABLE e MODIFY e ENUM('\\\\','it''s','a') CHARACTER SET latin1"
    east.sql(reordered, database=database)
    async with running(a_link(database), east, west) as run:
        await run.caught_up()
        assert [(1, "a", "x"), (2, "\\", "x,y")] == rows(west, database, "SELECT * FROM e ORDER BY id")
        east.sql("INSERT INTO e VALUES (3, 'a', 'y')", database=database)
        error = await run.stopped()
    assert isinstance(error, SchemaMismatch)
    assert "the members of column e differ" in str(error)


async def test_a_key_that_moves_later_is_not_taken_for_that_of_the_rows(east, west, database):
    """An event names its own primary key: the live table's may be another, and the target's still the old one."""
    both((east, west), database)
    await begin(east, west, database, ddl=True)
    moves = "ALTER TABLE t MODIFY v VARCHAR(20) NOT NULL, DROP PRIMARY KEY, ADD PRIMARY KEY (v)"
    east.sql(
        f"INSERT INTO t VALUES (1, 1, 1, 'x'); UPDATE t SET v = 'y'; {moves}; UPDATE t SET id = 2", database=database
    )
    async with running(a_link(database, ddl=True), east, west) as run:
        await run.caught_up()
    assert contents(east, database) == contents(west, database)


async def test_another_key_on_the_target_stops_the_link(east, west, database):
    """Two rows of the source must never be one row of the target."""
    east.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT NOT NULL)", database=database)
    west.sql("CREATE TABLE t (id INT NOT NULL, v INT PRIMARY KEY)", database=database)
    await begin(east, west, database)
    east.sql("INSERT INTO t VALUES (1, 1); ALTER TABLE t ADD w INT", database=database)
    error = await stopped(east, west, a_link(database))
    assert isinstance(error, SchemaMismatch)
    assert "the target's key (v) does not tell the source's rows apart" in str(error)


async def test_a_column_generated_later_still_brings_its_rows(east, west, database):
    """The values of rows before and after are in the log, whatever the live table says of the column."""
    both((east, west), database)
    await begin(east, west, database)
    later = "ALTER TABLE t MODIFY a INT AS (id + 1) STORED"
    east.sql(f"INSERT INTO t VALUES (1, 77, 1, 'x'); {later}; INSERT INTO t (id) VALUES (2)", database=database)
    async with running(a_link(database), east, west) as run:
        await run.caught_up()
    assert [(1, 77, 1, "x"), (2, 3, None, None)] == rows(west, database)


async def test_a_column_generated_later_is_not_left_out_of_earlier_rows(east, west, database):
    """Where the target lacks it, it must have been generated when the rows were written."""
    both((east, west), database)
    await begin(east, west, database)
    later = "ALTER TABLE t MODIFY a INT AS (id + 1) STORED"
    east.sql(f"INSERT INTO t VALUES (1, 77, 1, 'x'); {later}", database=database)
    west.sql("ALTER TABLE t DROP a", database=database)
    error = await stopped(east, west, a_link(database))
    assert isinstance(error, SchemaMismatch)
    assert "column a is missing" in str(error)


async def test_a_table_renamed_while_it_is_read_is_gone(east: MariaDB, database: str) -> None:
    """Its description takes several queries; one that meets another session's RENAME must not fail."""
    east.sql("CREATE TABLE t (id INT PRIMARY KEY)", database=database)

    class RenamedMeanwhile:
        flavor = MARIADB

        async def fetch(self, query: str) -> list[tuple[Any, ...]]:
            rows = east.sql(query)
            if "information_schema.columns" in query:
                east.sql("RENAME TABLE t TO u", database=database)
            return rows

    assert await read_table(RenamedMeanwhile(), (database, "t")) is None
