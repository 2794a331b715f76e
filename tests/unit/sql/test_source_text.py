"""Statements are read in their client's charset and sql_mode, and written in the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdcd.errors import UnsupportedEvent
from cdcd.model.query import Query
from cdcd.sql.source_text import SourceText
from cdcd.sql.tokens import SqlMode, tokenize

CHARSETS = {
    8: ("latin1", ""),
    13: ("sjis", ""),
    28: ("gbk", ""),
    45: ("utf8mb4", ""),
    63: ("binary", ""),
    32: ("armscii8", ""),
}


def a_query(written, collation=45, sql_mode=0):
    """Make a query as the log has it."""
    charset = (collation, 45, 45)
    return Query("shop", written.decode("utf-8", "surrogateescape"), 1, sql_mode, True, True, charset, "")


@pytest.mark.parametrize(("collation", "codec"), [(8, "cp1252"), (45, "utf-8"), (63, "utf-8")])
def test_names_are_read_in_the_clients_charset(collation, codec):
    """A name is matched by the link's rules as text, not as bytes."""
    source = SourceText.of(a_query("DROP TABLE `é`".encode(codec), collation), CHARSETS)
    assert "DROP TABLE `é`" == source.text
    assert "DROP TABLE `ü`".encode(codec) == source.encode("DROP TABLE `ü`")


@pytest.mark.parametrize(("collation", "codec"), [(13, "shift_jis"), (28, "gbk")])
def test_a_byte_of_a_character_is_no_backslash(collation, codec):
    """0x5C as a second byte would otherwise escape the quote that follows."""
    text = {"shift_jis": "COMMENT '表'", "gbk": "COMMENT '\u8aa0\u4e55'"}[codec]
    source = SourceText.of(a_query(text.encode(codec), collation), CHARSETS)
    assert 2 == len(tokenize(source.text, source.mode))


def test_a_letter_is_read_as_the_server_reads_it():
    """Python's codec reads the sign of Numero in the byte of the server's superscript n."""
    source = SourceText.of(a_query(b"DROP TABLE `\xfc`", 36), {36: ("cp866", "")})
    assert "DROP TABLE `\u207f`" == source.text
    assert b"DROP TABLE `\xfc`" == source.encode(source.text)


def test_a_letter_that_only_pythons_codec_has_is_refused():
    """The server would read another one in its byte."""
    source = SourceText.of(a_query(b"DROP TABLE `\xfc`", 36), {36: ("cp866", "")})
    with pytest.raises(UnsupportedEvent, match="charset cp866"):
        source.encode("DROP TABLE `\u2116`")


def test_the_sql_mode_comes_with_the_text():
    """It decides what quotes and backslashes are."""
    assert SqlMode(True, False) == SourceText.of(a_query(b"x", sql_mode=4), CHARSETS).mode
    assert SqlMode(False, True) == SourceText.of(a_query(b"x", sql_mode=0x100000), CHARSETS).mode


@given(st.binary(), st.sampled_from([8, 45, 63]))
def test_what_is_read_is_written_again_byte_for_byte(written, collation):
    """A literal may hold bytes that are no text."""
    source = SourceText.of(a_query(written, collation), CHARSETS)
    assert written == source.encode(source.text)


def test_a_charset_that_cannot_be_read_is_refused_unless_the_text_is_ascii():
    """A guess could name another table."""
    assert "DROP TABLE t" == SourceText.of(a_query(b"DROP TABLE t", 32), CHARSETS).text
    with pytest.raises(UnsupportedEvent, match="charset armscii8"):
        SourceText.of(a_query(b"DROP TABLE `\xb2`", 32), CHARSETS)
