"""SHOW GRANTS is read as the server means it."""

import pytest

from cdcd.mysql.flavor.mariadb import MARIADB
from cdcd.precheck.grants import Grants, statement

TO = "TO `cdcd`@`%`"


def allows(line, privilege="SELECT", name=("my_db", "t")):
    """Return whether a line of SHOW GRANTS allows something on a table."""
    return Grants.parse([line], MARIADB.privileges.synonyms).allow(privilege, name)


@pytest.mark.parametrize(
    "line",
    [
        f"GRANT SELECT ON *.* {TO}",
        f"GRANT INSERT, SELECT, UPDATE ON *.* {TO} IDENTIFIED BY PASSWORD '*ABC' WITH GRANT OPTION",
        f"GRANT ALL PRIVILEGES ON *.* {TO} REQUIRE SSL WITH GRANT OPTION",
        f"GRANT SELECT ON `my\\_db`.* {TO}",
        f"GRANT SELECT ON `my_db`.* {TO}",
        f"GRANT SELECT ON `my%`.* {TO}",
        f"GRANT ALL PRIVILEGES ON `my_d_`.* {TO}",
        f"GRANT SELECT ON `my_db`.`t` {TO}",
        f"GRANT SELECT (`a`), INSERT (`a`, `b`), SELECT ON `my_db`.`t` {TO}",
    ],
)
def test_a_privilege_is_found_at_every_level(line):
    """Server, pattern of databases, table."""
    assert allows(line)


@pytest.mark.parametrize(
    "line",
    [
        f"GRANT USAGE ON *.* {TO}",
        f"GRANT INSERT ON *.* {TO}",
        f"GRANT SELECT ON `myxdb\\_`.* {TO}",
        f"GRANT SELECT ON `mydb`.* {TO}",
        f"GRANT SELECT ON `my_db`.`other` {TO}",
        f"GRANT SELECT ON `my%`.`t` {TO}",
        f"GRANT SELECT (`a`, `b`) ON `my_db`.`t` {TO}",
        f"GRANT `app` {TO}",
        f"GRANT EXECUTE ON PROCEDURE `my_db`.`t` {TO}",
        f"GRANT PROXY ON ''@'%' {TO}",
        "SET DEFAULT ROLE `app` FOR `cdcd`@`%`",
    ],
)
def test_other_grants_give_nothing(line):
    """A privilege on some columns, another object or a role's name is not the table's."""
    assert not allows(line)


def test_an_escaped_wildcard_stands_for_itself():
    r"""`my\_db` is one database and no pattern."""
    assert not allows(f"GRANT SELECT ON `my\\_db`.* {TO}", name=("myxdb", "t"))
    assert allows(f"GRANT SELECT ON `my_db`.* {TO}", name=("myxdb", "t"))


def test_server_privileges_come_from_server_grants_alone():
    """A grant on one database says nothing about the server."""
    assert allows(f"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* {TO}", "BINLOG MONITOR", ("", ""))
    assert not allows(f"GRANT ALL PRIVILEGES ON `my_db`.* {TO}", "REPLICATION SLAVE", ("", ""))


def test_a_quoted_name_may_hold_a_backtick():
    """Names are quoted by doubling."""
    assert allows(f"GRANT SELECT ON `a``b`.`c``d` {TO}", name=("a`b", "c`d"))


def test_the_fixing_statement_names_one_database_and_no_pattern():
    """An underscore in a database's name would open others too."""
    assert r"GRANT SELECT, INSERT ON `my\_db`.* TO `u`@`%`;" == statement(("SELECT", "INSERT"), "my_db", "`u`@`%`")
    assert "GRANT BINLOG MONITOR ON *.* TO `u`@`%`;" == statement(["BINLOG MONITOR"], "", "`u`@`%`")
