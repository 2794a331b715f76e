"""The one table of charsets: text as the server reads the same bytes, or a refusal; never a guess.

A codec of Python's is used where it agrees with the server's own tables, which differ in undefined bytes, in a few
characters and in duplicates: those are given here as the server has them, or refused. The test of this module asks
a server about every character of every charset. A charset that stands here without a codec, or not at all, is not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

Collations = Mapping[int, tuple[str, str]]
"""Collation id to (charset, collation), as information_schema.COLLATIONS of a server has them."""

_UNCLEAR = "\ud800"  # What the server reads is not what Python's codec would write again.
_NO_TEXT = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Charset:
    """What is known of a charset.

    ``codec`` is Python's; "" where there is none, and no text is read. ``differs`` is what that codec reads by what
    the server reads in its place, as an undefined byte (``surrogateescape``) where it reads nothing. ``twice`` are
    characters that the server reads from other bytes too, where the codec would not notice. ``width`` is the most bytes
    of a character. ``unicode`` says which of Unicode's it holds: "all", "basic" (the first plane), "latin" (some of
    that), or "own", a choice that nothing here relies on. ``is_ordered``: the order of its codes is that of Unicode's.
    """

    codec: str = ""
    width: int = 1
    unicode: str = "own"
    is_ordered: bool = False
    differs: Mapping[int, str] = field(default_factory=dict)
    twice: frozenset[str] = frozenset()
    _written: Mapping[int, str] = field(init=False)

    def __post_init__(self) -> None:
        """Turn ``differs`` round, for writing: what the codec alone has is not written."""
        written = {ours: _UNCLEAR for ours in self.differs if not _NO_TEXT.match(chr(ours))}
        written |= {ord(server): chr(ours) for ours, server in self.differs.items() if not _NO_TEXT.match(server)}
        object.__setattr__(self, "_written", written)

    def read(self, written: bytes) -> str:
        """Return the text of a statement; bytes that are no text are kept, as surrogates.

        Raises ValueError where it is not certain what the server reads, or these would not be the bytes for it.
        """
        text = written.decode(self.codec, "surrogateescape") if self.codec else _UNCLEAR
        if self.differs:
            text = text.translate(self.differs)
        if _UNCLEAR in text or self.write(text) != written:
            raise ValueError("bytes that cannot be read exactly")
        return text

    def write(self, text: str) -> bytes:
        """Return the bytes of what :meth:`read` gave, or of other text; UnicodeEncodeError for what it does not have.

        In a charset that is not read, only ASCII can be written.
        """
        return text.translate(self._written).encode(self.codec or "ascii", "surrogateescape")


def _bytes(characters: str, written: bytes) -> dict[int, str]:
    """Return that the server reads nothing in these bytes, in which Python's codec reads these characters."""
    return {ord(character): chr(0xDC00 + byte) for character, byte in zip(characters, written, strict=True)}


_HOLES = {0xDC00 + byte: chr(byte) for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D)}
_ARABIC = _bytes("\u0679\u0688\u0691\u06a9\u06ba\u06be\u06c1\u06d2", b"\x8a\x8f\x9a\x98\x9f\xaa\xc0\xff")
_GREEK = {0x2018: "\u02bd", 0x2019: "\u02bc", **_bytes("\u037a\u20ac\u20af", b"\xaa\xa4\xa5")}
_JAPANESE = {0x301C: "\uff5e", 0x2016: "\u2225", 0x2212: "\uff0d", 0xA2: "\uffe0", 0xA3: "\uffe1", 0xAC: "\uffe2",
             0xA6: "\uffe4"}  # fmt: skip
_CHINESE = dict.fromkeys((0x2CD, 0x2574, 0xFFE3), _UNCLEAR)
_NEC = _bytes("\x80\uf8f0\uf8f1\uf8f2\uf8f3", b"\x80\xa0\xfd\xfe\xff")

