"""What a table was when an event was written.

With binlog_row_metadata=FULL the event says it itself, and the live table adds what no event tells. Otherwise the live
table is used. Either way only when it is proven to be what the event describes: as many columns, of the same types and
nullability, and not altered since the event, as the log since then tells where the event does not tell all.
Where that proof fails, the link stops.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from cdcd.errors import SchemaMismatch, ServerError
from cdcd.model.table import Table
from cdcd.mysql import codes
from cdcd.mysql.schema import read_table
from cdcd.mysql.session import Session
from cdcd.row.cell import Description
from cdcd.row.charset import Collations
from cdcd.row.column_type import is_stored_as, is_told_by_events

_FULL_HINT = "set binlog_row_metadata=FULL on the source, so that events name their columns"


async def read_collations(session: Session) -> dict[int, tuple[str, str]]:
    """Return the source's collations by id, each as (charset, collation)."""
    rows = await session.fetch("SELECT id, character_set_name, collation_name FROM information_schema.collations")
    if (contextual := session.flavor.catalog.contextual_collations) is not None:
        try:
            rows += await session.fetch(contextual)
        except ServerError as error:
            if error.code != codes.NO_SUCH_COLUMN:  # A version before there were any.
                raise
    return {int(row[0]): (row[1], row[2]) for row in rows if row[0] and row[1]}


async def describe(
    session: Session,
    description: Description,
    collations: Collations,
    is_unaltered: Callable[[], Awaitable[bool]],
) -> tuple[Description, Table | None]:
    """Return the description with column names, and the live table where it is still the same.

    ``is_unaltered`` asks the log whether it is. Raises SchemaMismatch when names cannot be proven.
    """
    live = await read_table(session, description.name)
    if description.column_names is not None:
        if live is None or not _is_same(description, live, collations):
            return description, None
        if not all(map(is_told_by_events, live.columns)) and not await is_unaltered():
            return description, None
        return description, live
    where = ".".join(description.name)
    if live is None:
        raise SchemaMismatch("the table is gone, and its events do not name their columns", hint=_FULL_HINT).at(
            table=where
        )
    problem = _misfit(description, live, collations)
    if problem is None and not await is_unaltered():
        problem = "the table was altered after the event"
    if problem is not None:
        raise SchemaMismatch(f"the live table does not fit the event: {problem}", hint=_FULL_HINT).at(table=where)
    hidden = (f"DB_ROW_HASH_{number + 1}" for number in range(live.hidden_columns))
    return replace(description, column_names=(*(column.name for column in live.columns), *hidden)), live


def _is_same(description: Description, live: Table, collations: Collations) -> bool:
    """Return whether the live table has the names, types and primary key that a full event gives."""
    every = [name.lower() for name in description.column_names or ()]
    names = every[: len(every) - live.hidden_columns]
    if names != [column.name.lower() for column in live.columns] or _misfit(description, live, collations) is not None:
        return False
    key = {every[index] for index, _ in description.primary_key}
    # Without a primary key, the server's events name a unique key without NULLs in its place.
    keys = [key for key in live.keys if key.is_primary] or live.row_keys
    return any({name.lower() for name in other.columns} == key for other in keys) if keys else not key


def _misfit(description: Description, live: Table, collations: Collations) -> str | None:
    shown = len(description.columns) - live.hidden_columns
    if shown != len(live.columns):
        return f"{len(live.columns)} columns, the event has {shown}"
    for column, declared in zip(description.columns[:shown], live.columns, strict=True):
        if not is_stored_as(declared, column, collations.get(column.collation_id or 0)):
            null = "NULL" if column.nullable else "NOT NULL"
            return f"column {declared.name} is {declared.type}, the event has type {column.type}, {null}"
    return None
