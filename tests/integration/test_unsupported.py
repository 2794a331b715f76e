"""What cannot be carried exactly stops the link: all before it is applied, nothing after it is."""

from __future__ import annotations

import pytest

from cdcd.errors import UnsupportedEvent
from tests.fixtures.links import running
from tests.fixtures.sites import a_link


@pytest.fixture
def table(east, west, database):
    """Give both sides the same tables, one of them on the source of an engine without transactions."""
    for server in (east, west):
        server.sql("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(40))", database=database)
        engine = "MyISAM" if server is east else "InnoDB"
        server.sql(f"CREATE TABLE m (id INT PRIMARY KEY) ENGINE={engine}", database=database)
    return database


def run_all(server, database, statements):
    """Run statements one by one on one connection."""
    with server.connect(database=database) as session, session.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def carried(server, database):
    """Return the values that the target has."""
    return [value for (value,) in server.sql("SELECT v FROM t ORDER BY id", database=database)]


STOPPING = {
    "statement_format": (
        ["SET SESSION binlog_format = STATEMENT", "INSERT INTO t (v) VALUES ('text')"],
        "set binlog_format=ROW",
    ),
    "statement_format_with_values": (
        ["SET SESSION binlog_format = STATEMENT", "SET @a = 5", "SELECT 1", "INSERT INTO t (v) VALUES (@a)"],
        "set binlog_format=ROW",
    ),
    "statement_format_random": (
        ["SET SESSION binlog_format = STATEMENT", "UPDATE t SET v = RAND()"],
        "set binlog_format=ROW",
    ),
    "statement_format_elsewhere": (
        ["SET SESSION binlog_format = STATEMENT", "DELETE FROM m"],
        "set binlog_format=ROW",
    ),
    "xa": (
        ["XA START 'x'", "INSERT INTO t (v) VALUES ('xa')", "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'"],
        "an XA transaction",
    ),
    "two_phase_alter": (
        ["SET SESSION binlog_alter_two_phase = 1", "ALTER TABLE t ADD w INT", "ALTER TABLE t DROP w"],
        "set binlog_alter_two_phase=OFF",
    ),
}


@pytest.mark.parametrize("case", STOPPING)
async def test_an_unsupported_transaction_stops_the_link(east, west, table, case):
    """All before it is applied; nothing after it; the error names the transaction and says what to do."""
    statements, hint = STOPPING[case]
    async with running(a_link(table, ddl=True), east, west) as run:
        east.sql("INSERT INTO t (v) VALUES ('before')", database=table)
        run_all(east, table, statements)
        east.sql("INSERT INTO t (v) VALUES ('after')", database=table)
        error = await run.stopped()
    assert isinstance(error, UnsupportedEvent)
    assert hint in str(error)
    assert "transaction 0-" in str(error)
    assert ["before"] == carried(west, table)
    async with running(a_link(table, ddl=True), east, west) as run:
        again = await run.stopped()
    assert str(error).partition(" (")[0] == str(again).partition(" (")[0]
    assert ["before"] == carried(west, table)


async def test_savepoints_are_no_obstacle(east, west, table):
    """What InnoDB rolls back to a savepoint is not in the log."""
    async with running(a_link(table), east, west) as run:
        run_all(
            east,
            table,
            [
                "BEGIN",
                "INSERT INTO t (v) VALUES ('kept')",
                "SAVEPOINT a",
                "INSERT INTO t (v) VALUES ('undone')",
                "ROLLBACK TO SAVEPOINT a",
                "SAVEPOINT b",
                "INSERT INTO t (v) VALUES ('too')",
                "RELEASE SAVEPOINT b",
                "COMMIT",
                "BEGIN",
                "INSERT INTO t (v) VALUES ('never')",
                "ROLLBACK",
            ],
        )
        await run.caught_up()
    assert ["kept", "too"] == carried(west, table)


async def test_load_data_arrives_as_rows(east, west, table, tmp_path):
    """In row format, a loaded file is rows like any other."""
    file = tmp_path / "rows.txt"
    file.write_text("1\tone\n2\ttwo\n")
    async with running(a_link(table), east, west) as run:
        statement = f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE t"
        east.sql("SET GLOBAL local_infile = 1")
        east.sql(statement, database=table, local_infile=True)
        await run.caught_up()
    assert ["one", "two"] == carried(west, table)


