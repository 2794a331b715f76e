"""Every column type arrives on the target as the very value that the source has.

Rows travel as the events they came as, as SQL where the target does not take those, or one by one where something
contradicts them: each way is tried.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from unittest.mock import AsyncMock

import pytest

from cdcd.apply.sql import applier, writer
from cdcd.apply.sql.exchange import MismatchError
from cdcd.errors import ApplyFailed
from cdcd.mysql.flavor.mariadb import MARIADB
from tests.fixtures import values
from tests.fixtures.links import Both, running
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.sites import a_link
from tests.fixtures.values import CASES, Case

_AS_GIVEN = "sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00', check_constraint_checks = 0"


_KINDS = (
    values.integers, values.decimals, values.floats, values.bits, values.temporals, values.texts, values.binaries,
    values.sets_and_enums, values.addresses, values.geometries, values.compressed,
)  # fmt: skip


def _create(case: Case) -> str:
    """Return tables that have the type beside a key, as the key, as the key beside another, and without any key."""
    bare = case.type.removesuffix(" null")
    key = (
        f"CREATE TABLE k (v {bare} NOT NULL, n INT, PRIMARY KEY (v));"
        f"CREATE TABLE g (v {bare} NOT NULL, n INT, m INT UNIQUE, PRIMARY KEY (v));"
        if case.is_key
        else ""
    )
    return f"CREATE TABLE a (id INT PRIMARY KEY, v {case.type}); {key} CREATE TABLE w (v {case.type}, n INT)"


def _tables(case: Case) -> tuple[str, ...]:
    return ("a", "w", "k", "g") if case.is_key else ("a", "w")


def _inserts(case: Case) -> list[str]:
    rows = [f"({n}, {value})" for n, value in enumerate([*case.values, "NULL"])]
    twice = [f"({value}, {n})" for n, value in enumerate([*case.values, "NULL"])] * 2
    statements = [f"INSERT INTO a VALUES {','.join(rows)}", f"INSERT INTO w VALUES {','.join(twice)}"]
    if case.is_key:
        statements.append(f"INSERT INTO k VALUES {','.join(f'({v}, {n})' for n, v in enumerate(case.values))}")
        statements.append(f"INSERT INTO g VALUES {','.join(f'({v}, {n}, {n})' for n, v in enumerate(case.values))}")
    return statements


def _updates(case: Case) -> list[str]:
    following = [*case.values[1:], "NULL", case.values[0]]
    statements = [f"UPDATE a SET v = {value} WHERE id = {n}" for n, value in enumerate(following)]
    statements += [f"UPDATE w SET n = n + 1000 WHERE n = {n} LIMIT 1" for n in range(len(case.values) + 1)]
    statements.append(f"UPDATE w SET v = {case.values[-1]} WHERE n = 0 LIMIT 1")
    if case.is_key:
        statements.append("UPDATE k SET n = n + 1000")
        statements.append("UPDATE g SET n = n + 1000")
        statements.append(f"DELETE FROM k WHERE n = {len(case.values) + 999}")
        statements.append(f"UPDATE k SET v = {case.values[-1]} WHERE n = 1000")
    return statements


def _deletes(case: Case) -> list[str]:
    statements = [f"DELETE FROM w WHERE n = {n} LIMIT 1" for n in range(1, len(case.values) + 1)]
    statements.append("DELETE FROM a WHERE id % 2")
    return [*statements, "DELETE FROM k WHERE n % 2", "DELETE FROM g WHERE n % 2"] if case.is_key else statements


def _queries(tables: Iterable[str], case: Case) -> list[str]:
    """Return queries of all rows as the types of the client and as bytes; their texts tell -0.0 from 0.0."""
    shown = ", ".join(("v", "HEX(v)", *case.shown))
    return [
        f"SELECT '{table}', {other}, {shown} FROM {table} ORDER BY {other}, HEX(v), LEFT(v, 1)"
        for table, other in zip(tables, ("id", "n", "n", "n"), strict=False)
    ]


def _rows(server: MariaDB, database: str, queries: list[str]) -> list[str]:
    """Return what queries find, row by row."""
    found: list[str] = []
    with closing(server.connect(database=database)) as connection, connection.cursor() as cursor:
        cursor.execute(f"SET {_AS_GIVEN}; {';'.join(queries)}")
        while cursor.nextset():
            found += map(repr, cursor.fetchall())
    return found


@pytest.fixture(params=["as_events", "as_sql", "row_by_row"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Send every row as an event, or as SQL: as net changes, or one after the other."""

    def refused(*_: object) -> Iterator[object]:
        raise MismatchError("as if something contradicted it")
        yield

    request.getfixturevalue("rows_as_events" if request.param == "as_events" else "rows_as_sql")
    if request.param == "row_by_row":
        monkeypatch.setattr(writer.Writer, "_modes", AsyncMock(return_value=[refused]))
    return str(request.param)


