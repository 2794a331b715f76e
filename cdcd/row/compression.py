"""Undo what MariaDB compresses in its log: whole events (log_bin_compress) and the values of COMPRESSED columns."""

from __future__ import annotations

import zlib

from cdcd.errors import MalformedEvent, UnsupportedEvent

EVENT_BYTES_MAX = 1 << 30


def event(packed: bytes) -> bytes:
    """Undo log_bin_compress: a header byte, a big-endian length, zlib (``binlog_buf_uncompress``, sql/log_event.cc)."""
    if not packed or packed[0] & 0xF0 != 0x80:
        raise MalformedEvent("a compressed event with an unknown header")
    return _inflate(packed, zlib.MAX_WBITS, "a compressed event", EVENT_BYTES_MAX)


def value(stored: bytes) -> bytes:
    """Undo a COMPRESSED column: a byte of method and flags, the big-endian length, deflated data.

    The method's half byte is 8 for zlib, 0 for data as they are; bit 3 says that zlib's own header is left
    out (``Field_longstr::uncompress`` and ``compress_zlib`` in ``sql/field_comp.cc``).
    """
    if not stored:
        return b""
    method = stored[0] >> 4
    if method == 0:
        return stored[1:]
    if method != 8:
        raise UnsupportedEvent(f"a COMPRESSED column by method {method}")
    return _inflate(stored, -zlib.MAX_WBITS if stored[0] & 8 else zlib.MAX_WBITS, "a COMPRESSED column")


def _inflate(packed: bytes, window: int, what: str, bytes_max: int | None = None) -> bytes:
    size = packed[0] & 7
    expected = int.from_bytes(packed[1 : 1 + size], "big")
    if bytes_max is not None and expected > bytes_max:
        raise MalformedEvent(f"{what} that says it holds {expected} bytes")
    unpacker = zlib.decompressobj(window)
    try:
        plain = unpacker.decompress(packed[1 + size :], expected + 1)
    except zlib.error as error:
        raise MalformedEvent(f"{what} that does not unpack: {error}") from error
    if len(plain) != expected:
        raise MalformedEvent(f"{what} holds {len(plain)} bytes and says {expected}")
    return plain
