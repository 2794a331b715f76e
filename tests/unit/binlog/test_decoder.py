"""Packets and events become transactions, in order, or one error that says why not."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import pytest

from cdcd.binlog.decoder import Decoder
from cdcd.errors import (
    BinlogError,
    BinlogPurged,
    MalformedEvent,
    ServerError,
    SourceLost,
    SourceRewound,
    UnsupportedEvent,
)
from cdcd.model.position import Coordinates, Gtid, Position
from cdcd.model.table import Key
from tests.fixtures.binlog_bytes import Log, LoggedTable, event, format_description, with_checksums
from tests.fixtures.recording import changes

TABLE = LoggedTable({"id": "int", "v": "varchar"})
MARKER = LoggedTable(
    {"link": "varchar", "slot": "int", "origin": "varchar", "position": "varchar"},
    keys=(Key("PRIMARY", ("link", "slot"), (0, 0)),),
    name=("cdcd", "checkpoint"),
    table_id=2,
)
GTID, XID, QUERY, ROTATE = 162, 16, 2, 4


def begin(sequence: int = 1, flags: int = 0) -> bytes:
    """Return the event that begins a transaction."""
    return event(GTID, struct.pack("<QIB6x", sequence, 0, flags))


def commit(end: int = 0) -> bytes:
    """Return the event that ends a transaction of rows, and ``end``s in its file."""
    return event(XID, bytes(8), end=end)


def rotate(file: str) -> bytes:
    """Return the event that names the file that follows."""
    return event(ROTATE, struct.pack("<Q", 4) + file.encode())


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


def decoded(*events: bytes, **arguments: Any) -> Decoder:
    """Feed a log to a new decoder that may fail."""
    decoder = Decoder(Position(), **arguments)
    decoder.feed(format_description() + b"".join(events))
    return decoder


def failure_of_bytes(stream: bytes) -> Any:
    """Return the error that a stream ends in."""
    decoder = Decoder(Position())
    decoder.feed(stream)
    return decoder.failure


def failure_of(*events: bytes, **arguments: Any) -> Any:
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
    assert [("t", 0, None, (1, "a")), ("t", 0, None, (2, "b"))] == changes([first], log.plans)
    assert [("t", 1, (1, "a"), (1, "c")), ("t", 2, (2, "b"), None)] == changes([second], log.plans)


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


@pytest.mark.parametrize("kind", [26, 30, 31, 32, 33, 38, 39, 40, 42, 99, 255])
def test_an_event_that_is_not_known_stops(kind: int) -> None:
    """Nothing is skipped because it is not understood."""
    failure = failure_of(begin(), event(kind, bytes(30)))
    assert isinstance(failure, UnsupportedEvent)
    assert str(kind) in str(failure)


@pytest.mark.parametrize("kind", [5, 9, 11, 13, 14, 17])
def test_what_goes_with_a_statement_is_left_to_it(kind: int) -> None:
    """Values for a statement change nothing by themselves; outside of a transaction nothing explains them."""
    log = Log()
    log.commit(event(kind, bytes(30)), TABLE.insert((1, "a")))
    assert () == log.read(TABLE)[0].noted
    assert isinstance(failure_of(event(kind, bytes(30))), UnsupportedEvent)


def taken(*events: bytes) -> list[tuple[int, list[str], list[str], bool]]:
    """Return of each transaction its rows events, the statements noted, the tables undone, and whether all is."""
    log = format_description() + begin() + b"".join(events)
    return [
        (t.ref_count, [q.statement for q in t.noted], [u.description.name[1] for u in t.undone], t.rolled_back)
        for t in Decoder(Position()).feed(log)
    ]


def test_statements_beside_rows_are_handed_on() -> None:
    """What may stand in a transaction only the rules of a link can tell."""
    row, text = TABLE.insert((1, "a")), "INSERT INTO t VALUES (1)"
    assert [(1, [text], [], False)] == taken(row, statement(text), commit())
    assert [(0, ["B"], [], False)] == taken(statement("A"), statement("B"), commit())
    assert [(0, ["ROLLBACK TO a"], [], False)] == taken(statement("ROLLBACK TO a"), commit())
    load = struct.pack("<IIBHH", 7, 0, 4, 0, 0) + bytes(13) + b"shop\0LOAD DATA"
    assert [(1, ["LOAD DATA"], [], False)] == taken(row, event(18, load), commit())


def test_rows_that_are_taken_back_are_gone() -> None:
    """A savepoint's name is compared as servers do, may be set again, and takes those after it along."""
    row = TABLE.insert((1, "a"))
    back = statement("ROLLBACK TO `A``b`")
    assert [(0, [], ["t"], True)] == taken(row, row, statement("ROLLBACK"))
    assert [(2, [], ["t"], False)] == taken(row, statement("SAVEPOINT `a``B`"), row, row, back, row, commit())
    again = [
        statement("SAVEPOINT `a``b`"),
        row,
        statement("SAVEPOINT c"),
        row,
        statement("SAVEPOINT `a``b`"),
        row,
        back,
    ]
    assert [(2, [], ["t"], False)] == taken(*again, commit())
    gone = [*again[:4], back, statement("ROLLBACK TO SAVEPOINT c")]
    assert [(0, ["ROLLBACK TO SAVEPOINT c"], ["t"], False)] == taken(*gone, commit())
    released = [*again[:4], statement("RELEASE SAVEPOINT c"), back]
    assert [(0, [], ["t"], False)] == taken(*released, commit())


