"""Every character of every charset is read as the server reads it, or refused."""

from __future__ import annotations

import pytest

from cdcd.row.charset import codec, decode
from tests.fixtures.mariadb import MariaDB

NOT_READ = {"armscii8", "binary", "dec8", "geostd8", "keybcs2", "swe7"}
# Of what the server reads in so many ways as there are characters, how many are refused.
REFUSED_MAX = {"eucjpms": 2100, "ujis": 1900, "cp932": 800, "big5": 20, "sjis": 2, "tis620": 1}
WIDE = {"ucs2", "utf16", "utf16le", "utf32"}
BEYOND = {"utf16": "D83DDE00", "utf16le": "3DD800DE", "utf32": "0001F600", "utf8mb4": "F09F9880"}


def every_character(server: MariaDB, charset: str, length: int) -> list[tuple[bytes, str | None]]:
    """Return (bytes, the server's reading) of all characters of this length; None where it has none.

    A reading that the server would write in other bytes counts as none: a literal in a filter is compared as what
    the server writes.
    """
    digits, prefix = 2 * length, ""
    first, last = 0 if length == 1 or charset in WIDE else 0x8000, 256**length - 1
    if length == 3:  # The two Japanese charsets of this length put this byte before a third plane.
        digits, last, prefix = 4, 256**2 - 1, "8F"
    if charset == "utf32":
        digits, last, prefix = 4, 256**2 - 1, "0000"
    rows = server.sql(
        f"SELECT b, CAST(CONVERT(c USING utf32) AS BINARY), CAST(c AS BINARY) = b"
        f" AND CHAR_LENGTH(c) = 1 AND CAST(CONVERT(CONVERT(c USING utf32) USING {charset}) AS BINARY) = b FROM"
        f" (SELECT b, CONVERT(b USING {charset}) AS c FROM"
        f" (SELECT UNHEX(CONCAT('{prefix}', LPAD(HEX(seq), {digits}, '0'))) AS b"
        f" FROM seq_{first}_to_{last}) AS x) AS y",
        database="mysql",
    )
    return [(b, read.decode("utf-32-be", "replace") if same else None) for b, read, same in rows]


def lengths(charset: str, longest: int) -> list[int]:
    """Return how many bytes the characters that are asked for have."""
    if charset == "utf32":
        return [4]
    if charset in WIDE:
        return [2]
    return list(range(1, 1 + (longest if charset in ("ujis", "eucjpms") else min(longest, 2))))


def test_text_is_read_as_the_server_reads_it(east: MariaDB) -> None:
    """A guess would let a filter drop a row that matches, or carry one that does not."""
    known = east.sql("SELECT character_set_name, maxlen FROM information_schema.character_sets")
    assert {name for name, _ in known if codec(name) is None} == NOT_READ
    wrong: dict[str, list[tuple[str, str, str | None]]] = {}
    refused: dict[str, int] = {}
    for charset, longest in known:
        for length in lengths(charset, longest) if charset not in NOT_READ else ():
            for written, read in every_character(east, charset, length):
                try:
                    ours = decode(written, charset)
                except ValueError:
                    refused[charset] = refused.get(charset, 0) + (read not in (None, "\ufffd"))
                    continue
                if len(ours) == 1 and ours != read:
                    wrong.setdefault(charset, []).append((written.hex(), ours, read))
    assert {} == {charset: found[:20] for charset, found in wrong.items()}
    assert {} == {charset: count for charset, count in refused.items() if count > REFUSED_MAX.get(charset, 0)}


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
        ("utf16", "D83D"),
        ("klingon", "41"),
    ],
)
def test_what_is_no_text_is_refused(charset: str, written: str) -> None:
    """Half a character, a byte of another charset and a charset that nobody knows have no reading."""
    with pytest.raises(ValueError, match=r"charset|decode"):
        decode(bytes.fromhex(written), charset)
