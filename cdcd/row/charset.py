"""The one table of charset codecs: text as the server reads the same bytes, or a refusal; never a guess.

A codec of Python's is used where it agrees with the server's own tables, which differ in undefined bytes, in a few
characters and in duplicates: those are given here as the server has them, or refused. The test of this module asks
a server about every character of every charset. Charsets without such a codec (armscii8, dec8, geostd8, keybcs2,
swe7 and whatever is unknown) are not read at all.
"""

from __future__ import annotations

import re

_CODECS = {
    "utf8mb4": "utf-8", "utf8mb3": "utf-8", "utf8": "utf-8", "ascii": "ascii", "latin1": "cp1252",
    "latin2": "iso8859_2", "latin5": "iso8859_9", "latin7": "iso8859_13", "cp850": "cp850", "cp852": "cp852",
    "cp866": "cp866", "cp1250": "cp1250", "cp1251": "cp1251", "cp1256": "cp1256", "cp1257": "cp1257",
    "greek": "iso8859_7", "hebrew": "iso8859_8", "hp8": "hp_roman8", "koi8r": "koi8_r", "koi8u": "koi8_u",
    "macce": "mac_latin2", "macroman": "mac_roman", "tis620": "tis_620", "sjis": "shift_jis", "cp932": "cp932",
    "ujis": "euc_jp", "eucjpms": "euc_jp", "euckr": "cp949", "gb2312": "gb2312", "gbk": "gbk", "big5": "big5",
    "ucs2": "utf-16-be", "utf16": "utf-16-be", "utf16le": "utf-16-le", "utf32": "utf-32-be",
}  # fmt: skip

# What Python's codec reads, and what the server reads in its place; "" where neither is certain.
_AS_SERVER = {
    "latin1": {0xDC00 + byte: chr(byte) for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D)},
    "cp866": {0x2116: "\u207f", 0xA4: "\xb2"},
    "cp1256": dict.fromkeys((0x679, 0x688, 0x691, 0x6A9, 0x6BA, 0x6BE, 0x6C1, 0x6D2), ""),
    "greek": {0x2018: "\u02bd", 0x2019: "\u02bc", **dict.fromkeys((0x37A, 0x20AC, 0x20AF), "")},
    "hebrew": {0xAF: "\u203e"},
    "koi8u": {0x2219: "\u2022"},
    "big5": dict.fromkeys((0x2CD, 0x2574, 0x5341, 0x5345, 0xFF0F, 0xFF3C, 0xFFE3), ""),
    "sjis": {0x5C: "", 0xFF3C: ""},
    "ujis": {0xFF3C: ""},
    "cp932": dict.fromkeys((0x80, 0xF8F0, 0xF8F1, 0xF8F2, 0xF8F3), ""),
    "eucjpms": {
        0x301C: "\uff5e", 0x2016: "\u2225", 0x2212: "\uff0d", 0xA2: "\uffe0", 0xA3: "\uffe1", 0xAC: "\uffe2",
        0xA6: "\uffe4", 0x2116: "",
    },
}  # fmt: skip
# The first bytes of NEC's copies of IBM's characters, which Python writes and servers do not.
_NEC_COPIES = b"\xed\xee"
_UNCERTAIN = re.compile("[\ud800-\udfff]")


def codec(charset: str) -> str | None:
    """Return Python's name of a server's charset, or None when there is none."""
    return _CODECS.get(charset)


def decode(text: bytes, charset: str) -> str:
    """Return what a server reads in these bytes; raise ValueError where that is not certain.

    Two different texts never become the same: bytes that the charset writes in another way too are refused.
    """
    if (name := _CODECS.get(charset)) is None:
        raise ValueError(f"charset {charset} cannot be read exactly")
    read = text.decode(name, "surrogateescape")
    differs = _AS_SERVER.get(charset)
    if differs is None and read.isascii() and len(read) == len(text):
        return read
    shown = read.translate({python: server or "\ud800" for python, server in differs.items()}) if differs else read
    if _UNCERTAIN.search(shown) or read.encode(name, "surrogateescape") != text:
        raise ValueError(f"bytes whose characters charset {charset} leaves open")
    if charset == "ucs2" and max(shown) > "\uffff":
        raise ValueError("a character of two halves, which charset ucs2 does not have")
    if charset == "cp932" and any(character.encode(name)[0] in _NEC_COPIES for character in shown):
        raise ValueError("a character that charset cp932 has twice")
    return shown
