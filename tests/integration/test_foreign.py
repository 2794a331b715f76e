"""What the log shows besides rows: passed over where nothing carried is concerned, applied exactly, or refused."""

from __future__ import annotations

import random
from contextlib import nullcontext, suppress

import pytest
from pymysql.err import Error

from cdcd.errors import UnsupportedEvent
from tests.fixtures.links import running
from tests.fixtures.sites import a_link

STATEMENTS = "SET SESSION binlog_format = STATEMENT"
MIXED = "SET SESSION binlog_format = MIXED"


@pytest.fixture
def other(east, west, database):
    """Give the source a second database, which no link carries, and both sides the same tables in the first."""
    name = f"{database}_other"
    east.sql(f"CREATE DATABASE {name}")
    for server, place in ((east, database), (west, database), (east, name)):
        server.sql(
            "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(40));"
            "CREATE TABLE n (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(40))",
            database=place,
        )
    for engine in ("myisam", "aria"):
        east.sql(f"CREATE TABLE {engine} (id INT PRIMARY KEY AUTO_INCREMENT) ENGINE={engine}", database=name)
    yield name
    east.sql(f"DROP DATABASE {name}")


def run_all(server, database, statements):
    """Run statements one by one on one connection."""
    with server.connect(database=database) as session, session.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def values(server, database, table="t"):
    """Return what a table holds."""
    return server.sql(f"SELECT id, v FROM {table} ORDER BY id", database=database)


ROW, TEMP = "INSERT INTO t (v) VALUES ('x')", "CREATE TEMPORARY TABLE x (id INT)"

ELSEWHERE = {
    "temporary_rollback": ["BEGIN", ROW, TEMP, ROW, "ROLLBACK"],
    "temporary_rollback_to": ["BEGIN", ROW, "SAVEPOINT a", ROW, TEMP, "ROLLBACK TO a", ROW, "COMMIT"],
    "savepoint_before_all": ["BEGIN", "SAVEPOINT a", ROW, TEMP, "ROLLBACK TO a", ROW, "COMMIT"],
    "failed_create_select": ["CREATE TABLE c (id INT)", "CREATE OR REPLACE TABLE c (id INT PRIMARY KEY) SELECT 1 AS id"
                             " UNION ALL SELECT 1"],
    "statement": [STATEMENTS, ROW, "UPDATE t SET v = 'y'", "DELETE FROM t"],
    "user_variable": [STATEMENTS, "SET @a = 5", "INSERT INTO t (v) VALUES (@a)"],
    "random": [STATEMENTS, ROW, "UPDATE t SET v = RAND()"],
    "mixed": [MIXED, "BEGIN", ROW, "INSERT INTO t (v) VALUES (UUID())", "INSERT INTO myisam VALUES ()", ROW, "COMMIT"],
    "engines": [STATEMENTS, "BEGIN", ROW, "INSERT INTO myisam VALUES ()", "INSERT INTO aria VALUES ()", "ROLLBACK"],
    "engines_and_temporary": ["BEGIN", ROW, "INSERT INTO myisam VALUES ()", TEMP, ROW, "ROLLBACK"],
    "select_into_temporary": [STATEMENTS, TEMP, "INSERT INTO x VALUES (1)", "INSERT INTO t (v) SELECT id FROM x"],
}  # fmt: skip


@pytest.mark.parametrize("case", ELSEWHERE)
async def test_what_happens_in_databases_that_are_not_carried_stops_no_link(east, west, database, other, case):
    """A link is not wedged for good by what others do with their own tables."""
    async with running(a_link(database, ddl=True), east, west) as run:
        with east.connect(database=other) as session, session.cursor() as cursor:
            for statement in ELSEWHERE[case]:
                with pytest.raises(Error) if "OR REPLACE" in statement else nullcontext():
                    cursor.execute(statement)
        east.sql("INSERT INTO t (v) VALUES ('after')", database=database)
        await run.caught_up()
    assert [(1, "after")] == values(west, database)


