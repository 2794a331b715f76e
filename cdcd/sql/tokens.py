"""A lexer for the SQL text of MySQL and MariaDB.

Follows sql/sql_lex.cc of MariaDB. Executable comments (``/*!50001 … */``, ``/*M! … */``) are read as the text
they hold: a server that does not run one overwrites its ``!`` before the statement reaches the binary log.
Every other comment, optimizer hints included, lies between tokens.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple, cast

Kind = Literal["word", "name", "string", "number", "hex", "operator"]
"""``word``: a keyword or an unquoted identifier; ``name``: a quoted one; ``hex``: 0x1F X'1F' 0b1 B'1'."""


class Token(NamedTuple):
    """One lexeme: ``value`` is unquoted and unescaped, ``text[start:end]`` is how it was written."""

    kind: Kind
    value: str
    start: int
    end: int

    @property
    def keyword(self) -> str:
        """The word in upper case; empty for anything else, so that a quoted name is never a keyword."""
        return self.value.upper() if self.kind == "word" else ""

    @property
    def is_identifier(self) -> bool:
        """Whether this can name something."""
        return self.kind in ("word", "name")

    def is_operator(self, value: str) -> bool:
        """Whether this is the given operator or punctuation mark."""
        return self.kind == "operator" and self.value == value


class SqlMode(NamedTuple):
    """The flags of sql_mode that change how text is read; a QUERY event carries those of its statement."""

    ansi_quotes: bool = False  # "…" is an identifier
    no_backslash_escapes: bool = False


DEFAULT_MODE = SqlMode()

_CHARACTER = r"0-9A-Za-z_$\u0080-\U0010ffff"  # of an unquoted identifier


@functools.cache
def _lexemes(in_quotes: str) -> re.Pattern[str]:
    """Compile the lexer when it is first needed, which takes a while.

    ``in_quotes`` completes the character class that a quoted string is made of.
    """
    escaped = r"|\\." if in_quotes else ""
    return re.compile(
        rf"""
          (?P<gap>      [ \t\n\v\f\r\0]+ | \#[^\n]* | --(?=[\x00-\x20]|\Z)[^\n]* )
        | (?P<open>     /\*M?!(?:[0-9]{{5,6}})? )
        | (?P<comment>  /\*.*?\*/ )
        | (?P<part>     (?<=[{_CHARACTER}`]\.)[{_CHARACTER}]+ )
        | (?P<hex>      (?:0x[0-9A-Fa-f]+|0b[01]+)(?![{_CHARACTER}]) | [xX]'[0-9A-Fa-f]*' | [bB]'[01]*' )
        | (?P<number>   (?:[0-9]+\.[0-9]*|(?<![{_CHARACTER}`])\.[0-9]+)(?:[eE][+-]?[0-9]+)?
                      | [0-9]+[eE][+-]?[0-9]+ | [0-9]+(?![{_CHARACTER}]) )
        | (?P<word>     [{_CHARACTER}]+ )
        | (?P<name>     `(?:[^`]|``)*+` )
        | (?P<double>   "(?:[^"{in_quotes}]|""{escaped})*+" )
        | (?P<single>   '(?:[^'{in_quotes}]|''{escaped})*+' )
        | (?P<endless>  /\*|[`'"] )
        | (?P<operator> <=>|->>|->|<<|>>|<=|>=|<>|!=|\|\||&&|:=|. )
        """,
        re.VERBOSE | re.DOTALL,
    )


_ESCAPES = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": "\\%", "_": "\\_"}


def tokenize(text: str, mode: SqlMode = DEFAULT_MODE) -> list[Token]:
    """Read a whole statement. Raises ValueError where a quote or a comment does not end."""
    return list(scan(text, mode))


def scan(text: str, mode: SqlMode = DEFAULT_MODE) -> Iterator[Token]:
    """Read a statement token by token, for callers that need only its beginning."""
    lexemes = _lexemes("" if mode.no_backslash_escapes else r"\\")
    position = opened = 0
    executable = False
    while position < len(text):
        if executable and text.startswith("*/", position):
            position, executable = position + 2, False
            continue
        match = lexemes.match(text, position)
        assert match is not None, "the last alternative takes any character"
        group = match.lastgroup or ""
        if group == "open":
            opened, executable = position, True
        elif group == "endless":
            raise _endless(text, position)
        elif group not in ("gap", "comment"):
            yield _token(group, match.group(), position, mode)
        position = match.end()
    if executable:
        raise _endless(text, opened)


def _token(group: str, lexeme: str, start: int, mode: SqlMode) -> Token:
    end = start + len(lexeme)
    match group:
        case "name":
            return Token("name", lexeme[1:-1].replace("``", "`"), start, end)
        case "double" if mode.ansi_quotes:
            return Token("name", lexeme[1:-1].replace('""', '"'), start, end)
        case "double" | "single":
            return Token("string", _unquote(lexeme, mode), start, end)
        case "part":
            return Token("word", lexeme, start, end)
        case _:
            return Token(cast(Kind, group), lexeme, start, end)


def _unquote(lexeme: str, mode: SqlMode) -> str:
    r"""Return what a string holds; ``\%`` and ``\_`` stay as they are, for LIKE to read."""
    quote, body = lexeme[0], lexeme[1:-1]
    if mode.no_backslash_escapes:
        return body.replace(quote * 2, quote)
    return re.sub(
        rf"\\(.)|{quote}{quote}",
        lambda found: _ESCAPES.get(found[1], found[1]) if found[1] is not None else quote,
        body,
        flags=re.DOTALL,
    )


def _endless(text: str, position: int) -> ValueError:
    line = text.count("\n", 0, position) + 1
    start = text[position : position + 20]
    return ValueError(f"the quote or comment that opens at {start!r} (line {line}) does not end")
