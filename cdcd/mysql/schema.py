"""Read table descriptions from information_schema."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Protocol

from cdcd.errors import AccessDenied, ServerError
from cdcd.model.table import SYSTEM_DATABASES, Column, ForeignKey, Key, Table, TableName
from cdcd.mysql import answers
from cdcd.mysql.flavor import Flavor
from cdcd.sql import quote

_NOT_ENCODED = re.compile(r"[0-9A-Za-z_]+")  # names that InnoDB keeps as they are
_COUNTER = re.compile(rb"(\n\) ENGINE=\w+) AUTO_INCREMENT=\d+")


class Queryable(Protocol):
    """What answers a query: a session or a reader."""

    @property
    def flavor(self) -> Flavor:
        """Of the server."""

    async def fetch(self, query: str) -> list[tuple[Any, ...]]:
        """Run one query and return its rows."""


async def list_tables(session: Queryable) -> list[TableName]:
    """Return every base table outside the servers' own databases and cdcd's."""
    rows = await session.fetch(
        "SELECT table_schema, table_name FROM information_schema.tables"
        " WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY 1, 2"
    )
    return [(database, table) for database, table in rows if database.lower() not in SYSTEM_DATABASES]


async def read_kind(session: Queryable, name: TableName) -> str:
    """Return what is under a name, as information_schema.tables calls it (BASE TABLE, VIEW, ...); "" if nothing is."""
    rows = await session.fetch(
        "SELECT table_type FROM information_schema.tables"
        f" WHERE table_schema = {quote.text(name[0])} AND table_name = {quote.text(name[1])}"
    )
    return str(rows[0][0]) if rows else ""


async def read_table(session: Queryable, name: TableName) -> Table | None:
    """Return one table's description, or None when there is no such table."""
    return (await read_tables(session, [name])).get(name)


async def read_tables(session: Queryable, names: Iterable[TableName]) -> dict[TableName, Table]:
    """Return the descriptions of those of ``names`` that exist."""
    tables: dict[TableName, Table] = {}
    for name in names:
        if (table := await _read(session, name)) is not None:
            tables[name] = table
    return tables


def definition_query(flavor: Flavor, name: TableName) -> str:
    """Return the query for a table's whole definition; :func:`definition` reads its row."""
    return flavor.catalog.definition.format(table=quote.table(name))


def triggers_query(name: TableName) -> str:
    """Return the query for the names of a table's triggers."""
    return (
        "SELECT trigger_name FROM information_schema.triggers"
        f" WHERE event_object_schema = {quote.text(name[0])} AND event_object_table = {quote.text(name[1])} ORDER BY 1"
    )


def definition(row: tuple[str | bytes, str | bytes]) -> bytes:
    """Return a table's definition as the server writes it, without its AUTO_INCREMENT counter."""
    return _COUNTER.sub(rb"\1", answers.raw(row[1]), count=1)


async def _read(session: Queryable, name: TableName) -> Table | None:
    database, table = quote.text(name[0]), quote.text(name[1])
    here = f"table_schema = {database} AND table_name = {table}"
    columns = await session.fetch(
        "SELECT column_name, column_type, data_type, character_set_name, collation_name, is_nullable,"
        " extra, generation_expression, column_default, column_comment FROM information_schema.columns"
        f" WHERE {here} ORDER BY ordinal_position"
    )
    if not columns:
        return None
    found = await session.fetch(
        "SELECT t.table_type, e.transactions, t.engine FROM information_schema.tables t"
        " LEFT JOIN information_schema.engines e ON e.engine = t.engine"
        f" WHERE t.table_schema = {database} AND t.table_name = {table}"
    )
    if not found:  # Another session dropped or renamed it since its columns were read.
        return None
    [(kind, transactions, engine)] = found
    keys = await session.fetch(
        "SELECT index_name, column_name, sub_part, index_type FROM information_schema.statistics"
        f" WHERE {here} AND non_unique = 0 ORDER BY index_name, seq_in_index"
    )
    references = await session.fetch(
        "SELECT constraint_name, column_name, referenced_table_schema, referenced_table_name, referenced_column_name"
        f" FROM information_schema.key_column_usage WHERE {here} AND referenced_table_name IS NOT NULL"
        " ORDER BY 1, ordinal_position"
    )
    # Not a join: information_schema would open every table of the server for its second half.
    rules = references and await session.fetch(
        "SELECT constraint_name, delete_rule, update_rule FROM information_schema.referential_constraints"
        f" WHERE constraint_schema = {database} AND table_name = {table}"
    )
    referenced = await is_parent(session, name)
    triggers = await session.fetch(triggers_query(name))
    return Table(
        name,
        tuple(_column(*row) for row in columns),
        _keys(keys, may_be_hashed=engine != "MEMORY"),
        _foreign_keys(references, rules),
        referenced is True,
        tuple(row[0] for row in triggers),
        kind == "SYSTEM VERSIONED",
        transactions == "YES",
        referenced is not None,
    )


