"""A statement's text as its client wrote it: in the client's charset, under the client's sql_mode.

The log keeps the client's bytes. They are read with its charset, since a quote or a backslash may be part of
a character, and go to the target as bytes of the same charset, since a literal may hold bytes of another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cdcd.errors import UnsupportedEvent
from cdcd.model.query import MODE_ANSI_QUOTES, MODE_NO_BACKSLASH_ESCAPES, Query
from cdcd.row.charset import codec
from cdcd.sql.tokens import SqlMode

# Charsets of a client whose text is read as another's; its bytes go on as they are.
_READ_AS = {"binary": "utf-8", "ascii": "utf-8"}


@dataclass(frozen=True, slots=True)
class SourceText:
    """A statement, and what is needed to read it and to write it again."""

    text: str
    mode: SqlMode
    codec: str

    @classmethod
    def of(cls, query: Query, charsets: Mapping[int, tuple[str, str]]) -> SourceText:
        """Read a query's text; ``charsets`` are the source's, by collation id.

        Raises UnsupportedEvent for a text in a charset that cannot be read exactly.
        """
        mode = query.sql_mode or 0
        flags = SqlMode(bool(mode & MODE_ANSI_QUOTES), bool(mode & MODE_NO_BACKSLASH_ESCAPES))
        if query.charset is None or query.statement.isascii():
            return cls(query.statement, flags, "utf-8")
        charset = charsets.get(query.charset[0], ("unknown",))[0]
        written = query.statement.encode("utf-8", "surrogateescape")
        name = _READ_AS.get(charset) or codec(charset)
        text = written.decode(name, "surrogateescape") if name else ""
        read = cls(text, flags, name or "utf-8")
        if name is None or read.encode(text) != written:
            raise UnsupportedEvent(
                f"a statement in charset {charset} that cannot be read exactly: {query}",
                hint="run it on the target by hand if it belongs there",
            )
        return read

    def encode(self, statement: str) -> bytes:
        """Return a statement as bytes of the client's charset; raise UnsupportedEvent when it has no such letters."""
        try:
            return statement.encode(self.codec, "surrogateescape")
        except UnicodeEncodeError as error:
            raise UnsupportedEvent(f"a name that charset {self.codec} cannot write: {error}") from None
