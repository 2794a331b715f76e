"""The lexer sees what a server would see."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdcd.sql.tokens import DEFAULT_MODE, SqlMode, tokenize

ANSI = SqlMode(ansi_quotes=True)
PLAIN = SqlMode(no_backslash_escapes=True)


def lex(text: str, mode: SqlMode = DEFAULT_MODE) -> list[tuple[str, str]]:
    """Return (kind, value) of every token."""
    return [(token.kind, token.value) for token in tokenize(text, mode)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`a``b`.`c.d`", [("name", "a`b"), ("operator", "."), ("name", "c.d")]),
        (r"'it''s \'x\' \\ \n \% \_ \q'", [("string", "it's 'x' \\ \n \\% \\_ q")]),
        (r'"say ""hi"" \""', [("string", 'say "hi" "')]),
        ("a -- b\nc", [("word", "a"), ("word", "c")]),
        ("a--1", [("word", "a"), ("operator", "-"), ("operator", "-"), ("number", "1")]),
        ("a # b ' \nc --", [("word", "a"), ("word", "c")]),
        ("a /* ' ` */ b /*+ hint */", [("word", "a"), ("word", "b")]),
        ("/*!50001 a /* b */ c */ d", [("word", "a"), ("word", "c"), ("word", "d")]),
        ("/*M!100201 a*/ /*!b*/", [("word", "a"), ("word", "b")]),
        ("/*!a '*/' */", [("word", "a"), ("string", "*/")]),
        ("a */ b", [("word", "a"), ("operator", "*"), ("operator", "/"), ("word", "b")]),
        ("1 1.5 .5 1. 1e5 1.5E-3", [("number", part) for part in ["1", "1.5", ".5", "1.", "1e5", "1.5E-3"]]),
        ("0x1F X'1f' 0b01 B'01'", [("hex", part) for part in ["0x1F", "X'1f'", "0b01", "B'01'"]]),
        ("1a 0xg 2ü", [("word", "1a"), ("word", "0xg"), ("word", "2ü")]),
        ("d.1e5", [("word", "d"), ("operator", "."), ("word", "1e5")]),
        ("d.5", [("word", "d"), ("operator", "."), ("word", "5")]),
        ("d .5", [("word", "d"), ("number", ".5")]),
        ("a<=>b<>c!=d||e&&f:=g", [("word", "a"), ("operator", "<=>"), ("word", "b"), ("operator", "<>")]),
        ("", []),
    ],
)
def test_a_text_is_read_as_a_server_reads_it(text: str, expected: list[tuple[str, str]]) -> None:
    """Quotes, escapes, comments and numbers follow the server's own lexer."""
    assert expected == lex(text)[: len(expected)]
    assert expected or not lex(text)


def test_ansi_quotes_make_double_quotes_name_things() -> None:
    """The same text is a string or an identifier, as the statement's sql_mode says."""
    assert [("string", 'a"b')] == lex('"a""b"')
    assert [("name", 'a"b')] == lex('"a""b"', ANSI)


def test_without_backslash_escapes_a_backslash_is_a_character() -> None:
    """A string may then end in one."""
    assert [("string", "a\\"), ("word", "b")] == lex(r"'a\' b", PLAIN)


@pytest.mark.parametrize("text", ["'a", "'a\\'", '"a', "`a", "/* a", "/*! a", "a /*!50001 b", "'a''"])
def test_what_does_not_end_is_refused(text: str) -> None:
    """A statement cut short never passes for a shorter one."""
    with pytest.raises(ValueError, match="does not end"):
        tokenize(text)


def test_keywords_are_words_only() -> None:
    """A quoted name that looks like a keyword is none."""
    assert ["TABLE", "", ""] == [token.keyword for token in tokenize("table `table` 'table'")]


@given(st.text(alphabet=st.sampled_from("ab10xe'\"`\\/*!-#@ \n<=>;é$"), max_size=40), st.booleans())
def test_tokens_and_the_gaps_between_them_are_the_whole_text(text: str, ansi_quotes: bool) -> None:
    """Nothing is read twice or lost: what lies between tokens is white space and comments only."""
    mode = SqlMode(ansi_quotes)
    try:
        tokens = tokenize(text, mode)
    except ValueError:
        return
    ends = [0, *(token.end for token in tokens)]
    starts = [*(token.start for token in tokens), len(text)]
    gaps = [text[end:start] for end, start in zip(ends, starts, strict=True)]

    assert all(token.start < token.end for token in tokens)
    assert all(gap.strip() == "" or gap.strip()[:2] in {"/*", "*/", "--"} or "#" in gap for gap in gaps)
    assert lex(text, mode) == [lex(text[token.start : token.end], mode)[0] for token in tokens]


@given(st.text(min_size=1))
def test_any_identifier_survives_quoting(name: str) -> None:
    """What is quoted with doubled backticks is read back as it was."""
    assert [("name", name)] == lex("`" + name.replace("`", "``") + "`")


@given(st.text(), st.sampled_from("'\""))
def test_any_string_survives_quoting(value: str, quote: str) -> None:
    """Doubled quotes and doubled backslashes are enough for every value."""
    body = value.replace("\\", "\\\\").replace(quote, quote * 2)

    assert [("string", value)] == lex(quote + body + quote)
    assert [("string", value)] == lex(quote + value.replace(quote, quote * 2) + quote, PLAIN)
