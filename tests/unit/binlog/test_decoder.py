"""Packets and events become transactions, in order, or one error that says why not."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest

from cdcd.binlog.decoder import Decoder
from cdcd.errors import BinlogError, BinlogPurged, MalformedEvent, ServerError, SourceLost, UnsupportedEvent
from cdcd.model.position import Gtid, Position
from cdcd.model.table import Key
from tests.fixtures.binlog_bytes import Log, LoggedTable, event, format_description

TABLE = LoggedTable({"id": "int", "v": "varchar"})
MARKER = LoggedTable(
    {"link": "varchar", "slot": "int", "origin": "varchar", "position": "varchar"},
    keys=(Key("PRIMARY", ("link", "slot"), (0, 0)),),
    name=("cdcd", "checkpoint"),
    table_id=2,
)
GTID, XID, QUERY = 162, 16, 2


def begin(sequence: int = 1, flags: int = 0) -> bytes:
    """Return the event that begins a transaction."""
    return event(GTID, struct.pack("<QIB6x", sequence, 0, flags))


def commit() -> bytes:
    """Return the event that ends a transaction of rows."""
    return event(XID, bytes(8))


def statement(text: str, database: str = "shop") -> bytes:
    """Return a QUERY event."""
    head = struct.pack("<IIBHH", 7, 0, len(database), 0, 0)
    return event(QUERY, head + database.encode() + b"\0" + text.encode())


def packets(payload: bytes) -> bytes:
    """Split a payload into packets as servers do: a full one is followed by another, if only an empty one."""
    parts = [payload[at : at + 0xFFFFFF] for at in range(0, len(payload), 0xFFFFFF)]
    if len(parts[-1]) == 0xFFFFFF:
        parts.append(b"")
    return b"".join(len(part).to_bytes(3, "little") + b"\0" + part for part in parts)


def decoded(*events: bytes, **arguments: object) -> Decoder:
    """Feed a log to a new decoder that may fail."""
    decoder = Decoder(Position(), **arguments)
    decoder.feed(format_description() + b"".join(events))
    return decoder


def failure_of(*events: bytes, **arguments: object) -> object:
    """Return the error that a log ends in."""
    return decoded(*events, **arguments).failure


def test_transactions_come_in_order_with_their_rows() -> None:
    """Each commit gives one transaction, which knows its id, its tables and its events."""
    log = Log()
    log.commit(TABLE.insert((1, "a"), (2, "b")))
    log.commit(TABLE.update(((1, "a"), (1, "c"))), TABLE.delete((2, "b")))
    first, second = log.read(TABLE)
    assert [Gtid(0, 1, 1), Gtid(0, 1, 2)] == [first.gtid, second.gtid]
    assert [0] == [kind for _, kind, _ in first.events]
    assert [1, 2] == [kind for _, kind, _ in second.events]
    assert first.complete
    [(table, kind, body)] = first.events
    assert [(None, (1, "a")), (None, (2, "b"))] == table.plan.changes(kind, body)
    [(table, *update), (_, *delete)] = second.events
    assert [((1, "a"), (1, "c"))] == table.plan.changes(*update)
    assert [((2, "b"), None)] == table.plan.changes(*delete)


def test_the_position_is_after_the_last_whole_transaction() -> None:
    """What has only begun does not count."""
    log = Log()
    gtid = log.commit(TABLE.insert((1, "a")))
    decoder = Decoder(Position())
    decoder.feed(log.written + begin(2) + TABLE.insert((2, "b")))
    assert Position([gtid]) == decoder.position


@pytest.mark.parametrize("more", [-1, 0, 1, 0xFFFFFF - 1, 0xFFFFFF, 0xFFFFFF + 1])
def test_an_event_over_several_packets_is_closed_up(more: int) -> None:
    """A payload around one and two full packets, in pieces that end anywhere, is the event it was."""
    size = 0xFFFFFF + more
    head = struct.pack("<IIBHH", 7, 0, 0, 0, 0) + b"\0"
    text = b"x" * (size - 1 - 19 - len(head))
    whole = event(QUERY, b"")[4:14] + (size - 1).to_bytes(4, "little") + bytes(6) + head + text
    stream = format_description() + begin(flags=1) + packets(whole) + begin(2) + commit()
    decoder = Decoder(Position())
    cuts = [0, 7, len(stream) // 2, len(stream) - 90, len(stream) - 81, len(stream)]
    found = [each for a, b in pairwise(cuts) for each in decoder.feed(stream[a:b])]
    assert decoder.failure is None
    assert [len(text), None] == [each.query and len(each.query.statement) for each in found]


@pytest.mark.parametrize(
    ("payload", "error", "text"),
    [
        (b"\xff\xd4\x04#HY000Could not find first log file name", BinlogPurged, "first log file"),
        (b"\xff\xd4\x04#HY000bogus data in log event", BinlogError, "bogus data"),
        (b"\xff\x1d\x04#08S01Server shutdown in progress", SourceLost, "shutdown"),
        (b"\xff\x15\x04#28000Access denied", ServerError, "1045"),
        (b"\xfe\0\0\x02\0", SourceLost, "ended the stream"),
        (b"\x01", MalformedEvent, "0x1"),
        (b"", MalformedEvent, "empty packet"),
        (b"\0" + bytes(18), MalformedEvent, "shorter than its header"),
        (b"\0" + bytes(30), MalformedEvent, "says that it has"),
    ],
)
def test_what_is_no_event_is_an_error_that_says_so(payload: bytes, error: type[Exception], text: str) -> None:
    """A server's refusal, its end, and bytes of no meaning are told apart."""
    failure = failure_of(len(payload).to_bytes(3, "little") + b"\0" + payload)
    assert error is type(failure)
    assert text in str(failure)


