"""How a table's row images are read: what its events say, and where they are short, the table as it is."""

from __future__ import annotations

from dataclasses import replace
from re import compile as regex

from cdcd.errors import SchemaMismatch
from cdcd.model.table import Column, Table
from cdcd.row import cell
from cdcd.row.cell import ColumnType, Description
from cdcd.row.charset import Collations
from cdcd.row.layout import Layout

HIDDEN = regex(r"DB_ROW_HASH_\d+")
"""Names of columns that a server keeps for itself: hashes of a unique key over long columns."""


def layout(
    description: Description, source: Table | None, collations: Collations, other: Table | None = None
) -> Layout:
    """Return how to walk and read the images of a described table.

    ``source`` is the live table where it still is what the event describes, ``other`` one that its columns may be
    taken to be like where it is not known. Raises SchemaMismatch where a number's sign is not known, UnsupportedEvent
    for a type without a storage.
    """
    described = replace(description, columns=tuple(complete(description, source)))
    columns = [(i, _live(description, i, source)) for i in range(len(described.columns))]
    declared = [live or (other.column(name_of(description, i)) if other else None) for i, live in columns]
    return Layout(
        described,
        [_text_charset(described.columns[i], live, collations) for i, live in columns],
        [column.type if column else "" for column in declared],
    )


def name_of(description: Description, i: int) -> str:
    """Return a column's name on the source; raise SchemaMismatch where the event does not name its columns."""
    if description.column_names is None:
        raise SchemaMismatch("the event does not name its columns").at(table=".".join(description.name))
    return description.column_names[i]


def _live(description: Description, i: int, source: Table | None) -> Column | None:
    name = name_of(description, i)
    return source.column(name) if source else None


def complete(description: Description, source: Table | None) -> list[ColumnType]:
    """Fill in what a short row metadata leaves out, from the live table."""
    columns = []
    for i, column in enumerate(description.columns):
        name, live = name_of(description, i), _live(description, i, source)
        if column.unsigned is None and column.type in cell.NUMERIC:
            is_hash = live is None and source is not None and source.hidden_columns and HIDDEN.fullmatch(name)
            if live is None and not is_hash:
                raise SchemaMismatch(
                    f"the sign of column {name} is not known",
                    hint="set binlog_row_metadata=FULL on the source",
                ).at(table=".".join(description.name))
            columns.append(replace(column, unsigned=live is None or "unsigned" in live.type.lower()))
        else:
            columns.append(column)
    return columns


def charset_of(
    column: ColumnType, live: Column | None, collations: Collations, description: Description, name: str
) -> tuple[str, str]:
    """Return a text column's charset and collation, "binary" both of bytes; raise SchemaMismatch where not known."""
    if column.collation_id is not None:
        if column.collation_id not in collations:
            raise SchemaMismatch(f"collation {column.collation_id} of column {name} is not known").at(
                table=".".join(description.name)
            )
        return collations[column.collation_id]
    if live is None:
        raise SchemaMismatch(
            f"the charset of column {name} is not known", hint="set binlog_row_metadata=FULL on the source"
        ).at(table=".".join(description.name))
    return (live.charset, live.collation) if live.charset else ("binary", "binary")


def _text_charset(column: ColumnType, live: Column | None, collations: Collations) -> str:
    """Return the charset in which a column's text or members are logged; "" for what is no text, or is not known."""
    if column.type == cell.TEXT_CELL:
        return "utf8mb4"
    if column.type not in cell.CHARACTER | {cell.ENUM, cell.SET}:
        return ""
    if column.collation_id is not None:
        return collations.get(column.collation_id, ("", ""))[0]
    if live is None:
        return ""
    return live.charset or "binary"
