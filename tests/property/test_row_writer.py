"""What a writer makes of values that were read over SQL is, byte for byte, what the server logged of the same rows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cdcd.apply.sql.row_events import fits_row_events, format_description, row_events
from cdcd.apply.sql.statement import render
from cdcd.batch.net import Batch
from cdcd.errors import SourceLost
from cdcd.model.change import OPERATIONS
from cdcd.model.position import Gtid
from cdcd.model.table import Column, Key, Table
from cdcd.mysql.schema import read_table
from cdcd.mysql.session import Session
from cdcd.route.plan import build
from cdcd.row.plan import Plans
from cdcd.row.transaction import Transaction
from cdcd.row.writer import RowWriter
from cdcd.source.schema import read_collations
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.recording import record
from tests.fixtures.sites import site
from tests.property.test_values import COLUMNS, SETTINGS

# What a server packs is written as what it is: no two versions of zlib pack alike.
WRITTEN = {kind: values for kind, values in COLUMNS.items() if "compressed" not in kind}


@pytest.fixture(scope="module")
def server(mariadb_programs: None) -> Iterator[MariaDB]:
    """A server in a time zone of its own,."""
    with MariaDB({"default-time-zone": "+05:45"}) as server:
        yield server


def read_as(column: Column) -> str:
    """Return the expression by which a column is read exactly, whatever the client makes of types."""
    if column.charset and column.data_type not in ("enum", "set"):
        return f"CAST({column.name} AS BINARY)"
    # Of an ENUM's error value and an empty SET the labels say nothing.
    forms = {"float": "CAST({} AS DOUBLE)", "enum": "CAST({} + 0 AS CHAR)", "set": "CAST({} + 0 AS CHAR)"}
    temporal = column.data_type in ("date", "time", "datetime", "timestamp")
    return forms.get(column.data_type, "CAST({} AS CHAR)" if temporal else "{}").format(column.name)


async def read_rows(server: MariaDB, table: Table) -> list[list[Any]]:
    """Return the rows in a form that the writer takes."""
    session = await Session.open(site(server, "east"), SourceLost, "SET time_zone = '+00:00'")
    try:
        rows = await session.fetch(f"SELECT {', '.join(map(read_as, table.columns))} FROM d.t ORDER BY id")
        return [[as_given(column, value) for column, value in zip(table.columns, row, strict=True)] for row in rows]
    finally:
        await session.close()


def as_given(column: Column, value: Any) -> Any:
    """Return a value as the writer takes it: labels as their numbers."""
    return int(value) if value is not None and column.data_type in ("enum", "set") else value


async def _compare(server: MariaDB, rows: list[str]) -> None:
    columns = ", ".join(f"c{n} {kind}" for n, kind in enumerate(WRITTEN))
    server.sql(f"DROP DATABASE IF EXISTS d; CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY, {columns})")
    start = server.binlog_position()[2]
    values = ",".join(f"({n}, {row})" for n, row in enumerate(rows))
    server.sql(f"{SETTINGS}; INSERT INTO t VALUES {values}", database="d")
    _, [logged] = await record(server, start)
    session = await Session.open(site(server, "east"), SourceLost)
    try:
        table = await read_table(session, ("d", "t"))
    finally:
        await session.close()
    assert table is not None
    writer, transaction = RowWriter(table), Transaction(Gtid(0, 1, 1), 0)
    writer.insert(transaction, await read_rows(server, table))
    [(described, _, theirs)], [(_, _, ours)] = logged.events, transaction.events
    assert theirs == ours
    assert described.description.layout.startswith(writer.description.layout)
    await _apply_as_events(server, writer, transaction)


async def _apply_as_events(server: MariaDB, writer: RowWriter, transaction: Transaction) -> None:
    """Let the server apply the rows to a table of the same definition, as events."""
    server.sql("CREATE TABLE d.u LIKE d.t")
    session, plans = await Session.open(site(server, "east"), SourceLost), Plans()
    try:
        target = await read_table(session, ("d", "u"))
        assert target is not None
        collations = await read_collations(session)
        plan = build(
            writer.description, writer.table, target, collations,
            operations=OPERATIONS, row_filter=None, definition=b"known",
        )  # fmt: skip
        plans.keep(writer.table_map, plan)
        batch = Batch(plans)
        batch.add(transaction)
        [step] = batch.partitions(1)[0].steps
        assert fits_row_events(step)
        able = session.flavor.row_events_as_statements
        assert able is not None
        await session.execute(format_description(able.version.encode(), able.event_types))
        for statement in row_events(step):
            await session.execute(statement.sql)
        await session.execute("COMMIT")
    finally:
        await session.close()
    first, second = server.sql("CHECKSUM TABLE d.t, d.u EXTENDED")
    assert first[1] == second[1]


rows_of_values = st.lists(
    st.tuples(
        *((values | values | values | st.none()).map(lambda value: value or "NULL") for values in WRITTEN.values())
    ).map(",".join),
    min_size=1,
    max_size=20,
)
few = settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@given(rows=rows_of_values)
@few
def test_a_writers_rows_are_what_the_server_logs(server: MariaDB, rows: list[str]) -> None:
    """Then everything that reads, compares and renders them is the log's own."""
    asyncio.run(_compare(server, rows))


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20).map(lambda text: text + ".")
changes = st.lists(st.tuples(st.sampled_from(["put", "drop"]), st.integers(1, 4), texts | st.none()), max_size=20)


