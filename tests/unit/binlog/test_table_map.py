"""What a TABLE_MAP event says of a table, and what it cannot say."""

from __future__ import annotations

import struct

import pytest

from cdcd.binlog import table_map
from cdcd.errors import MalformedEvent
from cdcd.row import cell


def body(types: list[int], metadata: bytes, optional: bytes = b"") -> bytes:
    """Return a TABLE_MAP event's body for columns c0, c1 and so on, none nullable."""
    head = struct.pack("<IHH", 9, 0, 1) + b"\x01d\0\x01t\0"
    nulls = bytes((len(types) + 7) // 8)
    return head + bytes([len(types), *types, len(metadata)]) + metadata + nulls + optional


def block(kind: int, content: bytes) -> bytes:
    """Return one field of the optional metadata."""
    return bytes([kind, len(content)]) + content


def test_a_table_without_metadata_says_only_how_values_are_stored() -> None:
    """Names, signs and collations are then unknown, which is not the same as none."""
    described = table_map.parse(body([cell.LONG, cell.VARCHAR], struct.pack("<H", 400)))
    assert ("d", "t") == described.name
    assert described.column_names is None
    assert [cell.ColumnType(cell.LONG, 0, False), cell.ColumnType(cell.VARCHAR, 400, False)] == [*described.columns]


def test_signs_are_bits_over_the_numeric_columns() -> None:
    """Other columns have no bit."""
    signs = block(1, bytes([0b0100_0000]))
    described = table_map.parse(body([cell.LONG, cell.DATE, cell.LONGLONG, cell.YEAR], b"", signs))
    assert [False, None, True, False] == [column.unsigned for column in described.columns]


def test_geometry_counts_among_the_columns_that_have_a_collation() -> None:
    """MariaDB 10.11 says "binary, but 33 at the second": the first is a geometry."""
    collations = block(2, bytes([63, 1, 33]))
    described = table_map.parse(body([cell.GEOMETRY, cell.VARCHAR], b"\x04" + struct.pack("<H", 30), collations))
    assert [63, 33] == [column.collation_id for column in described.columns]


def test_collations_of_texts_and_of_enums_are_told_apart() -> None:
    """Fields 2 and 3 are about text, 10 and 11 about ENUM and SET."""
    metadata = bytes([cell.ENUM, 1]) + struct.pack("<H", 30)
    optional = block(3, bytes([45])) + block(11, bytes([8])) + block(6, bytes([2, 1]) + b"a" + bytes([2]) + b"bc")
    enum, text = table_map.parse(body([cell.STRING, cell.VARCHAR], metadata, optional)).columns
    assert (cell.ENUM, 8, (b"a", b"bc")) == (enum.type, enum.collation_id, enum.members)
    assert (45, None) == (text.collation_id, text.members)


@pytest.mark.parametrize("length", [1, 255, 256, 400, 765, 1020])
def test_long_fixed_text_hides_its_length_in_the_type(length: int) -> None:
    """CHAR(255) of four bytes a character is longer than a byte counts."""
    first = cell.STRING ^ (length >> 8 & 3) << 4
    [column] = table_map.parse(body([cell.STRING], bytes([first, length & 0xFF]))).columns
    assert (cell.STRING, length) == (column.type, column.metadata)


def test_names_may_be_long_and_many() -> None:
    """Lengths past 250 take more bytes."""
    names = [f"{'ü' * 30}{n}" for n in range(300)]
    content = b"".join(bytes([len(name.encode())]) + name.encode() for name in names)
    head = struct.pack("<IHH", 9, 0, 1) + b"\x01d\0\x01t\0"
    columns = b"\xfc" + struct.pack("<H", 300) + bytes([cell.TINY]) * 300 + b"\0" + bytes(38)
    described = table_map.parse(head + columns + b"\x04\xfd" + len(content).to_bytes(3, "little") + content)
    assert tuple(names) == described.column_names


@pytest.mark.parametrize(
    ("kind", "metadata"),
    [
        (cell.BLOB, b"\x00"), (cell.BLOB, b"\x05"), (cell.GEOMETRY, b"\xff"), (cell.TIME2, b"\x07"),
        (cell.DATETIME2, b"\xff"),
        (cell.TIMESTAMP2, b"\x07"), (cell.FLOAT, b"\x08"), (cell.DOUBLE, b"\x04"), (cell.NEWDECIMAL, b"\x42\x00"),
        (cell.NEWDECIMAL, b"\x05\x06"), (cell.BIT, b"\x01\x08"), (cell.BIT, b"\x00\x00"),
        (cell.STRING, bytes([cell.ENUM, 3])),
        (cell.STRING, bytes([cell.SET, 9])), (cell.STRING, bytes([cell.ENUM, 0])),
    ],
)  # fmt: skip
def test_a_column_that_cannot_be_is_refused(kind: int, metadata: bytes) -> None:
    """Whoever walks rows relies on these numbers: a wrong one would lead out of the event."""
    with pytest.raises(MalformedEvent, match="impossible column"):
        table_map.parse(body([kind], metadata))


def test_an_event_cut_short_is_refused() -> None:
    """Every length is checked against what there is; only whole fields of the metadata may be missing."""
    plain = body([cell.LONG, cell.VARCHAR], struct.pack("<H", 400))
    names = block(4, b"\x02ab\x03cde")
    whole = plain + names + block(1, b"\0")
    for length in {*range(8, len(whole))} - {len(plain), len(plain + names)}:
        with pytest.raises(MalformedEvent):
            table_map.parse(whole[:length])


@pytest.mark.parametrize("optional", [b"\x04\x05\x01a", b"\x02\x01\xfb", b"\x02\x03\x3f\x09\x21", b"\x04\x02\x01a"])
def test_metadata_that_lies_is_refused(optional: bytes) -> None:
    """A field longer than the event, a bad length, an index of no column, too few names."""
    with pytest.raises(MalformedEvent):
        table_map.parse(body([cell.LONG, cell.VARCHAR], struct.pack("<H", 400), optional))


@pytest.mark.parametrize("filler", [0, 1, 2, 0x7F, 0xFF])
@pytest.mark.parametrize("kind", range(1, 14))
def test_metadata_of_any_length_is_read_or_refused(kind: int, filler: int) -> None:
    """A field that is too short for its columns is damage, which must be told as that."""
    types = [cell.LONG] * 9 + [cell.STRING, cell.STRING, cell.GEOMETRY, cell.VARCHAR]
    metadata = bytes([cell.ENUM, 1, cell.SET, 1, 4]) + struct.pack("<H", 30)
    for length in range(12):
        try:
            table_map.parse(body(types, metadata, block(kind, bytes([filler]) * length)))
        except MalformedEvent:
            continue


@pytest.mark.parametrize(("columns", "signs"), [(1, b""), (9, b"\xff"), (17, b"\xff\xff")])
def test_signs_that_are_too_few_are_refused(columns: int, signs: bytes) -> None:
    """Each number has its bit: what is not said is not guessed."""
    with pytest.raises(MalformedEvent):
        table_map.parse(body([cell.LONG] * columns, b"", block(1, signs)))


def test_kinds_of_geometry_are_told() -> None:
    """Field 7 has one for each geometry column; a kind that is not known is an error."""
    metadata = b"\x04" * 2
    kinds = table_map.parse(body([cell.GEOMETRY, cell.GEOMETRY], metadata, block(7, bytes([0, 6])))).columns
    assert [0, 6] == [column.geometry for column in kinds]
    with pytest.raises(MalformedEvent):
        table_map.parse(body([cell.GEOMETRY], b"\x04", block(7, bytes([8]))))
