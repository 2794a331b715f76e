"""What comes at once is bounded in memory, also where the bytes of the log say little of it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import pytest

from cdcd.binlog.decoder import Decoder
from cdcd.model.position import Gtid, Position
from cdcd.row.transaction import Transaction
from tests.fixtures.binlog_bytes import Log, LoggedTable, event, format_description

LEAST = 128
"""What a row image weighs at least."""
MAX = 1000 * LEAST
PART = 512 * LEAST
"""What a later part weighs, 64 KiB."""
NARROW = LoggedTable({"id": "int"})
OTHER = LoggedTable({"id": "int"}, name=("shop", "u"), table_id=2)
WIDE = LoggedTable({"id": "int", "v": "varchar"})
MIB = 1 << 20


def parts(*events: bytes) -> list[Transaction]:
    """Return the parts in which a transaction of these events comes."""
    log = Log()
    log.commit(*events)
    return Decoder(Position(), transaction_bytes_max=MAX).feed(log.written)


def statement(text: str) -> bytes:
    """Return a QUERY event."""
    return event(2, struct.pack("<IIBHH", 7, 0, 4, 0, 0) + b"shop\0" + text.encode())


def test_narrow_rows_come_in_parts_of_so_many_rows() -> None:
    """What a batch keeps of a row takes more than the five bytes of one that is a number."""
    events = [NARROW.insert(*((n,) for n in range(at, at + 10))) for at in range(0, 3000, 10)]
    assert [1000, 520, 520, 520, 440] == [10 * part.ref_count for part in parts(*events)]


@pytest.mark.parametrize("sides", [1, 2])
def test_rows_of_ordinary_width_come_in_parts_of_so_many_bytes(sides: int) -> None:
    """They weigh their bytes, however many they are in an event."""
    row = (1, "x" * 140)
    change = WIDE.insert(row, row) if sides == 1 else WIDE.update((row, row), (row, row))
    first, *others = parts(*[change] * 2000)
    [size] = {len(body) for _, _, body in first.events}
    assert -(-MAX // size) == first.ref_count
    assert {-(-PART // size)} == {part.ref_count for part in others[:-1]}


def test_an_update_counts_both_its_images() -> None:
    """A key that changes is a row that goes and a row that comes."""
    assert 500 == parts(*[NARROW.update(((1,), (2,)))] * 600)[0].ref_count


def test_rows_of_tables_by_turns_count_for_the_sets_that_they_begin() -> None:
    """Rows that go out in the log's order begin a new set with each change of table, kind or flags."""
    by_turns = [NARROW.insert((1,)), OTHER.insert((1,))] * 300
    assert 501 == parts(*by_turns)[0].ref_count
    assert [600] == [part.ref_count for part in parts(*sorted(by_turns))]


def test_savepoints_count_until_they_are_gone() -> None:
    """Their names are kept, and each may be new."""
    row = NARROW.insert((1,))
    named = [row + statement(f"SAVEPOINT s{n}") for n in range(400)]
    assert [334, 66] == [part.ref_count for part in parts(*named)]
    again = [row + statement("SAVEPOINT s") for _ in range(400)]
    assert [400] == [part.ref_count for part in parts(*again)]


def test_rows_that_were_taken_back_no_longer_count() -> None:
    """A transaction that tries again and again stays whole: in parts, it could not be taken back any further."""
    tried = [NARROW.insert(*((n,) for n in range(400))) + statement("ROLLBACK TO s") for _ in range(20)]
    rows = NARROW.insert(*((n,) for n in range(500)))
    assert [2] == [part.ref_count for part in parts(rows, statement("SAVEPOINT s"), *tried, NARROW.insert((1,)))]


@pytest.mark.parametrize("damage", ["type", "columns", "length"])
def test_rows_that_cannot_be_told_apart_weigh_their_bytes(damage: str) -> None:
    """Of a table that the link leaves out nothing is read, so no kind of column may stop it there."""
    table, rows = NARROW.map_event(), event(23, struct.pack("<IHHBB", 1, 0, 1, 1, 1) + b"\0\1\0\0\0" * 2000)
    if damage == "type":
        table = table.replace(b"\x01\x03\x00\xff", b"\x01\x0c\x00\xff")
    elif damage == "columns":
        rows = rows.replace(struct.pack("<HBB", 1, 1, 1), struct.pack("<HBB", 1, 0, 1))
    else:
        rows = event(23, struct.pack("<IHHBB", 1, 0, 1, 1, 1) + b"\0\1")
    log = Log()
    log.commit(table, rows)
    decoder = Decoder(Position(), transaction_bytes_max=MAX)
    [whole] = decoder.feed(log.written)
    assert decoder.failure is None
    assert (0, True, 1) == (whole.part, whole.complete, whole.ref_count)


def packed(sequence: int, size: int) -> bytes:
    """Return a transaction of one row that log_bin_compress makes small."""
    plain = bytes(size)
    body = struct.pack("<IHHBB", 1, 0, 1, 1, 1) + b"\x84" + struct.pack(">I", size) + zlib.compress(plain)
    begin = event(162, struct.pack("<QIB6x", sequence, 0, 0))
    return begin + NARROW.map_event() + event(166, body) + event(16, bytes(8))


def pieces(decoder: Decoder, chunk: bytes) -> Iterator[list[Transaction]]:
    """Feed a chunk; yield what comes at once."""
    yield decoder.feed(chunk)
    while decoder.bytes_behind:
        yield decoder.feed(b"")


def test_a_chunk_that_unpacks_to_much_comes_in_pieces() -> None:
    """Compressed, a chunk holds a thousand times its bytes: what is not asked for yet stays as it came."""
    chunk = format_description() + b"".join(packed(n, MIB) for n in range(1, 21))
    decoder, seen = Decoder(Position()), 0
    for piece in pieces(decoder, chunk + packed(21, MIB)[:-9]):
        assert sum(each.size for each in piece) < 6 * MIB
        seen += len(piece)
        assert [Gtid(0, 1, seen)] == [*decoder.position]
    assert 20 == seen
    assert [21] == [each.gtid.sequence for each in decoder.feed(packed(21, MIB)[-9:])]


def test_parts_of_one_chunk_come_in_pieces() -> None:
    """They would pile up as whole transactions would."""
    begin = event(162, struct.pack("<QIB6x", 1, 0, 0))
    rows = packed(1, MIB)[len(begin) : -len(event(16, bytes(8)))]
    decoder = Decoder(Position(), transaction_bytes_max=MIB)
    found = list(pieces(decoder, format_description() + begin + rows * 20 + event(16, bytes(8))))
    assert max(sum(part.size for part in piece) for piece in found) < 6 * MIB
    assert list(range(21)) == [part.part for piece in found for part in piece]


def test_an_ordinary_chunk_comes_at_once() -> None:
    """Nothing is gained by taking apart what is bounded already."""
    log = Log()
    for _ in range(100):
        log.commit(WIDE.insert(*((n, "x" * 190) for n in range(50))))
    decoder = Decoder(Position())
    assert 100 == len(decoder.feed(log.written))
    assert 0 == decoder.bytes_behind
