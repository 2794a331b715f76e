"""Rewritten statements do on a server what the originals did."""

from __future__ import annotations

import pytest

from cdcd.model.table import TableName
from cdcd.sql.ddl import parse, qualify
from tests.fixtures.mariadb import MariaDB

STATEMENTS = [
    "CREATE TABLE p (id INT PRIMARY KEY, x INT) ENGINE=InnoDB",
    "CREATE TABLE `odd.na``me x` LIKE p",
    "CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)",
    "CREATE SEQUENCE s",
    "CREATE TABLE d (id INT DEFAULT (NEXT VALUE FOR s), u INT DEFAULT nextval(s))",
    "CREATE OR REPLACE TABLE d (references_x INT, `table` INT, KEY (`table`))",
    "ALTER TABLE p ADD y INT /*!50001 DEFAULT 5 */, ADD CHECK (y > 0) /*!99999 COMMENT 'no' */",
    "SET STATEMENT lock_wait_timeout=1 FOR ALTER TABLE d RENAME e",
    "RENAME TABLE p WAIT 5 TO q, q TO r",
    "CREATE UNIQUE INDEX i ON r (x)",
    "ALTER TABLE r RENAME COLUMN y TO z, RENAME INDEX i TO j",
    "DROP INDEX j ON r",
    "CREATE TABLE m1 (a INT) ENGINE=MyISAM",
    "CREATE TABLE m (a INT) ENGINE=MERGE UNION=(m1)",
    "CREATE TABLE parts (a INT) PARTITION BY RANGE (a) (PARTITION x VALUES LESS THAN (5))",
    "CREATE TABLE part LIKE m1",
    "ALTER TABLE part ENGINE=InnoDB",
    "ALTER TABLE parts EXCHANGE PARTITION x WITH TABLE part",
    "TRUNCATE part",
    "CREATE TABLE filled SELECT * FROM parts",
    "DROP TABLE IF EXISTS part, nothing",
    "ALTER TABLE `odd.na``me x` COMMENT 'RENAME TO x'",
]


def shape(server: MariaDB, database: str) -> list[tuple[object, ...]]:
    """Describe every table of a database, without the database's own name."""
    rows = server.sql(f"SELECT table_name FROM information_schema.tables WHERE table_schema='{database}' ORDER BY 1")
    return [server.sql(f"SHOW CREATE TABLE `{name.replace('`', '``')}`", database=database)[0] for (name,) in rows]


def logged(server: MariaDB, database: str) -> list[str]:
    """Return the statements that the server wrote to its log while ``database`` was the default."""
    [(file, *_)] = server.sql("SHOW MASTER STATUS")
    rows = server.sql(f"SHOW BINLOG EVENTS IN '{file}'")
    prefix = f"use `{database}`; "
    return [row[5].removeprefix(prefix) for row in rows if row[2] == "Query" and row[5].startswith(prefix)]


def test_what_a_server_logs_runs_elsewhere_once_qualified(east: MariaDB, west: MariaDB, database: str) -> None:
    """Every logged schema change, rewritten, builds the same tables without a default database."""
    east.sql("; ".join(STATEMENTS), database=database)
    for statement in logged(east, database):
        change = parse(statement, database)
        assert change is not None
        if change.kind == "table":
            assert all(name[0] == database for name in change.objects)
            west.sql(qualify(statement, database, lambda name: name))
        else:
            assert change.verb == "CREATE SEQUENCE"
            west.sql(statement, database=database)

    assert len(shape(east, database)) == 9
    assert shape(east, database) == shape(west, database)


@pytest.fixture
def renamed(west: MariaDB, database: str) -> object:
    """Give the name of a second database on the target."""
    name = f"{database}_renamed"
    west.sql(f"CREATE DATABASE {name}")
    yield name
    west.sql(f"DROP DATABASE {name}")


def test_a_renamed_database_holds_the_same_tables(east: MariaDB, west: MariaDB, database: str, renamed: str) -> None:
    """Foreign keys, LIKE and partitions follow the tables to their new database."""

    def rename(name: TableName) -> TableName:
        return renamed if name[0] == database else name[0], name[1]

    skipped = ("SEQUENCE", "nextval")
    statements = [text for text in STATEMENTS if not any(word in text for word in skipped)]
    statements = [text for text in statements if "RENAME e" not in text and "SELECT" not in text]
    east.sql("; ".join(statements), database=database)
    for statement in statements:
        west.sql(qualify(statement, database, rename))

    assert [] == shape(west, database)
    assert str(shape(east, database)).replace(database, renamed) == str(shape(west, renamed))