def test_what_came_before_an_error_is_handed_on_and_nothing_after() -> None:
    """The error is raised by the next feed."""
    log = Log()
    gtid = log.commit(TABLE.insert((1, "a")))
    decoder = Decoder(Position())
    [transaction] = decoder.feed(log.written + event(99, b"") + log.written)
    assert gtid == transaction.gtid
    with pytest.raises(UnsupportedEvent, match="99"):
        decoder.feed(b"")


@pytest.mark.parametrize("kind", [5, 13, 14, 17, 18, 26, 30, 31, 32, 33, 38, 39, 40, 42, 99, 255])
def test_an_event_that_is_not_known_stops(kind: int) -> None:
    """Nothing is skipped because it is not understood."""
    failure = failure_of(begin(), event(kind, bytes(30)))
    assert isinstance(failure, UnsupportedEvent)
    assert str(kind) in str(failure)


@pytest.mark.parametrize("kind", [160, 161, 163, 27, 3])
def test_events_about_the_log_itself_change_nothing(kind: int) -> None:
    """Annotations, checkpoints, lists of GTIDs, heartbeats and a stop may come at any time."""
    log = Log()
    log.commit(event(kind, b"INSERT ..."), TABLE.insert((1, "a")), event(kind, b""))
    assert 1 == len(log.read(TABLE))


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([begin(), begin(2)], "begins inside"),
        ([commit()], "commit outside"),
        ([TABLE.map_event()], "outside a transaction"),
        ([begin(), TABLE.insert((1, "a"))[len(TABLE.map_event()) :]], "no TABLE_MAP announced"),
        ([begin(flags=64)], "XA"),
        ([begin(flags=128)], "XA"),
        ([statement("CREATE TABLE t (a INT)")], "outside a transaction"),
        ([begin(), TABLE.insert((1, "a")), statement("INSERT INTO t VALUES (1)")], "inside a transaction of rows"),
        ([begin(), statement("ROLLBACK TO a")], "inside a transaction of rows"),
        ([event(GTID, b"short")], "too short"),
        ([event(15, struct.pack("<H", 3) + bytes(100))], "version 3"),
        ([event(15, struct.pack("<H", 4) + bytes(100) + b"\x02" + bytes(4))], "checksum algorithm 2"),
        ([event(4, b"short")], "ROTATE"),
    ],
)
def test_events_out_of_place_stop(events: list[bytes], text: str) -> None:
    """A log that contradicts itself, or cannot be carried exactly, is not guessed at."""
    failure = failure_of(*events)
    assert isinstance(failure, BinlogError)
    assert text in str(failure)


def test_statements_that_stand_alone_are_transactions() -> None:
    """A schema change is its own transaction; control statements are none."""
    decoder = Decoder(Position())
    found = decoder.feed(
        format_description() + begin(1, flags=1) + statement("DROP TABLE t")
        + begin(2) + statement("BEGIN") + statement("SAVEPOINT a") + TABLE.insert((1, "a")) + statement("COMMIT")
    )  # fmt: skip
    assert decoder.failure is None
    assert ["DROP TABLE t", None] == [each.query and each.query.statement for each in found]
    assert [0, 1] == [len(each.events) for each in found]