@pytest.mark.parametrize(("earlier", "later", "back"), [("e", "é", "e"), ("é", "e", "é"), ("a", "`ß`", "ß")])
def test_a_savepoint_beyond_ascii_may_be_any(earlier: str, later: str, back: str) -> None:
    """Servers take é for e: which rows a rollback takes back is then not certain, and the rules refuse it."""
    row, text = TABLE.insert((1, "a")), f"ROLLBACK TO {back}"
    script = [row, statement(f"SAVEPOINT {earlier}"), row, statement(f"SAVEPOINT {later}"), row, statement(text)]
    assert [(3, [text], [], False)] == taken(*script, commit())


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


def test_a_restart_of_the_server_takes_back_the_parts_of_what_never_committed() -> None:
    """They are applied by then and hold locks, and what follows them may not come for long."""
    parts = begin(1) + TABLE.insert((1, "a")) + TABLE.insert((2, "b"))
    decoder = Decoder(Position(), transaction_bytes_max=1)
    *handed_on, rest = decoder.feed(format_description() + parts + format_description())
    assert [0, 1] == [part.part for part in handed_on]
    assert (rest.gtid, rest.rolled_back, rest.complete) == (Gtid(0, 1, 1), True, False)
    assert not decoder.open_parts
    assert str(decoder.position) == ""
    [again, last] = decoder.feed(begin(1) + TABLE.insert((3, "c")) + commit())
    assert (0, False) == (again.part, again.complete)
    assert (1, True) == (last.part, last.complete)


@pytest.mark.parametrize("count", [2, 3, 40])
def test_a_table_is_listed_once_whose_rows_take_turns_with_those_of_others(count: int) -> None:
    """A procedure may write to two tables in turn a million times."""
    tables = [LoggedTable({"id": "int"}, name=("shop", str(n)), table_id=n + 1) for n in range(count)]
    log = Log()
    log.commit(*(table.insert((n,)) for n in range(5) for table in tables))
    [transaction] = log.unplanned()
    assert [("shop", str(n)) for n in range(count)] == [table.description.name for table in transaction.tables]
    assert [("shop", str(n)) for n in range(count)] * 5 == [event[0].description.name for event in transaction.events]


@pytest.mark.parametrize("count", [2, 40])
def test_tables_of_rows_that_are_taken_back_are_not_those_of_rows_that_stay(count: int) -> None:
    """The first table's rows stay, those of the others are undone, and one is written to again."""
    first, *others = (LoggedTable({"id": "int"}, name=("shop", str(n)), table_id=n + 1) for n in range(count))
    log = Log()
    log.commit(
        first.insert((1,)), statement("SAVEPOINT `a`"), *(table.insert((2,)) for table in (*others, first)),
        statement("ROLLBACK TO `a`"), others[-1].insert((3,)),
    )  # fmt: skip
    [transaction] = log.unplanned()
    assert [first.name, others[-1].name] == [table.description.name for table in transaction.tables]
    assert [first.name, others[-1].name] == [event[0].description.name for event in transaction.events]
    assert {*(table.name for table in others), first.name} == {table.description.name for table in transaction.undone}


