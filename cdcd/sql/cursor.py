"""A place in a statement's tokens, and the names that were met on the way there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cdcd.model.table import TableName
from cdcd.sql.tokens import Token

_NO_TEXT = re.compile("[\ud800-\udfff]")  # Bytes of a statement that its charset does not have.

Role = Literal["object", "read", "parent"]
"""``object``: changed; ``read``: LIKE's source, a sequence, a MERGE member; ``parent``: of a foreign key."""


class UnknownStatement(Exception):
    """The statement is not one that this grammar knows."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A name in a statement; ``spans`` are where it is written: table, database and table, or nowhere."""

    name: TableName
    role: Role
    spans: tuple[tuple[int, int], ...]


class Cursor:
    """Walks over tokens, forward only."""

    def __init__(self, tokens: Sequence[Token], database: str) -> None:
        self._tokens = tokens
        self._database = database
        self._next = 0
        self._references: list[Reference] = []

    def _skip_existence(self) -> None:
        if not self._accept("IF", "EXISTS"):
            self._accept("IF", "NOT", "EXISTS")

    def _skip_to(self, word: str) -> None:
        """Go past the next ``word`` that is not inside parentheses."""
        depth = 0
        while self._next < len(self._tokens):
            depth += self._at_operator("(") - self._at_operator(")")
            self._next += 1
            if depth == 0 and self._keyword(-1) == word:
                return
        raise UnknownStatement

    def _names(self, role: Role) -> None:
        self._name(role)
        while self._at_operator(","):
            self._next += 1
            self._name(role)

    def _name(self, role: Role) -> None:
        first = self._identifier()
        if self._at_operator("."):
            self._next += 1
            table = self._identifier()
            spans: tuple[tuple[int, int], ...] = ((first.start, first.end), (table.start, table.end))
            self._references.append(Reference((first.value, table.value), role, spans))
        else:
            span = (first.start, first.end)
            self._references.append(Reference((self._database, first.value), role, (span,)))

    def _identifier(self) -> Token:
        token = self._peek()
        if token is None or not token.is_identifier or _NO_TEXT.search(token.value):
            raise UnknownStatement
        self._next += 1
        return token

    def _peek(self, offset: int = 0) -> Token | None:
        index = self._next + offset
        return self._tokens[index] if 0 <= index < len(self._tokens) else None

    def _keyword(self, offset: int = 0) -> str:
        """Return the word at the offset in upper case; empty for anything else and for a name after a dot."""
        token = self._peek(offset)
        return token.keyword if token and not self._at_operator(".", offset - 1) else ""

    def _take_keyword(self) -> str:
        self._next += 1
        return self._keyword(-1)

    def _at_operator(self, value: str, offset: int = 0) -> bool:
        token = self._peek(offset)
        return token is not None and token.is_operator(value)

    def _accept(self, *words: str) -> bool:
        if [self._keyword(offset) for offset in range(len(words))] != list(words):
            return False
        self._next += len(words)
        return True
