"""Values into the storage of row images: the other direction of ``layout`` and ``values``.

A value is a Python object, or the text that a server prints for it (str, or bytes as they come over the wire). What a
column cannot hold exactly is refused: nothing is rounded, cut or guessed.

Storage: ``Field::pack`` in ``sql/field.cc``, ``decimal2bin`` in ``strings/decimal.c``, ``my_datetime_packed_to_binary``
and its like in ``sql-common/my_time.c`` of MariaDB.
"""

from __future__ import annotations

import calendar
import datetime
import math
import re
import struct
from collections.abc import Callable
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from uuid import UUID

from cdcd.model.table import Column
from cdcd.row import cell, charset
from cdcd.row.cell import ColumnType

Encoder = Callable[[object], bytes]
"""Returns the cell of one value, which is not None; raises CellError, another ValueError or an ArithmeticError."""

_DIGIT_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
_INT_BYTES = {cell.TINY: 1, cell.SHORT: 2, cell.INT24: 3, cell.LONG: 4, cell.LONGLONG: 8}
_DECIMAL = re.compile(r"(-?)(\d+)(?:\.(\d*))?")
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_DATETIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?")
_TIME = re.compile(r"(-?)(\d{2,3}):(\d\d):(\d\d)(?:\.(\d{1,6}))?")
_ADDRESSES: dict[str, Callable[[str], bytes]] = {
    "uuid": lambda text: UUID(text).bytes,
    "inet4": lambda text: IPv4Address(text).packed,
    "inet6": lambda text: IPv6Address(text).packed,
}


class CellError(ValueError):
    """A value that its column cannot hold: why, in words that do not tell the value."""


def encoder(column: Column, stored: ColumnType, text_charset: str) -> Encoder:
    """Return how values of a column become cells of type ``stored``; ``text_charset`` is that of text and members."""
    kind, metadata = stored.type, stored.metadata
    if kind in _INT_BYTES:
        return _integer(_INT_BYTES[kind], is_signed=not stored.unsigned)
    if kind in (cell.ENUM, cell.SET):
        return _members(stored, text_charset)
    if kind in (cell.TIME2, cell.DATETIME2, cell.TIMESTAMP2):
        return _TEMPORALS[kind](metadata)
    if kind in (cell.FLOAT, cell.DOUBLE):
        return _double if kind == cell.DOUBLE else _single
    if kind == cell.NEWDECIMAL:
        return _decimal(metadata >> 8, metadata & 0xFF)
    if kind == cell.BIT:
        return _bits(metadata)
    if kind == cell.YEAR:
        return _year
    if kind == cell.DATE:
        return _date
    if kind == cell.STRING and column.data_type in _ADDRESSES:
        return _counted(_address(_ADDRESSES[column.data_type]), metadata, 1)
    return _text(stored, text_charset)


