"""What an event alone tells of a column is judged as its definition is: nothing stops falsely, nothing is let in."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from cdcd.binlog import table_map
from cdcd.model.table import Column, Table
from cdcd.mysql.flavor.mariadb import MARIADB
from cdcd.mysql.schema import read_table
from cdcd.route.conversion import judge
from cdcd.route.plan import build
from cdcd.row.cell import ColumnType, Description
from cdcd.row.column_type import Type, is_stored_as, is_told_by_events
from tests.fixtures.links import Both, running
from tests.fixtures.mariadb import MariaDB
from tests.integration.test_conversions import TYPES, UTF8

HEAD_BYTES, CHECKSUM_BYTES = 19, 4
COMPRESSED = ("varchar(100)", "varchar(100) character set latin1", "varbinary(100)", "tinytext", "text", "longtext",
              "blob", "longblob")  # fmt: skip
EVERY = (
    *TYPES,
    *(f"{kind} compressed" for kind in COMPRESSED),
    *("varbinary(100)", "varbinary(16)", "binary(16)", "varchar(100) character set latin1", "char(255)", "char(16)"),
    *("tinytext", "mediumtext", "longtext", "text character set latin1", "text character set utf16", "json"),
    *(f"varchar(20) {UTF8} collate utf8mb4_bin", "varchar(20) character set ucs2", "varchar(300) character set gbk"),
    *("tinyblob", "mediumblob", "longblob", "decimal(6,2) unsigned", "int(5) zerofill", "bool", "bit(1)"),
    *("float(7,3)", "float unsigned", "double(10,3)", "double unsigned", "time(3)", "datetime(3)", "timestamp(6) null"),
    *("geometry", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection"),
    *("enum('é','日本') character set utf8mb4", "set('x','y','z') character set latin1"),
)
GRADES = ("exact", "checked", "lossy", "refused")


class Queries:
    """Asks a server as the link's sessions do."""

    flavor = MARIADB

    def __init__(self, server: MariaDB) -> None:
        self.server = server

    async def fetch(self, query: str) -> list[tuple[Any, ...]]:
        """Return a query's rows."""
        return self.server.sql(query)


async def described(server: MariaDB, database: str) -> tuple[Description, Table]:
    """Return table ``every`` of a server as one of its events describes it, and as its definition does."""
    columns = ", ".join(f"c{n} {kind}" for n, kind in enumerate(EVERY))
    server.sql(f"CREATE TABLE every (id INT PRIMARY KEY, {columns})", database=database)
    file, start, _ = server.binlog_position()
    server.sql("INSERT INTO every (id) VALUES (1)", database=database)
    log = (server.data / file).read_bytes()
    [body] = [
        log[event[1] + HEAD_BYTES : event[4] - CHECKSUM_BYTES]
        for event in server.sql(f"SHOW BINLOG EVENTS IN '{file}' FROM {start}")
        if event[2] == "Table_map" and f"{database}.every" in event[5]
    ]
    table = await read_table(Queries(server), (database, "every"))
    assert table is not None
    return table_map.parse(body), table


@pytest.fixture
def collations(east: MariaDB) -> dict[int, tuple[str, str]]:
    """The collations of the source."""
    rows = east.sql(
        "SELECT id, character_set_name, full_collation_name"
        " FROM information_schema.collation_character_set_applicability"
    )
    return {number: (charset, name) for number, charset, name in rows}


async def test_a_table_of_the_same_definition_gets_a_plan_from_the_event_alone(
    east: MariaDB, database: str, collations: dict[int, tuple[str, str]]
) -> None:
    """The source's table may have moved on; every type of a server's columns, with row metadata FULL."""
    description, table = await described(east, database)
    plan = build(description, None, table, collations, operations=("insert",), row_filter=None)
    assert plan is not None
    for n, (column, live) in enumerate(zip(description.columns, table.columns, strict=True)):
        assert is_stored_as(live, column, collations.get(column.collation_id or 0)), EVERY[n - 1]