GONE = Gtid(0, 1, 1)
POISON = {
    "xa": begin(flags=64) + TABLE.insert((1, "a")) + statement("XA END 'x'") + event(38, bytes(14)),
    "xa_decided": begin(flags=128 | 1) + statement("XA COMMIT 'x'"),
    "alter_in_two_phases": event(GTID, struct.pack("<QIBB5x", 1, 0, 1, 2)) + statement("ALTER TABLE t ADD w INT"),
    "statement": begin() + event(5, bytes(9)) + statement("INSERT INTO t VALUES (1)") + commit(),
    "statement_without_transactions": begin() + statement("DELETE FROM t") + statement("COMMIT"),
    "rolled_back": begin() + TABLE.insert((1, "a")) + statement("ROLLBACK"),
    "savepoints": begin() + statement("ROLLBACK TO `a`") + TABLE.insert((1, "a")) + commit(),
    "unknown_event": begin() + event(99, bytes(30)) + TABLE.insert((1, "a")) + commit(),
    "rows_of_no_table": begin() + event(24, bytes(30)) + event(23, b"") + commit(),
    "map_that_lies": begin() + event(19, b"\xff" * 30) + commit(),
    "statement_that_lies": begin(flags=1) + event(QUERY, b"\xff" * 20),
    "statement_that_lies_before_rows": begin() + event(QUERY, b"\xff" * 20) + TABLE.insert((1, "a")) + commit(),
    "marker": begin() + MARKER.insert(("f", 0, "west", "p")) + commit(),
    "no_end": begin() + TABLE.insert((1, "a")),
    "large": begin() + TABLE.insert(*((n, "x" * 40) for n in range(100))) + commit(),
}


