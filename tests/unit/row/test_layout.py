"""Values come out of row images as they were put in, and images that lie are refused."""

from __future__ import annotations

import struct
import zlib
from decimal import Decimal
from typing import Any

import pytest

from cdcd.errors import MalformedEvent, UnsupportedEvent
from cdcd.model.table import Column, Table
from cdcd.row import cell
from cdcd.row.cell import ColumnType, Description
from cdcd.row.layout import Layout
from cdcd.row.reading import layout

LATIN1, UTF8MB4, GBK, BINARY = 8, 45, 28, 63
COLLATIONS = {
    LATIN1: ("latin1", "latin1_swedish_ci"),
    UTF8MB4: ("utf8mb4", "utf8mb4_general_ci"),
    GBK: ("gbk", "gbk_chinese_ci"),
    BINARY: ("binary", "binary"),
}


def a_layout(*columns: ColumnType, table_type: str = "any") -> Layout:
    """Return the layout of columns c0, c1 and so on."""
    names = tuple(f"c{n}" for n in range(len(columns)))
    live = tuple(Column(name, table_type, "", "", "", True, False, False) for name in names)
    table = Table(("d", "t"), live, (), (), False, (), False)
    return layout(Description(("d", "t"), columns, names), table, COLLATIONS)


def read(column: ColumnType, stored: bytes, **facts: str) -> object:
    """Read one stored value through a row of one column."""
    [(before, after)] = a_layout(column, **facts).changes(0, b"\x01\x01\x00" + stored)
    assert before is None
    assert after is not None
    return after[0]


def a_column(kind: int, metadata: int = 0, **facts: Any) -> ColumnType:
    """Describe a column; numbers are signed unless said otherwise."""
    return ColumnType(kind, metadata, True, **{"unsigned": False, "collation_id": UTF8MB4, **facts})


@pytest.mark.parametrize(
    ("kind", "size"), [(cell.TINY, 1), (cell.SHORT, 2), (cell.INT24, 3), (cell.LONG, 4), (cell.LONGLONG, 8)]
)
def test_integers_of_every_width(kind: int, size: int) -> None:
    """The same bytes are the lowest number of a signed column and the middle of an unsigned one."""
    lowest = bytes(size - 1) + b"\x80"
    assert -(1 << 8 * size - 1) == read(a_column(kind), lowest)
    assert 1 << 8 * size - 1 == read(a_column(kind, unsigned=True), lowest)
    assert -1 == read(a_column(kind), b"\xff" * size)
    assert (1 << 8 * size) - 1 == read(a_column(kind, unsigned=True), b"\xff" * size)


@pytest.mark.parametrize(
    ("kind", "metadata", "stored", "value"),
    [
        (cell.NEWDECIMAL, 10 << 8 | 2, "8000000a63", "10.99"),
        (cell.NEWDECIMAL, 10 << 8 | 2, "7ffffff59c", "-10.99"),
        (cell.NEWDECIMAL, 14 << 8 | 4, "810dfb38d204d2", "1234567890.1234"),
        (cell.NEWDECIMAL, 14 << 8 | 4, "7ef204c72dfb2d", "-1234567890.1234"),
    ],
)
def test_decimals(kind: int, metadata: int, stored: str, value: str) -> None:
    """The examples of ``strings/decimal.c`` in the server's source, and their like."""
    assert Decimal(value) == read(a_column(kind, metadata), bytes.fromhex(stored))


@pytest.mark.parametrize(
    ("kind", "metadata", "stored", "value"),
    [
        (cell.YEAR, 0, b"\0", 0),
        (cell.YEAR, 0, b"\x01", 1901),
        (cell.DATE, 0, (2024 << 9 | 2 << 5 | 0).to_bytes(3, "little"), "2024-02-00"),
        (cell.TIME2, 0, (0x800000 + (838 << 12 | 59 << 6 | 59)).to_bytes(3, "big"), "838:59:59"),
        (cell.TIME2, 0, (0x800000 - (838 << 12 | 59 << 6 | 59)).to_bytes(3, "big"), "-838:59:59"),
        (cell.TIME2, 6, (0x800000000000 - 1).to_bytes(6, "big"), "-00:00:00.000001"),
        (cell.TIME2, 1, (0x80000000 - (1 << 8) - 50).to_bytes(4, "big"), "-00:00:01.5"),
        (cell.DATETIME2, 0, (0x8000000000).to_bytes(5, "big"), "0000-00-00 00:00:00"),
        (
            cell.DATETIME2,
            3,
            (0x8000000000 + ((9999 * 13 + 12) << 22 | 31 << 17 | 23 << 12 | 59 << 6 | 59)).to_bytes(5, "big")
            + (9990).to_bytes(2, "big"),
            "9999-12-31 23:59:59.999",
        ),
        (cell.TIMESTAMP2, 0, bytes(4), "0000-00-00 00:00:00"),
        (cell.TIMESTAMP2, 2, (2**31 - 1).to_bytes(4, "big") + b"\x63", "2038-01-19 03:14:07.99"),
        (cell.TIMESTAMP2, 0, (951782400).to_bytes(4, "big"), "2000-02-29 00:00:00"),
        (cell.BIT, 9, b"\x01\xff", 511),
        (cell.FLOAT, 4, struct.pack("<f", -0.5), -0.5),
        (cell.DOUBLE, 8, struct.pack("<d", 5e-324), 5e-324),
    ],
)
def test_values_of_a_fixed_size(kind: int, metadata: int, stored: bytes, value: object) -> None:
    """Temporal values are text, since no type of Python's holds them all."""
    assert value == read(a_column(kind, metadata), stored)