async def test_a_transaction_over_two_engines_that_commits_is_carried(east, west, table):
    """The log tells its rows apart; no statement is in the way."""
    async with running(a_link(table), east, west) as run:
        run_all(east, table, ["BEGIN", "INSERT INTO t (v) VALUES ('x')", "INSERT INTO m VALUES (7)", "COMMIT"])
        await run.caught_up()
    assert ["x"] == carried(west, table)
    assert [(7,)] == west.sql("SELECT id FROM m", database=table)


async def test_a_rollback_over_two_engines_leaves_what_cannot_roll_back(east, west, table):
    """The other engine's row stays on the source, so it is carried; InnoDB's is in neither."""
    async with running(a_link(table), east, west) as run:
        run_all(east, table, ["BEGIN", "INSERT INTO t (v) VALUES ('x')", "INSERT INTO m VALUES (7)", "ROLLBACK"])
        await run.caught_up()
    assert [] == carried(west, table)
    assert [(7,)] == west.sql("SELECT id FROM m", database=table)


async def test_drop_database_spares_what_the_link_leaves_out(east, west, database):
    """With excluded tables on the target, dropping the database there would drop what is not the link's."""
    name = f"{database}_x"
    keys = {"tables": (f"{name}.*",), "exclude": (f"{name}.private*",), "ddl": True}
    for server in (east, west):
        server.sql(f"CREATE DATABASE {name}; CREATE TABLE {name}.t (id INT); CREATE TABLE {name}.private (id INT)")
    async with running(a_link(database, **keys), east, west) as run:
        east.sql(f"DROP DATABASE {name}")
        error = await run.stopped()
    assert isinstance(error, UnsupportedEvent)
    assert f"DROP DATABASE {name}, which on the target holds {name}.private" in str(error)
    assert [("private",), ("t",)] == west.sql(f"SHOW TABLES FROM {name}")

    west.sql(f"DROP TABLE {name}.private")
    async with running(a_link(database, **keys), east, west) as run:
        await run.caught_up()
    assert [] == west.sql(f"SHOW DATABASES LIKE '{name}'")


async def test_drop_database_with_some_carried_tables_stops_the_link(east, west, database):
    """The tables are gone on the source; to leave them on the target without a word would be a skip."""
    name = f"{database}_x"
    for server in (east, west):
        server.sql(f"CREATE DATABASE {name}; CREATE TABLE {name}.a1 (id INT); CREATE TABLE {name}.b (id INT)")
    async with running(a_link(database, tables=(f"{name}.a*",), ddl=True), east, west) as run:
        east.sql(f"DROP DATABASE {name}")
        error = await run.stopped()
    west.sql(f"DROP DATABASE {name}")
    assert isinstance(error, UnsupportedEvent)
    assert f"{name}.a1: the link carries this table, and not the database" in str(error)


async def test_drop_table_of_carried_and_other_tables_drops_the_carried(east, west, database):
    """One statement may name tables of several links."""
    for server in (east, west):
        server.sql("CREATE TABLE a (id INT); CREATE TABLE b (id INT); CREATE TABLE c (id INT)", database=database)
    async with running(a_link(database, exclude=(f"{database}.b",), ddl=True), east, west) as run:
        east.sql("DROP TABLE a, b, c", database=database)
        await run.caught_up()
    assert [("b",)] == west.sql(f"SHOW TABLES FROM {database}")


CROSSING = [
    "RENAME TABLE a TO b_out",
    "ALTER TABLE a RENAME TO b_out",
    "CREATE TABLE a2 LIKE b",
]


@pytest.mark.parametrize("statement", CROSSING)
async def test_a_change_across_the_filter_stops_the_link(east, west, database, statement):
    """A table that enters or leaves the link cannot be carried by a statement alone."""
    for server in (east, west):
        server.sql("CREATE TABLE a (id INT); CREATE TABLE b (id INT)", database=database)
    async with running(a_link(database, exclude=(f"{database}.b*",), ddl=True), east, west) as run:
        east.sql(statement, database=database)
        error = await run.stopped()
    assert isinstance(error, UnsupportedEvent)
    assert [("a",), ("b",)] == west.sql(f"SHOW TABLES FROM {database}")
