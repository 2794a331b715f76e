"""A statement's text as its client wrote it: in the client's charset, under the client's sql_mode.

The log keeps the client's bytes. They are read with its charset, since a quote or a backslash may be part of
a character, and go to the target as bytes of the same charset, since a literal may hold bytes of another one.
"""

from __future__ import annotations

from dataclasses import dataclass

from cdcd.errors import UnsupportedEvent
from cdcd.model.query import MODE_ANSI_QUOTES, MODE_NO_BACKSLASH_ESCAPES, Query
from cdcd.row.charset import Collations, named
from cdcd.sql.tokens import SqlMode

# Charsets of a client whose text is read as another's; its bytes go on as they are.
_READ_AS = {"binary": "utf8mb4", "ascii": "utf8mb4"}


@dataclass(frozen=True, slots=True)
class SourceText:
    """A statement, and what is needed to read it and to write it again."""

    text: str
    mode: SqlMode
    charset: str

    @classmethod
    def of(cls, query: Query, collations: Collations) -> SourceText:
        """Read a query's text; ``collations`` are the source's.

        Raises UnsupportedEvent for a text that cannot be read exactly, as in a charset that is not known.
        """
        mode = query.sql_mode or 0
        flags = SqlMode(bool(mode & MODE_ANSI_QUOTES), bool(mode & MODE_NO_BACKSLASH_ESCAPES))
        if query.charset is None or query.statement.isascii():
            return cls(query.statement, flags, "utf8mb4")
        charset = collations.get(query.charset[0], (f"of collation {query.charset[0]}",))[0]
        read_as = _READ_AS.get(charset, charset)
        try:
            text = named(read_as).read(query.statement.encode("utf-8", "surrogateescape"))
        except ValueError:
            raise UnsupportedEvent(
                f"a statement in charset {charset} that cannot be read exactly: {query}",
                hint="run it on the target by hand if it belongs there",
            ) from None
        return cls(text, flags, read_as)

    def encode(self, statement: str) -> bytes:
        """Return a statement as bytes of the client's charset; raise UnsupportedEvent when it has no such letters."""
        try:
            return named(self.charset).write(statement)
        except UnicodeEncodeError as error:
            raise UnsupportedEvent(f"a name that charset {self.charset} cannot write: {error}") from None