def _shown(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("ascii")
    if isinstance(value, str):
        return value
    raise CellError(f"a {type(value).__name__}")


def _whole(value: object) -> int:
    if isinstance(value, int | str | bytes):
        return int(value)
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    raise CellError(f"a {type(value).__name__}")


def _integer(size: int, *, is_signed: bool) -> Encoder:
    def encode(value: object) -> bytes:
        return _whole(value).to_bytes(size, "little", signed=is_signed)

    return encode


def _number(value: object) -> float:
    if not isinstance(value, float | int | str | bytes | Decimal):
        raise CellError(f"a {type(value).__name__}")
    number = float(value)
    if not math.isfinite(number) or (isinstance(value, int | Decimal) and number != value):
        raise CellError("no number that a DOUBLE has")
    return number


def _double(value: object) -> bytes:
    return struct.pack("<d", _number(value))


def _single(value: object) -> bytes:
    """Servers print a FLOAT with six digits; it must be given as the DOUBLE of the same value."""
    number = _number(value)
    packed = struct.pack("<f", number)
    if struct.unpack("<f", packed)[0] != number:
        raise CellError("no number that a FLOAT has: read it as a DOUBLE")
    return packed


def _decimal(precision: int, scale: int) -> Encoder:
    """Pack groups of nine digits, the broken ones at both ends; a negative number has every bit turned."""
    whole = precision - scale
    ends = [whole % 9, *range(whole % 9 + 9, whole + 1, 9), *range(whole + 9, precision + 1, 9), precision]
    groups = [(start, end, _DIGIT_BYTES[end - start]) for start, end in pairwise([0, *ends]) if start < end]
    turned = (1 << 8 * sum(size for _, _, size in groups)) - 1

    def encode(value: object) -> bytes:
        match = _DECIMAL.fullmatch(_plain(value))
        if match is None:
            raise CellError("no number")
        sign, before, after = match[1], match[2].lstrip("0"), (match[3] or "").rstrip("0")
        if len(before) > whole or len(after) > scale:
            raise CellError("more digits than the column has")
        digits = before.rjust(whole, "0") + after.ljust(scale, "0")
        packed = bytearray()
        for start, end, size in groups:
            packed += int(digits[start:end]).to_bytes(size, "big")
        if sign and (before or after):
            packed[:] = (int.from_bytes(packed, "big") ^ turned).to_bytes(len(packed), "big")
        packed[0] ^= 0x80
        return bytes(packed)

    return encode


def _plain(value: object) -> str:
    """Return a number's digits without an exponent."""
    if isinstance(value, Decimal | int):
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    return _shown(value)


def _bits(count: int) -> Encoder:
    def encode(value: object) -> bytes:
        """Servers print its bytes; a number is one."""
        number = int.from_bytes(value, "big") if isinstance(value, bytes) else _whole(value)
        if not 0 <= number < 1 << count:
            raise CellError(f"no number of {count} bits")
        return number.to_bytes((count + 7) // 8, "big")

    return encode


def _year(value: object) -> bytes:
    year = _whole(value)
    if year == 1900:
        raise CellError("a year that is stored as 0")
    return bytes([year - 1900 if year else 0])


def _date(value: object) -> bytes:
    match = _DATE.fullmatch(value.isoformat() if isinstance(value, datetime.date) else _shown(value))
    if match is None:
        raise CellError("no date")
    year, month, day = map(int, match.groups())
    return (year << 9 | month << 5 | day).to_bytes(3, "little")


def _fraction(text: str | None, digits: int) -> int:
    """Return a fraction of a second as it is stored: an even number of digits."""
    given = (text or "").rstrip("0")
    if len(given) > digits:
        raise CellError(f"a fraction of a second of more than {digits} digits")
    return int(given.ljust((digits + 1) // 2 * 2, "0") or "0")


def _parts(value: object) -> tuple[list[int], str | None]:
    match = _DATETIME.fullmatch(value.isoformat(" ") if isinstance(value, datetime.datetime) else _shown(value))
    if match is None:
        raise CellError("no date and time")
    *numbers, fraction = match.groups()
    return [int(number) for number in numbers], fraction


def _datetime(digits: int) -> Encoder:
    length = (digits + 1) // 2

    def encode(value: object) -> bytes:
        (year, month, day, hour, minute, second), fraction = _parts(value)
        days, clock = (year * 13 + month) << 5 | day, hour << 12 | minute << 6 | second
        return (0x8000000000 + (days << 17 | clock)).to_bytes(5, "big") + _fraction(fraction, digits).to_bytes(
            length, "big"
        )

    return encode


def _timestamp(digits: int) -> Encoder:
    """Text, and what has no zone, is in UTC. The zero date is stored as no seconds."""
    length = (digits + 1) // 2

    def encode(value: object) -> bytes:
        if isinstance(value, datetime.datetime) and value.tzinfo is not None:
            value = value.astimezone(datetime.UTC).replace(tzinfo=None)
        parts, text = _parts(value)
        fraction, seconds = _fraction(text, digits), 0
        if any(parts):
            year, month, day, hour, minute, second = parts
            seconds = calendar.timegm(datetime.datetime(year, month, day, hour, minute, second).timetuple())
            if not seconds and not fraction:
                raise CellError("the moment that stands for the zero date")
        elif fraction:
            raise CellError("a fraction of the zero date")
        return seconds.to_bytes(4, "big") + fraction.to_bytes(length, "big")

    return encode


def _time(digits: int) -> Encoder:
    length = (digits + 1) // 2

    def encode(value: object) -> bytes:
        match = _TIME.fullmatch(_clock(value))
        if match is None:
            raise CellError("no time")
        sign, hours, minutes, seconds, text = match.groups()
        size = (int(hours) << 12 | int(minutes) << 6 | int(seconds)) << 8 * length | _fraction(text, digits)
        return ((0x800000 << 8 * length) + (-size if sign else size)).to_bytes(3 + length, "big")

    return encode


def _clock(value: object) -> str:
    if isinstance(value, datetime.timedelta):
        seconds, micros = divmod(abs(value) // datetime.timedelta(microseconds=1), 1_000_000)
        sign = "-" if value < datetime.timedelta() else ""
        return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{micros:06}"
    return value.isoformat() if isinstance(value, datetime.time) else _shown(value)


_TEMPORALS = {cell.TIME2: _time, cell.DATETIME2: _datetime, cell.TIMESTAMP2: _timestamp}


def _members(stored: ColumnType, text_charset: str) -> Encoder:
    """Return how an ENUM or a SET is stored: a number is one, text is the label, or the labels."""
    size, is_set, listed = stored.metadata, stored.type == cell.SET, stored.members or ()
    numbers = {member: 1 << i if is_set else i + 1 for i, member in reversed(list(enumerate(listed)))}
    comma = written(",", text_charset)
    most = (1 << len(listed)) - 1 if is_set else len(listed)

    def encode(value: object) -> bytes:
        number = value if isinstance(value, int) else _labelled(_raw(value, text_charset))
        if not 0 <= number <= most:
            raise CellError("no member of the column")
        return number.to_bytes(size, "little")

    def _labelled(label: bytes) -> int:
        if not label:
            if label in numbers:
                raise CellError("an empty label, which is a member's and none's: give the number")
            return 0
        try:
            return sum({numbers[each] for each in label.split(comma)}) if is_set else numbers[label]
        except KeyError:
            raise CellError("no member of the column") from None

    return encode


def written(text: str, text_charset: str) -> bytes:
    """Return text in a server's charset; raise CellError where that is not certain."""
    known = charset.named(text_charset)
    if not known.codec:
        raise CellError(f"charset {text_charset} cannot be written exactly")
    try:
        stored = known.write(text)
        is_certain = charset.decode(stored, text_charset) == text
    except ValueError:
        is_certain = False
    if not is_certain:
        raise CellError(f"characters that charset {text_charset} does not have")
    return stored


def _raw(value: object, text_charset: str) -> bytes:
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, str) and text_charset != "binary":
        return written(value, text_charset)
    raise CellError(f"a {type(value).__name__}")


def _address(read: Callable[[str], bytes]) -> Encoder:
    def encode(value: object) -> bytes:
        text = str(value) if isinstance(value, UUID | IPv4Address | IPv6Address) else _shown(value)
        return read(text).rstrip(b"\0")

    return encode


def _counted(encode: Encoder, most: int, prefix: int) -> Encoder:
    """Put the length before what ``encode`` returns, which has at most so many bytes."""

    def counted(value: object) -> bytes:
        stored = encode(value)
        if len(stored) > most:
            raise CellError(f"more than {most} bytes")
        return len(stored).to_bytes(prefix, "little") + stored

    return counted


def _text(stored: ColumnType, text_charset: str) -> Encoder:
    """Return how text and bytes are stored: as they are; fixed lengths without their padding."""
    if stored.type == cell.TEXT_CELL:
        return _counted(lambda value: _raw(value, "utf8mb4"), (1 << 32) - 1, 4)
    if stored.type in (cell.BLOB, cell.GEOMETRY):
        return _counted(lambda value: _raw(value, text_charset), 256**stored.metadata - 1, stored.metadata)
    prefix = 2 if stored.metadata > 255 else 1
    if stored.type != cell.STRING:
        return _counted(lambda value: _raw(value, text_charset), stored.metadata, prefix)
    pad = b"\0" if text_charset == "binary" else written(" ", text_charset)

    def stripped(value: object) -> bytes:
        raw = _raw(value, text_charset)
        end = len(raw)
        while end and raw[max(0, end - len(pad)) : end] == pad:
            end -= len(pad)
        return raw[:end]

    return _counted(stripped, stored.metadata, prefix)
