"""What a statement of the source's log changes, and the same statement under the target's names.

A row-based log holds text for schema changes only. Which words may stand where follows sql/sql_yacc.yy of
MariaDB and MySQL; keywords looked for inside a table's definition (REFERENCES, RENAME, TABLE, UNION, SELECT,
LIKE) are reserved, so an unquoted one is never a name unless a dot precedes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import islice
from typing import Literal

from cdcd.errors import UnsupportedEvent
from cdcd.model.query import shown
from cdcd.model.table import TableName
from cdcd.sql import quote
from cdcd.sql.cursor import Reference, UnknownStatement
from cdcd.sql.statement import Reader, SchemaChange
from cdcd.sql.tokens import DEFAULT_MODE, SqlMode, Token, scan, tokenize

__all__ = [
    "Control",
    "Reference",
    "SchemaChange",
    "SqlMode",
    "control",
    "digest",
    "names",
    "parse",
    "qualify",
]

Control = Literal["begin", "commit", "rollback", "savepoint", "rollback_to", "release", "xa"]

_CONTROL: dict[str, Control] = {
    "BEGIN": "begin",
    "COMMIT": "commit",
    "ROLLBACK": "rollback",
    "SAVEPOINT": "savepoint",
    "RELEASE": "release",
    "XA": "xa",
}
_HINT = "run the statement on the target by hand if it belongs there"


def control(statement: str, mode: SqlMode = DEFAULT_MODE) -> Control | None:
    """Return what the statement does to a transaction; None for every other statement.

    Raises UnsupportedEvent when the text cannot be read.
    """
    try:
        words = [token.keyword for token in islice(scan(statement, mode), 3)]
    except ValueError as error:
        raise _unreadable(error) from error
    match words:
        case ["START", "TRANSACTION", *_]:
            return "begin"
        case ["BEGIN", "NOT", *_]:
            return None
        case ["ROLLBACK", "TO", *_] | ["ROLLBACK", "WORK", "TO"]:
            return "rollback_to"
        case [first, *_]:
            return _CONTROL.get(first)
        case _:
            return None


def parse(statement: str, database: str, mode: SqlMode = DEFAULT_MODE) -> SchemaChange | None:
    """Return what a statement changes; unqualified names are in ``database``.

    None when there is nothing to carry: transaction control, or only comments. Kind "dml" changes rows by
    itself, kind "unknown" is not understood: a link must not pass over either.
    Raises UnsupportedEvent when the text cannot be read.
    """
    if control(statement, mode):
        return None
    try:
        tokens = tokenize(statement, mode)
    except ValueError as error:
        raise _unreadable(error) from error
    if not tokens:
        return None
    try:
        return Reader(tokens, database).read()
    except UnknownStatement:
        return SchemaChange(" ".join(token.value.upper() for token in tokens[:2]), "unknown")


def names(statement: str, database: str, mode: SqlMode = DEFAULT_MODE) -> set[TableName]:
    """Return every table that a statement could name, and more: any word may be a table of ``database``.

    Raises UnsupportedEvent when the text cannot be read.
    """
    try:
        tokens = tokenize(statement, mode)
    except ValueError as error:
        raise _unreadable(error) from error
    found = set()
    for at, token in enumerate(tokens):
        if token.is_identifier:
            found.add((database, token.value))
            if at + 2 < len(tokens) and tokens[at + 1].is_operator(".") and tokens[at + 2].is_identifier:
                found.add((token.value, tokens[at + 2].value))
    return found


def qualify(
    statement: str, database: str, rename: Callable[[TableName], TableName], mode: SqlMode = DEFAULT_MODE
) -> str:
    """Return the statement with every table fully named as ``rename`` says, and all else as it was.

    A database as a whole is renamed as ``(database, "")``. Raises UnsupportedEvent for a statement whose
    names are not all known: views, triggers, routines, events, accounts, statements that change rows.
    """
    change = parse(statement, database, mode)
    if change is None or change.kind not in ("table", "database"):
        raise UnsupportedEvent(f"cannot rewrite a statement for the target: {shown(statement, *mode)}", hint=_HINT)
    edits: list[tuple[int, int, str]] = []
    for reference in change.references:
        if not reference.name[0] or not reference.spans:
            raise UnsupportedEvent(
                f"the statement does not say in which database: {shown(statement, *mode)}", hint=_HINT
            )
        edits.extend(_edits(reference, rename(reference.name)))
    for start, end, name in sorted(edits, reverse=True):
        statement = statement[:start] + name + statement[end:]
    return statement


def _edits(reference: Reference, target: TableName) -> list[tuple[int, int, str]]:
    """Return what replaces which part of the text: the names only, so that nothing between them is lost."""
    parts = [quote.identifier(part) for part in target if part]
    if len(reference.spans) == 1:
        parts = [".".join(parts)]
    return [(start, end, part) for (start, end), part in zip(reference.spans, parts, strict=True)]


def digest(statement: str, mode: SqlMode = DEFAULT_MODE) -> str:
    """Return the SHA-256 (hex) of what a statement says, whatever its comments, white space and quotes.

    Words and names count in lower case, since without a grammar they cannot be told apart; compare the
    objects too where names may differ in case only. Raises UnsupportedEvent when the text cannot be read.
    """
    try:
        tokens = tokenize(statement, mode)
    except ValueError as error:
        raise _unreadable(error) from error
    while tokens and tokens[-1].is_operator(";"):
        tokens.pop()
    return hashlib.sha256("".join(map(_normalise, tokens)).encode("utf-8", "surrogateescape")).hexdigest()


def _normalise(token: Token) -> str:
    """Write a token so that two lists of tokens never run into the same text."""
    if token.is_identifier:
        value = token.value.lower()
        return f"name {len(value)}:{value}"
    return f"{token.kind} {len(token.value)}:{token.value}"


def _unreadable(error: ValueError) -> UnsupportedEvent:
    return UnsupportedEvent(f"cannot read a statement of the log: {error}", hint=_HINT)
