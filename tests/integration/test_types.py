"""Every column type arrives on the target as the very value that the source has."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.fixtures.links import running
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.pair import a_link
from tests.fixtures.values import CASES, Case

_AS_GIVEN = "sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00', check_constraint_checks = 0"


def _create(case: Case) -> str:
    """Return tables that have the type beside a key, as the key, and without any key."""
    bare = case.type.removesuffix(" null")
    key = f"CREATE TABLE k (v {bare} NOT NULL, n INT, PRIMARY KEY (v));" if case.is_key else ""
    return f"CREATE TABLE a (id INT PRIMARY KEY, v {case.type}); {key} CREATE TABLE w (v {case.type}, n INT)"


def _inserts(case: Case) -> list[str]:
    rows = [f"({n}, {value})" for n, value in enumerate([*case.values, "NULL"])]
    twice = [f"({value}, {n})" for n, value in enumerate([*case.values, "NULL"])] * 2
    statements = [f"INSERT INTO a VALUES {','.join(rows)}", f"INSERT INTO w VALUES {','.join(twice)}"]
    if case.is_key:
        statements.append(f"INSERT INTO k VALUES {','.join(f'({v}, {n})' for n, v in enumerate(case.values))}")
    return statements


def _updates(case: Case) -> list[str]:
    following = [*case.values[1:], "NULL", case.values[0]]
    statements = [f"UPDATE a SET v = {value} WHERE id = {n}" for n, value in enumerate(following)]
    statements += [f"UPDATE w SET n = n + 1000 WHERE n = {n} LIMIT 1" for n in range(len(case.values) + 1)]
    statements.append(f"UPDATE w SET v = {case.values[-1]} WHERE n = 0 LIMIT 1")
    if case.is_key:
        statements.append("UPDATE k SET n = n + 1000")
        statements.append(f"DELETE FROM k WHERE n = {len(case.values) + 999}")
        statements.append(f"UPDATE k SET v = {case.values[-1]} WHERE n = 1000")
    return statements


def _deletes(case: Case) -> list[str]:
    statements = [f"DELETE FROM w WHERE n = {n} LIMIT 1" for n in range(1, len(case.values) + 1)]
    statements.append("DELETE FROM a WHERE id % 2")
    return [*statements, "DELETE FROM k WHERE n % 2"] if case.is_key else statements


def _rows(server: MariaDB, database: str, tables: Iterable[str], case: Case) -> list[str]:
    """Return all rows as the types of the client and as bytes; their texts tell -0.0 from 0.0."""
    shown = ", ".join(("v", "HEX(v)", *case.shown))
    return [
        repr(row)
        for table, other in zip(tables, ("id", "n", "n"), strict=False)
        for row in server.sql(
            f"SET {_AS_GIVEN}; SELECT '{table}', {other}, {shown} FROM {table} ORDER BY {other}, HEX(v), LEFT(v, 1)",
            database=database,
        )
    ]


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_type_arrives_value_exact(case: Case, east: MariaDB, west: MariaDB, database: str) -> None:
    """Inserts, updates and deletes carry each value, also where it is the key and where there is no key."""
    tables = ("a", "w", "k") if case.is_key else ("a", "w")
    for server in (east, west):
        server.sql(_create(case), database=database)
    async with running(a_link(database), east, west) as link:
        for statements in (_inserts(case), _updates(case), _deletes(case)):
            east.sql(f"SET {_AS_GIVEN}; BEGIN; {';'.join(statements)}; COMMIT", database=database)
            await link.caught_up()
            expected = _rows(east, database, tables, case)
            assert expected == _rows(west, database, tables, case)
            assert expected
        assert link.runner.conflicts == 0
        assert link.careful == 0
