"""Names and texts mean themselves on a server, whatever is in them."""

from __future__ import annotations

import pytest

from cdcd.sql import quote
from tests.fixtures.mariadb import MariaDB

TEXTS = ["plain", "it's", "back\\slash", 'a "quote" and a `tick`', "línea", "\U0001f600", "two\nlines", "\\'", ""]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_itself_to_the_server(east: MariaDB, text: str) -> None:
    """A quote or a backslash in it must not end it."""
    [(found, raw)] = east.sql(f"SELECT {quote.text(text)}, CAST({quote.any_text(text)} AS BINARY)")
    assert (text, text.encode()) == (found, raw)


def test_any_text_needs_no_charset_and_no_mode(east: MariaDB) -> None:
    """It is written in sessions whose settings are not ours."""
    settings = "SET NAMES latin1, sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'; "
    for text in TEXTS:
        assert [(text.encode(),)] == east.sql(f"{settings}SELECT CAST({quote.any_text(text)} AS BINARY)")
    assert "_utf8mb4 X'5c7564636539'" == quote.any_text("\udce9")


@pytest.mark.parametrize("name", ["t", "a`b", "a.b", "it's", "é"])
def test_a_name_is_itself_to_the_server(east: MariaDB, name: str) -> None:
    """A backtick in it must not end it."""
    quoted = quote.identifier(name)
    assert [(1,)] == east.sql(f"SELECT {quoted}.{quoted} FROM (SELECT 1 AS {quoted}) AS {quoted}")