async def is_parent(session: Queryable, name: TableName) -> bool | None:
    """Return whether any foreign key refers to a table; None when the account may not see them all.

    InnoDB's own list takes the PROCESS privilege and encodes names other than ASCII words; information_schema
    hides the keys of tables that the account has no rights on, and opens every table to find them.
    """
    database, table = quote.text(name[0]), quote.text(name[1])
    try:
        [(found, has_encoded)] = await session.fetch(
            f"SELECT COALESCE(MAX(LOWER(ref_name) = LOWER(CONCAT({database}, '/', {table}))), 0),"
            f" COALESCE(MAX(ref_name LIKE '%@%'), 0) FROM {session.flavor.catalog.foreign_keys}"
        )
    except (AccessDenied, ServerError):
        found, is_known = 0, False
    else:
        is_known = not int(has_encoded) or all(map(_NOT_ENCODED.fullmatch, name))
    if int(found):
        return True
    if is_known:
        return False
    visible = await session.fetch(
        "SELECT 1 FROM information_schema.key_column_usage WHERE referenced_table_schema"
        f" = {database} AND referenced_table_name = {table} LIMIT 1"
    )
    return True if visible else None


def _column(
    name: str,
    column_type: str,
    data_type: str,
    charset: str | None,
    collation: str | None,
    nullable: str,
    extra: str,
    expression: str | None,
    default: str | None,
    comment: str,
) -> Column:
    return Column(
        name,
        column_type,
        data_type.lower(),
        charset or "",
        collation or "",
        nullable == "YES",
        bool(expression) or "GENERATED" in extra.upper().replace("DEFAULT_GENERATED", ""),
        "INVISIBLE" in extra.upper(),
        default,
        expression or "",
        extra,
        comment,
    )


def _keys(rows: list[tuple[str, str, int | None, str]], *, may_be_hashed: bool) -> tuple[Key, ...]:
    """Return the unique keys. HASH is what servers call one over long columns, and any index of a MEMORY table."""
    parts: dict[str, list[tuple[str, int]]] = defaultdict(list)
    hashed = {name for name, _, _, kind in rows if kind == "HASH" and may_be_hashed}
    for name, column, prefix, _ in rows:
        parts[name].append((column, prefix or 0))
    return tuple(
        Key(name, tuple(column for column, _ in columns), tuple(prefix for _, prefix in columns), name in hashed)
        for name, columns in parts.items()
    )


def _foreign_keys(rows: list[tuple[str, ...]], rules: list[tuple[str, ...]]) -> tuple[ForeignKey, ...]:
    parts: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for name, *rest in rows:
        parts[name].append(tuple(rest))
    # An account that may only SELECT sees the reference, but not its rules.
    of = {name: (on_delete, on_update) for name, on_delete, on_update in rules}
    return tuple(
        ForeignKey(
            name,
            tuple(row[0] for row in columns),
            (columns[0][1], columns[0][2]),
            tuple(row[3] for row in columns),
            *of.get(name, ("", "")),
        )
        for name, columns in parts.items()
    )