@pytest.mark.parametrize(
    ("kind", "name", "stored", "value"),
    [
        (cell.SET, "set", 5, "a,c"),
        (cell.SET, "set", 0, ""),
        (cell.ENUM, "enum", 2, "b"),
        (cell.ENUM, "enum", 0, ""),
    ],
)
def test_members_are_named(kind: int, name: str, stored: int, value: str) -> None:
    """The event says the members; number 0 is what a server stores for a value that was none."""
    column = a_column(kind, 1, members=(b"a", b"b", b"c"))
    assert value == read(column, bytes([stored]), table_type=f"{name}('a','b','c')")


@pytest.mark.parametrize(
    ("kind", "metadata", "collation", "stored", "value"),
    [
        (cell.VARCHAR, 255, UTF8MB4, b"\x04" + "😀".encode(), "😀"),
        (cell.VARCHAR, 256, UTF8MB4, b"\x01\x00a", "a"),
        (cell.VARCHAR, 50, LATIN1, b"\x02\xe9\x80", "é€"),
        (cell.VARCHAR, 50, GBK, b"\x02\x81\x5c", "乗"),
        (cell.STRING, 4, BINARY, b"\x01a", b"a\0\0\0"),
        (cell.VARCHAR, 4, BINARY, b"\x01a", b"a"),
        (cell.BLOB, 3, BINARY, b"\x02\x00\x00\0\xff", b"\0\xff"),
        (cell.VARCHAR_COMPRESSED, 50, LATIN1, b"\x03\x00ab", "ab"),
        (cell.BLOB_COMPRESSED, 2, BINARY, b"\0\0", b""),
    ],
)
def test_values_of_any_length(kind: int, metadata: int, collation: int, stored: bytes, value: object) -> None:
    """The length's own size follows from the column; fixed binaries get their zeros back."""
    assert value == read(a_column(kind, metadata, collation_id=collation), stored)


def test_a_uuid_gets_its_zeros_back() -> None:
    """The log has it in the order of its text, without trailing zeros."""
    column = a_column(cell.STRING, 16, collation_id=BINARY)
    stored = bytes.fromhex("0e00112233445516778899aabbccdd")
    assert "00112233-4455-1677-8899-aabbccdd0000" == read(column, stored, table_type="uuid")


@pytest.mark.parametrize(("flags", "window"), [(0x80, zlib.MAX_WBITS), (0x88, -zlib.MAX_WBITS)])
def test_compressed_values_with_and_without_zlibs_own_header(flags: int, window: int) -> None:
    """column_compression_zlib_wrap decides which."""
    packer = zlib.compressobj(wbits=window)
    packed = bytes([flags | 2, 1000 >> 8, 1000 & 0xFF]) + packer.compress(b"x" * 1000) + packer.flush()
    column = a_column(cell.BLOB_COMPRESSED, 2)
    assert "x" * 1000 == read(column, struct.pack("<H", len(packed)) + packed)


@pytest.mark.parametrize(
    ("packed", "error"),
    [
        (b"\x81\x05" + zlib.compress(b"x" * 1000), MalformedEvent),
        (b"\x82\xff\xff" + zlib.compress(b"x"), MalformedEvent),
        (b"\x89\x05garbage", MalformedEvent),
        (b"\x90abc", UnsupportedEvent),
    ],
)
def test_compressed_values_that_lie_are_refused(packed: bytes, error: type[Exception]) -> None:
    """No more is unpacked than the value says it holds."""
    with pytest.raises(error):
        read(a_column(cell.BLOB_COMPRESSED, 2), struct.pack("<H", len(packed)) + packed)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\x02", b"\x02\x03\x00", b"\x02\x03\x00\x01\0\0", b"\x02\x03\x00\x01\0\0\0",
        b"\x02\x03\x00\x01\0\0\0\x05abcd", b"\x02\x03\x00\x01\0\0\0\x01a\x00", b"\x02\x00\x00", b"\x02\x02\x00\xff",
    ],
)  # fmt: skip
def test_an_image_that_exceeds_its_event_is_refused(body: bytes) -> None:
    """No length leads out of the event."""
    images = a_layout(a_column(cell.LONG), a_column(cell.VARCHAR, 50))
    with pytest.raises(MalformedEvent):
        assert images.changes(0, body) is None


def test_columns_that_an_image_lacks_are_not_mistaken() -> None:
    """NULL bits are counted over the columns that are there, not over all."""
    images = a_layout(*(a_column(cell.TINY) for _ in range(12)))
    present = (0b1010_0000_0010).to_bytes(2, "little")
    assert [((None, None, None, None, None, None, None, None, None, 7, None, 9), None)] == images.changes(
        2, b"\x0c" + present + b"\x01" + b"\x07\x09"
    )


def test_an_update_has_two_images_with_columns_of_their_own() -> None:
    """A MINIMAL image finds the row by some columns and sets others."""
    images = a_layout(a_column(cell.LONG), a_column(cell.LONG))
    body = b"\x02\x01\x02" + b"\0" + struct.pack("<i", 5) + b"\0" + struct.pack("<i", 9)
    assert [((5, None), (None, 9))] == images.changes(1, body)


@pytest.mark.parametrize("kind", [cell.TIMESTAMP, cell.TIME, cell.DATETIME])
def test_temporal_columns_of_old_are_refused_with_the_way_out(kind: int) -> None:
    """Their format says less than the new one; rewriting the table gives them the new."""
    with pytest.raises(UnsupportedEvent, match="ALTER TABLE"):
        a_layout(a_column(kind))
