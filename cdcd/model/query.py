"""A statement of a log, as it is told to people and to those who run it elsewhere."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

# Bits of a MariaDB sql_mode (``sql/sql_class.h``).
MODE_ANSI_QUOTES, MODE_NO_BACKSLASH_ESCAPES = 1 << 2, 1 << 20

_NOT_UTF8 = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class Query:
    """A statement, its default database and the settings that decide what it means."""

    database: str
    statement: str
    thread_id: int
    sql_mode: int | None
    foreign_key_checks: bool
    explicit_defaults_for_timestamp: bool
    charset: tuple[int, int, int] | None  # collation ids: client, connection, server
    time_zone: str  # "" when the statement does not depend on it
    unique_checks: bool = True
    check_constraint_checks: bool = True
    if_exists: bool = False
    auto_increment: tuple[int, int] = (1, 1)  # increment, offset
    lc_time_names: int = 0
    microseconds: int | None = None  # of the statement's time; None when it does not depend on them
    error: int = 0  # what the source answered its client, where the log has the statement all the same
    thread_specific: bool = False  # its event says that it depends on its session, as temporary tables do
    unknown: int | None = None  # the first status variable that is not understood

    @property
    def is_recovered(self) -> bool:
        """Whether the server logged it while it recovered from a crash (``sql/ddl_log.cc``), under no session.

        The time is 0 then, and the settings are the server's own, whatever those of the session were.
        """
        return self.thread_id == 0

    def __str__(self) -> str:
        """Return the statement for messages."""
        mode = self.sql_mode or 0
        return shown(self.statement, bool(mode & MODE_ANSI_QUOTES), bool(mode & MODE_NO_BACKSLASH_ESCAPES))


def shown(statement: str, ansi_quotes: bool = False, no_backslash_escapes: bool = False) -> str:
    """Return a statement for messages: shortened, and without the texts in it, which may be secrets."""
    text = _without_texts(statement, ansi_quotes, no_backslash_escapes)
    short = text if len(text) <= 200 else text[:197] + "..."
    return short.encode("utf-8", "backslashreplace").decode()


def _without_texts(statement: str, ansi_quotes: bool, no_backslash_escapes: bool) -> str:
    """Put ``'?'`` for each quoted text, and an empty comment for each comment; names and numbers stay.

    In another charset than UTF-8 a quote or a backslash may belong to a letter: nothing from the first one on is shown.
    """
    if _NOT_UTF8.search(statement):
        return re.split("['\"]", statement, maxsplit=1)[0] + "?"
    return _lexemes(ansi_quotes, no_backslash_escapes).sub(_replacement, statement)


@functools.cache
def _lexemes(ansi_quotes: bool, no_backslash_escapes: bool) -> re.Pattern[str]:
    """Compile what is not shown, and the names that could be taken for it; each may lack its end."""
    within = "" if no_backslash_escapes else r"\\.|"
    texts = ["'"] if ansi_quotes else ["'", '"']
    names = ["`", '"'] if ansi_quotes else ["`"]
    name = "|".join(f"{quote}[^{quote}]*(?:{quote}|$)" for quote in names)
    text = "|".join(rf"{quote}(?:{within}[^{quote}])*(?:{quote}|$)" for quote in texts)
    comment = r"/\*(?!M?!).*?(?:\*/|$)|(?:\#|--(?=\s))[^\n]*"
    return re.compile(rf"(?P<name>{name})|(?P<comment>{comment})|(?P<text>{text})".replace("$", r"\Z"), re.DOTALL)


def _replacement(found: re.Match[str]) -> str:
    return {"name": found[0], "comment": "/**/", "text": "'?'"}[found.lastgroup or "text"]


UNREADABLE = Query("", "?", 0, None, True, False, None, "")
"""Stands for a statement that was passed over and cannot be read: not for one that changes nothing."""
