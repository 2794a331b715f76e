"""Every character of every charset is read as the server reads it, or refused."""

from __future__ import annotations

import pytest

from cdcd.row.charset import CHARSETS, decode
from tests.fixtures.mariadb import MariaDB

OFFERED = sorted(set(CHARSETS) - {"utf8", "gb18030"})  # utf8 is utf8mb3; the other is MySQL's.
NOT_READ = {"armscii8", "binary", "dec8", "geostd8", "keybcs2", "swe7"}
# Of what the server reads in so many ways as there are characters, how many are refused.
REFUSED_MAX = {"eucjpms": 2100, "ujis": 1900, "cp932": 800, "big5": 20, "sjis": 2, "tis620": 1}
WIDE = {"ucs2", "utf16", "utf16le", "utf32"}
BEYOND = {"utf16": "D83DDE00", "utf16le": "3DD800DE", "utf32": "0001F600", "utf8mb4": "F09F9880"}
# Of the characters of three bytes, those that begin so: a third plane of Japan's, and a part of Unicode's first.
THIRD = {"ujis": "8F", "eucjpms": "8F", "utf8mb3": "E3", "utf8mb4": "E3"}


def every_character(server: MariaDB, charset: str, length: int, *, both: bool) -> list[tuple[bytes, str | None]]:
    """Return (bytes, the server's reading) of all characters of this length; None where it has none.

    ``both`` ways: a reading that the server would write in other bytes counts as none. A literal in a filter is
    compared as what the server writes.
    """
    again = f"CAST(CONVERT(CONVERT(c USING utf32) USING {charset}) AS BINARY) = b" if both else "TRUE"
    digits, prefix = 2 * length, ""
    first, last = 0 if length == 1 or charset in WIDE else 0x8000, 256**length - 1
    if length == 3:
        digits, last, prefix = 4, 256**2 - 1, THIRD[charset]
    if charset == "utf32":
        digits, last, prefix = 4, 256**2 - 1, "0000"
    rows = server.sql(
        f"SELECT b, CAST(CONVERT(c USING utf32) AS BINARY), CAST(c AS BINARY) = b"
        f" AND CHAR_LENGTH(c) = 1 AND {again} FROM"
        f" (SELECT b, CONVERT(b USING {charset}) AS c FROM"
        f" (SELECT UNHEX(CONCAT('{prefix}', LPAD(HEX(seq), {digits}, '0'))) AS b"
        f" FROM seq_{first}_to_{last}) AS x) AS y",
        database="mysql",
    )
    return [(b, read.decode("utf-32-be", "replace") if same else None) for b, read, same in rows]


def lengths(charset: str) -> range:
    """Return how many bytes the characters that are asked for have."""
    if charset in WIDE:
        return range(4, 5) if charset == "utf32" else range(2, 3)
    return range(1, 2 + (CHARSETS[charset].width > 1) + (charset in THIRD))


def test_every_charset_that_a_server_offers_is_known(east: MariaDB) -> None:
    """One that is missing here would be in no test, and its width a guess."""
    offered = dict(east.sql("SELECT character_set_name, maxlen FROM information_schema.character_sets"))
    assert offered == {name: CHARSETS[name].width for name in OFFERED}
    assert {name for name in OFFERED if not CHARSETS[name].codec} == NOT_READ


@pytest.mark.parametrize("charset", sorted(set(OFFERED) - NOT_READ))
def test_text_is_read_as_the_server_reads_it(east: MariaDB, charset: str) -> None:
    """A guess would let a filter drop a row that matches, or carry one that does not."""
    wrong, refused = [], 0
    for length in lengths(charset):
        for written, read in every_character(east, charset, length, both=True):
            try:
                ours = decode(written, charset)
            except ValueError:
                refused += read not in (None, "\ufffd")
                continue
            if len(ours) == 1 and ours != read:
                wrong.append((written.hex(), ours, read))
    assert [] == wrong[:20]
    assert refused <= REFUSED_MAX.get(charset, 0)


@pytest.mark.parametrize("charset", sorted(set(OFFERED) - NOT_READ - WIDE))
def test_a_statement_is_read_as_the_server_reads_it(east: MariaDB, charset: str) -> None:
    """A name that is read otherwise would be another table's; what is read must be written as it was."""
    known, wrong = CHARSETS[charset], []
    for length in lengths(charset):
        for written, read in every_character(east, charset, length, both=False):
            try:
                ours = known.read(written)
            except ValueError:
                continue
            if known.write(ours) != written or (len(ours) == 1 and ours.isprintable() and ours != read):
                wrong.append((written.hex(), ours, read))
    assert [] == wrong[:20]


@pytest.mark.parametrize("charset", sorted(NOT_READ | {"gb18030", "klingon"}))
def test_a_charset_without_a_codec_is_refused_by_name(charset: str) -> None:
    """A column's charset that nobody can read must be found in the message."""
    with pytest.raises(ValueError, match=f"charset {charset} cannot be read exactly"):
        decode(b"A", charset)


def test_a_character_that_only_the_codec_has_is_not_written() -> None:
    """The server would read another one in its byte."""
    with pytest.raises(UnicodeEncodeError):
        CHARSETS["cp866"].write("\u2116")
    with pytest.raises(UnicodeEncodeError):
        CHARSETS["greek"].write("\u20ac")


@pytest.mark.parametrize(("charset", "written"), BEYOND.items())
def test_characters_beyond_the_first_plane_are_read(charset: str, written: str) -> None:
    """They are two units of UTF-16 and one character."""
    assert "\U0001f600" == decode(bytes.fromhex(written), charset)


@pytest.mark.parametrize(
    ("charset", "written"),
    [
        ("utf8mb4", "C3"),
        ("utf8mb3", "EDA080"),
        ("ascii", "E9"),
        ("ucs2", "D83DDE00"),
        ("utf8mb3", "F09F9880"),
        ("utf16", "D83D"),
    ],
)
def test_what_is_no_text_is_refused(charset: str, written: str) -> None:
    """Half a character, a byte of another charset and a charset that nobody knows have no reading."""
    with pytest.raises(ValueError, match=r"charset|decode"):
        decode(bytes.fromhex(written), charset)
