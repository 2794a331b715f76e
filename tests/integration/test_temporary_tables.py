"""What a session does to a temporary table never reaches the ordinary table of its name on the target."""

from __future__ import annotations

import pytest

from cdcd.errors import UnsupportedEvent
from tests.fixtures.links import running

ORDINARY = "CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 1), (2, 2)"
TEMPORARY = "CREATE TEMPORARY TABLE t (id INT PRIMARY KEY, v INT)"
CHANGES = (
    "TRUNCATE TABLE t",
    "ALTER TABLE t ADD b INT",
    "CREATE INDEX i ON t (v)",
    "DROP INDEX i ON t",
    "ALTER TABLE t DROP v",
    "ALTER TABLE t RENAME TO x",
    "TRUNCATE TABLE x",
    "DROP TABLE x",
    TEMPORARY,
    "DROP TABLE t",
)


@pytest.mark.parametrize("format_", ["MIXED", "STATEMENT"])
async def test_changes_of_a_temporary_table_are_passed_over(both, format_):
    """The log has them as text; the session's CREATE TEMPORARY TABLE says what they are about."""
    both.both(ORDINARY)
    link = both.link(ddl=True)
    async with running(link, both.source, both.target) as run:
        both.source.sql(f"SET binlog_format = {format_}; {TEMPORARY}; " + "; ".join(CHANGES), database=both.database)
        both.source.sql("ALTER TABLE t ADD c INT; INSERT INTO t VALUES (3, 3, 3)", database=both.database)
        await run.caught_up()
    both.assert_equal("t")


@pytest.mark.parametrize("change", ["TRUNCATE TABLE t", "ALTER TABLE t DROP v", "CREATE TABLE u LIKE t"])
async def test_without_its_beginning_a_session_is_not_guessed_at(both, change):
    """A run that begins behind CREATE TEMPORARY TABLE knows only that there may be one."""
    both.both(ORDINARY)
    connection = both.source.connect(autocommit=True, database=both.database)
    try:
        cursor = connection.cursor()
        cursor.execute("SET binlog_format = MIXED")
        cursor.execute(TEMPORARY)
        async with running(both.link(ddl=True), both.source, both.target) as run:
            cursor.execute(change)
            error = await run.stopped()
    finally:
        connection.close()
    assert isinstance(error, UnsupportedEvent)
    assert "may be about a temporary table" in str(error)
    assert "cdcd skip --link" in str(error)
    both.assert_equal("t")


async def test_a_rename_of_a_temporary_table_stops_the_link(both):
    """No format and no flag tells it; the ordinary table that is still there does."""
    both.both(ORDINARY)
    link = both.link(ddl=True)
    async with running(link, both.source, both.target) as run:
        both.source.sql(f"{TEMPORARY}; RENAME TABLE t TO x", database=both.database)
        error = await run.stopped()
    assert isinstance(error, UnsupportedEvent)
    assert "may be about a temporary table" in str(error)
    both.assert_equal("t")


async def test_a_name_that_was_taken_again_is_no_sign_of_a_temporary_table(both):
    """A link that is behind sees the later table of the old name."""
    both.both(ORDINARY)
    link = both.link(ddl=True)
    async with running(link, both.source, both.target):
        pass
    both.source.sql("RENAME TABLE t TO x; CREATE TABLE t (id INT PRIMARY KEY)", database=both.database)
    async with running(link, both.source, both.target) as run:
        await run.caught_up()
    both.assert_equal("t")
    both.assert_equal("x")