@pytest.mark.parametrize("kind", _KINDS, ids=lambda kind: kind.__name__)
async def test_a_type_arrives_value_exact(kind: Callable[[], list[Case]], way: str, both: Both) -> None:
    """Inserts, updates and deletes carry each value, also where it is the key and where there is no key."""
    cases = {f"_{case}": case for case in kind()}
    queries = [query for x, case in cases.items() for query in _queries([t + x for t in _tables(case)], case)]
    both.both(";".join(_of(suffix, [_create(case)]) for suffix, case in cases.items()))
    async with both.running() as link:
        for step in (_inserts, _updates, _deletes):
            script = ";".join(_of(suffix, step(case)) for suffix, case in cases.items())
            both.only_source(f"SET {_AS_GIVEN}; BEGIN; {script}; COMMIT")
            await link.caught_up()
            expected = _rows(both.source, both.database, queries)
            assert expected == _rows(both.target, both.database, queries)
            assert len(expected) > len(cases)
        assert link.runner.conflicts == 0
        assert (link.contradicted > 0) == (link.row_by_row > 0) == (way == "row_by_row")


def test_every_type_is_of_a_kind() -> None:
    """A case that no kind lists would be carried by no test."""
    assert sorted(map(str, CASES)) == sorted(str(case) for kind in _KINDS for case in kind())


SHAPELESS = (
    "INSERT INTO t (id) VALUES (1), (2), (3); INSERT IGNORE INTO t VALUES (4, NULL, 4);"
    "INSERT INTO w (n) VALUES (1), (2), (2)",
    "UPDATE t SET n = 5 WHERE id < 3; UPDATE t SET g = POINT(1, 2) WHERE id = 1;UPDATE w SET n = 3 WHERE n = 2 LIMIT 1",
    "DELETE FROM t WHERE id = 2; DELETE FROM w WHERE n = 2",
)


async def test_a_geometry_without_a_value_arrives(east: MariaDB, west: MariaDB, database: str) -> None:
    """A server that is not strict stores bytes that are no shape, which no SQL can write."""
    for server in (east, west):
        server.sql(
            "CREATE TABLE t (id INT PRIMARY KEY, g GEOMETRY NOT NULL, n INT);CREATE TABLE w (g POINT NOT NULL, n INT)",
            database=database,
        )
    async with running(a_link(database), east, west) as link:
        for script in SHAPELESS:
            east.sql(f"SET sql_mode = ''; {script}", database=database)
            await link.caught_up()
            queries = ["SELECT id, HEX(g), n FROM t ORDER BY id", "SELECT HEX(g), n FROM w ORDER BY n"]
            assert _rows(east, database, queries) == _rows(west, database, queries)
        assert link.runner.conflicts == 0


@pytest.mark.usefixtures("rows_as_sql")
@pytest.mark.parametrize("why", ["the account may not", "the flavor cannot"])
async def test_a_geometry_without_a_value_stops_where_row_events_are_not_taken(
    east: MariaDB, west: MariaDB, database: str, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """It says what no SQL can write, and what can be done."""
    if why == "the account may not":
        monkeypatch.setattr(applier, "format_description", lambda *_: b"SIGNAL SQLSTATE '42000'")
    else:
        without = replace(MARIADB, row_events_as_statements=None, without_text=None)
        monkeypatch.setattr("cdcd.mysql.flavor.KNOWN", (without,))
    for server in (east, west):
        server.sql("CREATE TABLE t (id INT PRIMARY KEY, g GEOMETRY NOT NULL)", database=database)
    async with running(a_link(database), east, west) as link:
        east.sql("SET sql_mode = ''; INSERT INTO t (id) VALUES (1)", database=database)
        error = await link.stopped()
    assert isinstance(error, ApplyFailed)
    assert "BINLOG REPLAY" in str(error)


def _of(suffix: str, statements: list[str]) -> str:
    """Return a script for one case's tables among those of others."""
    return re.sub(r"\b(TABLE|INTO|UPDATE|FROM) ([awkg])\b", rf"\1 \2{suffix}", ";".join(statements))