def test_what_a_link_wrote_is_passed_over() -> None:
    """A transaction that begins with the marker is not handed on, but the position moves past it."""
    log = Log()
    log.commit(MARKER.insert(("forward", 0, "west", "p")), TABLE.insert((1, "a")))
    last = log.commit(TABLE.insert((2, "b")))
    decoder = Decoder(Position())
    assert [last] == [each.gtid for each in decoder.feed(log.written)]
    assert (1, Position([last])) == (decoder.suppressed, decoder.position)


def test_what_a_link_wrote_outside_its_own_tables_is_told_apart() -> None:
    """Links that write only their positions must not answer each other, so those do not count."""
    log = Log()
    log.commit(MARKER.insert(("forward", 0, "west", "p")))
    log.commit(MARKER.insert(("forward", 0, "west", "p")), TABLE.insert((1, "a")))
    log.commit(MARKER.insert(("forward", 0, "west", "p")))
    decoder = Decoder(Position())
    assert [] == decoder.feed(log.written)
    assert (3, 1) == (decoder.suppressed, decoder.suppressed_outside)


def test_a_marker_in_the_middle_is_a_row_like_others() -> None:
    """Only the first table of a transaction says where it was born."""
    log = Log()
    log.commit(TABLE.insert((1, "a")), MARKER.insert(("forward", 0, "west", "p")))
    assert [2] == [len(each.events) for each in Decoder(Position()).feed(log.written)]


def test_a_relaying_link_carries_other_origins_but_not_its_targets() -> None:
    """The marker's row names the origin; its own rows are not handed on."""
    log = Log()
    log.commit(MARKER.insert(("a", 0, "north", "p")), TABLE.insert((1, "a")))
    log.commit(MARKER.update((("b", 0, "west", "p"), ("b", 0, "west", "q"))), TABLE.insert((2, "b")))
    log.commit(TABLE.insert((3, "c")))
    decoder = Decoder(Position(), relay_except=frozenset({"west"}))
    found = decoder.feed(log.written)
    assert [("north", 1), (None, 1)] == [(each.origin, len(each.events)) for each in found]
    assert 1 == decoder.suppressed


def test_a_relaying_link_passes_over_what_began_at_either_end_of_it() -> None:
    """What was born at the source and comes back to it has been carried once already: a ring that other files close."""
    log = Log()
    log.commit(MARKER.insert(("a", 0, "east", "p")), TABLE.insert((1, "a")))
    log.commit(MARKER.insert(("b", 0, "north", "p")), TABLE.insert((2, "b")))
    decoder = Decoder(Position(), relay_except=frozenset({"east", "west"}))
    assert ["north"] == [each.origin for each in decoder.feed(log.written)]
    assert 1 == decoder.suppressed


def test_a_marker_that_names_no_origin_stops_a_relaying_link() -> None:
    """Bytes that are no name are not taken for some other site."""
    broken = MARKER.insert(("a", 0, "north", "p")).replace(b"north", b"nor\xffh")
    assert isinstance(failure_of(begin(), broken, relay_except=frozenset({"west"})), MalformedEvent)


def test_a_large_transaction_comes_in_parts() -> None:
    """Parts count from 0, share one id, hold every row once, and only the last is complete."""
    log = Log()
    rows = [(n, "x" * 40) for n in range(10_000)]
    gtid = log.commit(*(TABLE.insert(*rows[at : at + 100]) for at in range(0, len(rows), 100)))
    decoder = Decoder(Position(), transaction_bytes_max=100_000)
    parts = decoder.feed(log.written)
    assert len(parts) > 3
    assert list(range(len(parts))) == [part.part for part in parts]
    assert {gtid} == {part.gtid for part in parts}
    assert [False] * (len(parts) - 1) + [True] == [part.complete for part in parts]
    assert 100 == sum(len(part.events) for part in parts)
    assert not decoder.open_parts


def test_a_restart_of_the_server_forgets_what_never_committed() -> None:
    """A crash leaves the beginning of a transaction in the log, which a new run's first event ends."""
    decoder = Decoder(Position())
    found = decoder.feed(
        format_description() + begin(1) + TABLE.insert((1, "a"))
        + format_description() + begin(1) + TABLE.insert((2, "b")) + commit()
    )  # fmt: skip
    assert decoder.failure is None
    [(_table, _kind, body)] = found[0].events
    assert b"\x02\0\0\0" in body
    assert b"\x01\0\0\0" not in body