async def test_an_event_is_judged_as_the_definition_is(
    east: MariaDB, database: str, collations: dict[int, tuple[str, str]]
) -> None:
    """Never better, or other values would be let in; never worse, or a link that is behind would stop."""
    description, table = await described(east, database)
    pairs = list(zip(description.columns, table.columns, strict=True))
    for (event, here), (_, there) in product(pairs, pairs):
        if leaves_open(event, here, there):
            continue
        charset, collation = collations.get(event.collation_id or 0, ("", ""))
        told = judge(Type.of_event(event, charset, collation, there), Type.of(there))
        assert told == judge(Type.of(here), Type.of(there)), (here.type, here.charset, there.type, there.charset)


def leaves_open(event: ColumnType, here: Column, there: Column) -> bool:
    """Return whether no event tells the source's type from the target's: bytes of one length, digits of a FLOAT."""
    return not (is_told_by_events(here) and is_told_by_events(there)) and here.type != there.type


async def test_no_later_type_passes_for_that_of_an_event(
    east: MariaDB, database: str, collations: dict[int, tuple[str, str]]
) -> None:
    """A live column of another type is not the event's, unless no event tells them apart: then the log is asked.

    That a FLOAT had digits set is not asked for, since it would be of every FLOAT: at worst the link stops.
    """
    description, table = await described(east, database)
    pairs = list(zip(description.columns, table.columns, strict=True))
    for (event, here), (_, live) in product(pairs, pairs):
        collation = collations.get(event.collation_id or 0)
        if is_told_by_events(live) and is_stored_as(live, event, collation):
            same = replace(Type.of(here), shown=live.type) == Type.of(live)
            assert same or here.data_type in ("float", "double"), (here.type, live.type)


BEHIND = [
    ("text", "REPEAT('日', 200)"),
    ("text character set latin1", "REPEAT('é', 200)"),
    ("json", "'{}'"),
    ("blob", "x'ff00'"),
    ("longtext compressed", "REPEAT('日', 2000)"),
    ("varchar(100) compressed", "REPEAT('ab', 50)"),
    ("geometry", "POINT(1, 2)"),
    ("longtext", "'x'"),
    ("float(7,3)", "1.5"),
    ("uuid", "'00112233-4455-6677-8899-aabbccddee00'"),
]
LATER = {
    "column added": "ALTER TABLE t ADD COLUMN z INT DEFAULT 4 FIRST",
    "dropped": "ALTER TABLE t DROP COLUMN c",
    "renamed": "ALTER TABLE t RENAME COLUMN c TO d",
    "table dropped": "DROP TABLE t",
    "another type": "ALTER TABLE t DROP COLUMN c, ADD COLUMN c GEOMETRY AFTER id",
    "binary": "ALTER TABLE t MODIFY c LONGBLOB",
}


@pytest.mark.parametrize("later", LATER)
async def test_a_link_that_is_behind_carries_rows_of_before_a_change(both: Both, later: str) -> None:
    """Their events say what the columns were, and the target still has them so."""
    cases = [case for case in BEHIND if later != "binary" or "text" in case[0] or "varchar" in case[0]]
    link = both.link(ddl=True)
    async with running(link, both.source, both.target) as run:
        for n, (kind, value) in enumerate(cases):
            both.only_source(
                f"CREATE TABLE t{n} (id INT PRIMARY KEY, c {kind}, v INT); INSERT INTO t{n} VALUES (1, {value}, 1)"
            )
        await run.caught_up()
    for n, (_, value) in enumerate(cases):
        both.only_source(f"UPDATE t{n} SET v = v + 1; INSERT INTO t{n} VALUES (2, {value}, 1)")
        both.only_source(LATER[later].replace("TABLE t", f"TABLE t{n}"))
        if later != "table dropped":
            both.only_source(f"INSERT INTO t{n} (id, v) VALUES (3, 3)")
    async with running(link, both.source, both.target) as run:
        await run.caught_up()
    if later != "table dropped":
        both.assert_equal(*(f"t{n}" for n in range(len(cases))))