@pytest.mark.parametrize("case", POISON)
@pytest.mark.parametrize("pieces", [1, 7])
def test_a_transaction_that_counts_as_applied_is_passed_over_whatever_is_in_it(case: str, pieces: int) -> None:
    """It is handed on empty, so that it is counted; what follows it is as if it had held nothing."""
    follows = begin(2) + TABLE.insert((7, "b")) + commit()
    stream = format_description() + POISON[case] + follows
    decoder = Decoder(Position(), applied=frozenset({GONE}), transaction_bytes_max=1000)
    size = -(-len(stream) // pieces)
    found = [each for at in range(0, len(stream), size) for each in decoder.feed(stream[at : at + size])]
    assert decoder.failure is None
    assert [(GONE, 0, 0, True), (Gtid(0, 1, 2), 0, 1, True)] == [
        (each.gtid, each.part, each.ref_count, each.complete) for each in found
    ]
    assert Position([Gtid(0, 1, 2)]) == decoder.position
    assert 0 == decoder.suppressed


def test_rows_that_fail_their_checksum_are_passed_over_too() -> None:
    """Damage on the source's disk is one of the reasons for which a transaction is skipped."""
    whole = with_checksums(begin() + TABLE.insert((1, "a")) + commit() + begin(2) + TABLE.insert((2, "b")) + commit())
    at = whole.index(b"\x01a")
    stream = format_description(checksums=True) + whole[:at] + b"\x02" + whole[at + 1 :]
    assert isinstance(failure_of_bytes(stream), MalformedEvent)
    decoder = Decoder(Position(), applied=frozenset({GONE}))
    assert [0, 1] == [each.ref_count for each in decoder.feed(stream)]
    assert decoder.failure is None


def test_a_statement_that_is_passed_over_is_still_known_and_its_table_looked_at_anew() -> None:
    """The operator has run it on the target by hand, or not: what was known of the table may be wrong."""
    before, after = TABLE.insert((1, "a")), TABLE.insert((2, "b"))
    skipped = begin(2, flags=1) + statement("ALTER TABLE t ADD w INT")
    stream = begin(1) + before + commit() + skipped + begin(3) + after + commit()
    decoder = Decoder(Position(), applied=frozenset({Gtid(0, 1, 2)}))
    first, second, third = decoder.feed(format_description() + stream)
    assert "ALTER TABLE t ADD w INT" == str(second.query and second.query.statement)
    assert first.tables[0] is not third.tables[0]


def test_a_lost_part_of_the_log_is_never_passed_over() -> None:
    """It is not a part of any transaction, though it may stand inside one."""
    stream = format_description() + begin() + event(26, b"\1\0\4lost") + commit()
    decoder = Decoder(Position(), applied=frozenset({GONE}))
    decoder.feed(stream)
    assert isinstance(decoder.failure, UnsupportedEvent)


def test_what_cannot_be_read_in_a_transaction_names_it() -> None:
    """The name is what an operator needs to have it shown, and skipped."""
    for events in (event(99, bytes(30)), event(19, b"\xff" * 30), event(24, bytes(30))):
        assert str(GONE) == failure_of(begin() + events).where["transaction"]
    assert "transaction" not in failure_of(begin() + commit() + event(99, bytes(30))).where


def test_a_transaction_knows_where_in_the_log_it_ends() -> None:
    """What a position is checked by: the server, the file, the offset and the time of its last transaction."""
    decoder = Decoder(Position(), server="e:1")
    log = [rotate("binlog.000007"), format_description(), begin(1), TABLE.insert((1, "a")), commit(900)]
    [first] = decoder.feed(b"".join(log))
    assert Coordinates("e:1", "binlog.000007", 900, 1_700_000_000, 1_700_000_000) == first.coordinates == decoder.at
    # A new file alone moves nothing: the place is where the last transaction ended.
    assert [] == decoder.feed(rotate("binlog.000008"))
    assert first.coordinates == decoder.at
    [second] = decoder.feed(begin(2) + TABLE.insert((2, "b")) + commit(600))
    assert ("binlog.000008", 600) == second.coordinates[1:3]


def test_a_transaction_that_is_passed_over_moves_the_place_too() -> None:
    """An idle pair reads nothing but what the other link wrote, and must not fall behind."""
    decoder = Decoder(Position(), server="e:1")
    decoder.feed(format_description() + rotate("binlog.000001"))
    assert [] == decoder.feed(begin(1) + MARKER.insert(("reverse", 0, "west", "")) + commit(500))
    assert (Position.parse("0-1-1"), 500) == (decoder.position, decoder.at.offset)


def test_an_offset_past_4_gib_is_unknown_until_the_next_file() -> None:
    """Headers have 32 bits for it: a wrong offset would make a good position look like another log's."""
    decoder = Decoder(Position(), server="e:1")
    ends = [0xFFFFFF00, 0x100000200, 0x1FFFFFFF0]
    log = [format_description(), rotate("binlog.000001")]
    for sequence, end in enumerate(ends, 1):
        log += [begin(sequence), TABLE.insert((sequence, "a")), commit(end)]
    log += [rotate("binlog.000002"), begin(9), TABLE.insert((9, "a")), commit(400)]
    assert [0xFFFFFF00, 0, 0, 400] == [each.coordinates.offset for each in decoder.feed(b"".join(log))]


def test_numbers_that_go_back_in_a_domain_stop_the_decoder() -> None:
    """A position says of a domain only the last: after a restart, those between would come again, or never."""
    for first, second in ((5, 5), (5, 4)):
        decoder = Decoder(Position())
        rows = TABLE.insert((1, "a")) + commit()
        [whole] = decoder.feed(format_description() + begin(first) + rows + begin(second) + rows)
        assert first == whole.gtid.sequence
        assert isinstance(decoder.failure, UnsupportedEvent)
        assert f"0-1-{second} comes after 0-1-{first}" in str(decoder.failure)
        assert Position.parse(f"0-1-{first}") == decoder.position
    decoder = Decoder(Position.parse("0-1-5"))
    decoder.feed(format_description() + begin(5))
    assert isinstance(decoder.failure, UnsupportedEvent)


def test_a_number_comes_again_after_a_crash_that_cut_its_transaction_off() -> None:
    """What never committed has used up no number."""
    decoder = Decoder(Position())
    cut_off = format_description() + begin(1) + TABLE.insert((1, "a"))
    [whole] = decoder.feed(cut_off + format_description() + begin(1) + TABLE.insert((2, "b")) + commit())
    assert decoder.failure is None
    assert 1 == whole.gtid.sequence


@pytest.mark.parametrize(
    ("server", "file", "offset", "failure"),
    [
        ("e:1", "binlog.000001", 400, SourceRewound),
        ("e:1", "binlog.000001", 600, type(None)),
        ("e:1", "binlog.000002", 400, type(None)),
        ("e:1", "binlog.000000", 600, SourceRewound),
        ("e:2", "binlog.000001", 400, type(None)),
    ],
)
def test_a_log_that_goes_on_before_the_position_stops_the_decoder(server, file, offset, failure) -> None:
    """A server asked for what follows a GTID that is in its log twice begins after the first of them."""
    at = Coordinates(server, "binlog.000001", 500, 1, 0)
    decoder = Decoder(Position.parse("0-1-1"), server="e:1", at=at)
    start = event(GTID, struct.pack("<QIB6x", 2, 0, 0), end=offset)
    decoder.feed(rotate(file) + format_description() + start + TABLE.insert((1, "a")) + commit(offset + 100))
    assert failure is type(decoder.failure)


@pytest.mark.parametrize(
    ("server", "file", "began", "failure"),
    [
        ("e:1", "binlog.000001", 1_600_000_000, SourceRewound),
        ("e:1", "binlog.000001", 1_700_000_000, type(None)),
        ("e:1", "binlog.000001", 0, type(None)),  # not known
        ("e:1", "binlog.000002", 1_600_000_000, type(None)),
        ("e:2", "binlog.000001", 1_600_000_000, type(None)),
    ],
)
def test_a_file_of_the_same_name_that_was_begun_at_another_time_is_another(server, file, began, failure) -> None:
    """After a reset or a restore, the same numbers may well end at the same offsets."""
    decoder = Decoder(Position.parse("0-1-1"), server="e:1", at=Coordinates(server, file, 500, 1, began))
    decoder.feed(rotate("binlog.000001") + format_description())
    assert failure is type(decoder.failure)