def transactions_of(writer: RowWriter, changes: list[tuple[str, int, str | None]]) -> tuple[list[Transaction], object]:
    """Return a transaction for each change that means something, and the rows at the end."""
    rows: dict[int, str | None] = {}
    made: list[Transaction] = []
    for kind, key, text in changes:
        transaction = Transaction(Gtid(0, 1, len(made) + 1), 0)
        if kind == "put" and key in rows:
            writer.update(transaction, [((key, rows[key]), (key, text))])
        elif kind == "put":
            writer.insert(transaction, [(key, text)])
        elif key in rows:
            writer.delete(transaction, [(key, rows[key])])
        else:
            continue
        rows.pop(key, None)
        if kind == "put":
            rows[key] = text
        transaction.finish()
        made.append(transaction)
    return made, sorted(rows.items())


async def _net(server: MariaDB, changes: list[tuple[str, int, str | None]]) -> None:
    server.sql(
        "DROP DATABASE IF EXISTS d; CREATE DATABASE d;"
        " CREATE TABLE d.t (id INT PRIMARY KEY, v VARCHAR(200) CHARACTER SET utf8mb4)"
    )
    source = Table(
        ("d", "t"),
        (
            Column("id", "int(11)", "int", "", "", False, False, False),
            Column("v", "interval", "interval", "", "", True, False, False),
        ),
        (Key("PRIMARY", ("id",), (0,)),), (), False, (), False,
    )  # fmt: skip
    writer, plans = RowWriter(source, text_cells=["v"]), Plans()
    made, expected = transactions_of(writer, changes)
    session = await Session.open(site(server, "east"), SourceLost)
    try:
        target = await read_table(session, ("d", "t"))
        assert target is not None
        collations = await read_collations(session)
        plan = build(writer.description, source, target, collations, operations=OPERATIONS, row_filter=None)
        plans.keep(writer.table_map, plan)
        batch = Batch(plans)
        for transaction in made:
            batch.add(transaction)
        for step in batch.partitions(1)[0].steps:
            for statement in render(step):
                await session.execute(statement.sql)
        await session.execute("COMMIT")
        found = await session.fetch("SELECT id, v FROM d.t ORDER BY id")
    finally:
        await session.close()
    assert expected == [(row[0], row[1].decode() if isinstance(row[1], bytes) else row[1]) for row in found]


@given(changes=changes)
@few
def test_text_cells_end_in_a_table_as_they_were_given(
    server: MariaDB, changes: list[tuple[str, int, str | None]]
) -> None:
    """Through net changes and SQL, whatever their characters."""
    asyncio.run(_net(server, changes))