async def test_a_file_loaded_elsewhere_by_statement_stops_no_link(east, west, database, other, tmp_path):
    """The file's blocks and the statement that reads them are events of their own."""
    file = tmp_path / "rows.txt"
    file.write_text("1\tone\n2\ttwo\n")
    async with running(a_link(database), east, west) as run:
        with east.connect(database=other, local_infile=True) as session, session.cursor() as cursor:
            cursor.execute("SET GLOBAL local_infile = 1")
            cursor.execute(STATEMENTS)
            cursor.execute(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE t")
        east.sql("INSERT INTO t (v) VALUES ('after')", database=database)
        await run.caught_up()
    assert [(1, "after")] == values(west, database)


CARRIED = {
    "temporary_rollback": ["BEGIN", ROW, TEMP, ROW, "ROLLBACK"],
    "temporary_rollback_to": ["BEGIN", ROW, "SAVEPOINT a", ROW, TEMP, "ROLLBACK TO a", ROW, "COMMIT"],
    "savepoints": ["BEGIN", ROW, "SAVEPOINT a", ROW, "SAVEPOINT `b``c`", ROW, TEMP, "ROLLBACK TO `B``C`", ROW,
                   "SAVEPOINT d", ROW, "DROP TEMPORARY TABLE x", "ROLLBACK TO a", ROW, "SAVEPOINT d", ROW, TEMP,
                   "ROLLBACK TO d", ROW,
                   "COMMIT"],
    "two_tables": ["BEGIN", ROW, "SAVEPOINT a", "INSERT INTO n (v) VALUES ('n')", TEMP, "ROLLBACK TO a", ROW, "COMMIT"],
    "statement_beside_rows": [MIXED, "USE {other}", "BEGIN", ROW, "INSERT INTO {carried}.t (v) VALUES (UUID())", ROW,
                              "COMMIT"],
}  # fmt: skip


@pytest.mark.parametrize("case", CARRIED)
async def test_rows_that_the_log_takes_back_are_not_applied(east, west, database, other, case):
    """Both sides end the same, whether the transaction is taken back as a whole or from a savepoint on."""
    async with running(a_link(database), east, west) as run:
        run_all(
            east,
            other,
            [
                f"USE {database}",
                *(text.replace("{other}", other).replace("{carried}", database) for text in CARRIED[case]),
            ],
        )
        east.sql("INSERT INTO t (v) VALUES ('after')", database=database)
        await run.caught_up()
    assert values(east, database) == values(west, database)
    assert values(east, database, "n") == values(west, database, "n")


@pytest.mark.parametrize("end", ["ROLLBACK", "COMMIT"])
async def test_a_transaction_in_parts_is_taken_back_as_a_whole(east, west, database, other, end):
    """What was sent to the target already is rolled back there; a part of it alone cannot be."""
    rows = "INSERT INTO t (v) SELECT REPEAT('x', 40) FROM seq_1_to_5000"
    script = ["BEGIN", "SAVEPOINT a", rows, rows, TEMP, *([] if end == "ROLLBACK" else ["ROLLBACK TO a", rows]), end]
    async with running(a_link(database, transaction_bytes_max=65536), east, west) as run:
        run_all(east, database, ["INSERT INTO t (v) VALUES ('before')", script[0], ROW, *script[1:]])
        if end == "ROLLBACK":
            await run.caught_up()
        else:
            assert "raise transaction_bytes_max" in str(await run.stopped())
    assert "before" in [value for _, value in values(west, database)]
    assert 1 == len(values(west, database))


@pytest.mark.parametrize(("earlier", "later"), [("é", "e"), ("e", "é")])
async def test_a_savepoint_that_servers_take_for_another_is_not_guessed(east, west, database, other, earlier, later):
    """Names are compared as é = e, so that the second savepoint is the one that is meant."""
    script = ["BEGIN", ROW, f"SAVEPOINT {earlier}", ROW, f"SAVEPOINT {later}", ROW, TEMP, f"ROLLBACK TO {earlier}"]
    async with running(a_link(database), east, west) as run:
        run_all(east, database, [*script, "COMMIT"])
        error = await run.stopped()
    assert isinstance(error, UnsupportedEvent)
    assert "is not ASCII" in error.hint
    assert 2 == len(values(east, database))
    assert [] == values(west, database)


REFUSED = {
    "statement_on_carried": [STATEMENTS, "INSERT INTO {carried}.t (v) VALUES ('secret')"],
    "joined_update": [STATEMENTS, "UPDATE t JOIN {carried}.t AS q USING (id) SET q.v = 'secret', t.v = 'secret'"],
    "trigger": ["CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW INSERT INTO {carried}.t (v) VALUES ('g')",
                STATEMENTS, "INSERT INTO t (v) VALUES ('secret')"],
    "view": ["CREATE VIEW w AS SELECT * FROM {carried}.t", STATEMENTS, "INSERT INTO w (v) VALUES ('secret')"],
    "function": ["CREATE FUNCTION f() RETURNS INT DETERMINISTIC BEGIN INSERT INTO {carried}.t (v) VALUES ('f');"
                 " RETURN 1; END", STATEMENTS, "INSERT INTO t (v) VALUES (CONCAT('secret', f()))"],
    "cascade": ["CREATE TABLE {carried}.c (id INT, FOREIGN KEY (id) REFERENCES {other}.t (id) ON DELETE CASCADE)",
                "INSERT INTO t (id, v) VALUES (7, 'a')", "INSERT INTO {carried}.c VALUES (7)", STATEMENTS,
                "DELETE FROM t WHERE v <> 'secret'"],
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
async def test_a_statement_that_may_reach_a_carried_table_stops_the_link(east, west, database, other, case):
    """Triggers, views, functions and cascades change rows of tables that the statement does not name."""
    west.sql("CREATE TABLE c (id INT)", database=database)
    async with running(a_link(database), east, west) as run:
        run_all(east, other, [s.replace("{carried}", database).replace("{other}", other) for s in REFUSED[case]])
        error = await run.stopped()
    if case == "cascade":
        east.sql("DROP TABLE c", database=database)
    assert isinstance(error, UnsupportedEvent)
    assert "transaction 0-" in str(error)
    assert "set binlog_format=ROW" in str(error)
    assert "secret" not in str(error)


async def test_a_failed_create_or_replace_drops_the_carried_table(east, west, database, other):
    """The table is gone on the source, though the log says ROLLBACK after its DROP."""
    async with running(a_link(database, ddl=True), east, west) as run:
        east.sql("CREATE TABLE c (id INT)", database=database)
        with pytest.raises(Error, match="Duplicate"):
            east.sql(
                "CREATE OR REPLACE TABLE c (id INT PRIMARY KEY) SELECT 1 AS id UNION ALL SELECT 1", database=database
            )
        await run.caught_up()
    assert east.sql("SHOW TABLES", database=database) == west.sql("SHOW TABLES", database=database)


def a_transaction(chance, place):
    """Return random statements of one session: temporary tables, savepoints, other engines, statement format."""
    script = [
        "SET SESSION binlog_format = " + (chance.choice(["ROW", "MIXED", "STATEMENT"]) if place else "ROW"),
        "BEGIN",
    ]
    savepoints: list[str] = []
    for number in range(chance.randrange(1, 9)):
        choices = [
            "INSERT INTO t (v) VALUES (LEFT(UUID(), 8))",
            "UPDATE t SET v = CONCAT(LEFT(v, 20), 'u') ORDER BY id LIMIT 2",
            "DELETE FROM t ORDER BY id LIMIT 1",
            "INSERT INTO n (v) VALUES ('n')",
            "CREATE TEMPORARY TABLE IF NOT EXISTS x (id INT)",
            "DROP TEMPORARY TABLE IF EXISTS x",
            f"SAVEPOINT s{number % 3}",
            *([chance.choice(savepoints)] if savepoints else []),
            *(["INSERT INTO myisam VALUES ()", "INSERT INTO aria VALUES ()"] if place else []),
        ]
        statement = chance.choice(choices)
        if statement.startswith("SAVEPOINT"):
            savepoints.append(f"ROLLBACK TO {statement}")
        script.append(statement)
    return [*script, chance.choice(["COMMIT", "COMMIT", "ROLLBACK"])]


@pytest.mark.storm
@pytest.mark.parametrize("seed", range(6))
async def test_random_transactions_leave_both_sides_equal(east, west, database, other, seed):
    """Whatever sessions mix, carried tables end the same, and what is not carried stops nothing."""
    chance = random.Random(seed)
    async with running(a_link(database), east, west) as run:
        for _ in range(150):
            elsewhere = chance.random() < 0.5
            with east.connect(database=other if elsewhere else database) as session, session.cursor() as cursor:
                for statement in a_transaction(chance, elsewhere):
                    with suppress(Error):  # Aria knows no savepoints.
                        cursor.execute(statement)
        await run.caught_up()
    for table in ("t", "n"):
        assert values(east, database, table) == values(west, database, table)