CHARSETS: Mapping[str, Charset] = {
    "armscii8": Charset(),
    "ascii": Charset("ascii", unicode="latin", is_ordered=True),
    "big5": Charset("big5", 2, differs=_CHINESE, twice=frozenset("\u5341\u5345\uff0f\uff3c")),
    "binary": Charset(),
    "cp1250": Charset("cp1250"),
    "cp1251": Charset("cp1251"),
    "cp1256": Charset("cp1256", differs=_ARABIC),
    "cp1257": Charset("cp1257"),
    "cp850": Charset("cp850"),
    "cp852": Charset("cp852"),
    "cp866": Charset("cp866", differs={0x2116: "\u207f", 0xA4: "\xb2"}),
    "cp932": Charset("cp932", 2, differs=_NEC),
    "dec8": Charset(),
    "eucjpms": Charset("euc_jp", 3, differs=_JAPANESE, twice=frozenset("\u2116")),
    "euckr": Charset("cp949", 2),
    "gb18030": Charset(width=4),
    "gb2312": Charset("gb2312", 2),
    "gbk": Charset("gbk", 2),
    "geostd8": Charset(),
    "greek": Charset("iso8859_7", differs=_GREEK),
    "hebrew": Charset("iso8859_8", differs={0xAF: "\u203e"}),
    "hp8": Charset("hp_roman8"),
    "keybcs2": Charset(),
    "koi8r": Charset("koi8_r"),
    "koi8u": Charset("koi8_u", differs={0x2219: "\u2022"}),
    "latin1": Charset("cp1252", unicode="latin", differs=_HOLES),
    "latin2": Charset("iso8859_2"),
    "latin5": Charset("iso8859_9"),
    "latin7": Charset("iso8859_13"),
    "macce": Charset("mac_latin2"),
    "macroman": Charset("mac_roman"),
    "sjis": Charset("shift_jis", 2, differs={0xFF3C: _UNCLEAR}, twice=frozenset("\\")),
    "swe7": Charset(),
    "tis620": Charset("tis_620"),
    "ucs2": Charset("utf-16-be", 2, "basic"),
    "ujis": Charset("euc_jp", 3, differs={0xFF3C: _UNCLEAR}),
    "utf16": Charset("utf-16-be", 4, "all"),
    "utf16le": Charset("utf-16-le", 4, "all"),
    "utf32": Charset("utf-32-be", 4, "all"),
    "utf8": Charset("utf-8", 3, "basic", is_ordered=True),
    "utf8mb3": Charset("utf-8", 3, "basic", is_ordered=True),
    "utf8mb4": Charset("utf-8", 4, "all", is_ordered=True),
}  # fmt: skip

_OTHER = Charset()  # A charset that a site adds to its server has one byte a character, whatever it is.
# The first bytes of NEC's copies of IBM's characters, which Python writes and servers do not.
_NEC_COPIES = b"\xed\xee"


def named(charset: str) -> Charset:
    """Return what is known of a charset, of which an unknown one's texts are not read."""
    return CHARSETS.get(charset, _OTHER)


def decode(text: bytes, charset: str) -> str:
    """Return what a server reads in a value's bytes; raise ValueError where that is not certain.

    Two different texts never become the same: bytes that the charset writes in another way too are refused.
    """
    known = named(charset)
    if not known.codec:
        raise ValueError(f"charset {charset} cannot be read exactly")
    if text.isascii() and not known.twice and not known.codec.startswith(("utf-16", "utf-32")):
        return text.decode("ascii")
    shown = known.read(text)
    if _NO_TEXT.search(shown) or not known.twice.isdisjoint(shown):
        raise ValueError(f"bytes whose characters charset {charset} leaves open")
    if known.unicode == "basic" and max(shown, default="") > "\uffff":
        raise ValueError(f"a character that charset {charset} does not have")
    if charset == "cp932" and any(known.write(character)[0] in _NEC_COPIES for character in shown):
        raise ValueError("a character that charset cp932 has twice")
    return shown
