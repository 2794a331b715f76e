"""A column's definition as SQL, with all that a server tells of it: for every statement that a finding proposes."""

from __future__ import annotations

import re
from dataclasses import replace

from cdcd.model.table import Column, Table
from cdcd.sql import quote

_NOW = re.compile(r"^current_timestamp\(\d?\)$")
FILL = "then give its rows the values that they have there"
"""What is left to do after ADD COLUMN: rows that are there get its default, whatever the other side's have become."""


def define(column: Column) -> str:
    """Return a column's definition, as ADD or MODIFY COLUMN take it.

    AUTO_INCREMENT is the caller's: without a key it is refused.
    """
    # A column of another charset would change the text on its way.
    charset = f" CHARACTER SET {column.charset} COLLATE {column.collation}" if column.charset else ""
    rest = " INVISIBLE" if column.invisible else ""
    rest += f" COMMENT {quote.text(column.comment)}" if column.comment else ""
    head = f"{quote.identifier(column.name)} {column.type}{charset}"
    if column.generated:
        return f"{head} AS ({column.expression}) {'STORED' if 'STORED' in column.extra.upper() else 'VIRTUAL'}{rest}"
    null = " NULL" if column.nullable else " NOT NULL"
    return f"{head}{null}{_default(column)}{_on_update(column)}{rest}"


def add(column: Column, holder: Table) -> str:
    """Return the clause that gives another table a column of ``holder``, at its place."""
    before = holder.columns[: holder.columns.index(column)]
    plain = [other for other in before if not other.generated]
    place = f" AFTER {quote.identifier(plain[-1].name)}" if plain else " FIRST"
    return f"ADD COLUMN {define(column)}{place}"


def modify(held: Column, wanted: Column, *, default: str | None) -> str:
    """Return the clause that gives a column the type of another, and this default; all else it keeps."""
    changed = replace(
        held,
        type=wanted.type,
        data_type=wanted.data_type,
        charset=wanted.charset,
        collation=wanted.collation,
        nullable=wanted.nullable,
        default=default,
    )
    numbered = " AUTO_INCREMENT" if "auto_increment" in held.extra.lower() else ""
    return f"MODIFY COLUMN {define(changed)}{numbered}"


def _default(column: Column) -> str:
    if column.default in (None, "NULL"):
        return ""
    if column.data_type in ("binary", "varbinary") and "?" in column.default:
        return " /* with the DEFAULT that it has there: its bytes are no text */"
    return f" DEFAULT {_NOW.sub(_now(column), column.default)}"


def _on_update(column: Column) -> str:
    has_one = "on update" in column.extra.lower() and column.data_type in ("timestamp", "datetime")
    return f" ON UPDATE {_now(column)}" if has_one else ""


def _now(column: Column) -> str:
    """Return the present time in the digits of the column's type: servers refuse others."""
    digits = re.search(r"\(\d\)", column.type)
    return f"current_timestamp{digits[0] if digits else '()'}"
