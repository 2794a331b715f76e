"""Bytes that are damaged, and events of kinds that cdcd does not know, stop the decoder."""

from __future__ import annotations

import struct
import zlib
from contextlib import contextmanager

import pytest

from cdcd.binlog.decoder import Decoder
from cdcd.errors import MalformedEvent, UnsupportedEvent
from cdcd.model.position import Position

HEADER_BYTES = 19
ROWS = 23


def packet(event):
    """Frame an event as the server sends it."""
    payload = b"\0" + event
    return struct.pack("<I", len(payload))[:3] + b"\0" + payload


def event_of(kind, body, timestamp=1, server=1):
    """Make an event with a CRC32."""
    length = HEADER_BYTES + len(body) + 4
    whole = struct.pack("<IBIIIH", timestamp, kind, server, length, 0, 0) + body
    return whole + struct.pack("<I", zlib.crc32(whole))


@pytest.fixture(scope="module")
def recorded(east):
    """The events of a log with one transaction, as the source would send them."""
    name = "recorded_events"
    east.sql(f"CREATE DATABASE {name}; CREATE TABLE {name}.t (id INT PRIMARY KEY, v INT); FLUSH BINARY LOGS")
    file, *_ = east.binlog_position()
    east.sql(f"INSERT INTO {name}.t VALUES (1, 2); FLUSH BINARY LOGS; DROP DATABASE {name}")
    log, events, at = (east.data / file).read_bytes(), [], 4
    while at < len(log):
        [length] = struct.unpack_from("<I", log, at + 9)
        events.append(log[at : at + length])
        at += length
    return events


def decode(events):
    """Feed events; return the transactions, and what stopped the decoder."""
    decoder = Decoder(Position())
    transactions = decoder.feed(b"".join(map(packet, events)))
    return transactions, decoder.failure


@contextmanager
def changed(events, kind):
    """Give the index of the one event of a kind, in a list that may be changed."""
    events = list(events)
    yield events, next(i for i, event in enumerate(events) if event[4] == kind)


def test_recorded_events_decode(recorded):
    """The bytes that the next tests damage are whole."""
    [transaction], failure = decode(recorded)
    assert failure is None
    assert 1 == transaction.ref_count


@pytest.mark.parametrize("at", [HEADER_BYTES + 9, -5, -1])
def test_a_flipped_bit_fails_the_checksum(recorded, at):
    """Damage on the wire or on the disk stops the link before anything is made of it."""
    with changed(recorded, ROWS) as (events, index):
        damaged = bytearray(events[index])
        damaged[at] ^= 0x10
        events[index] = bytes(damaged)
    transactions, failure = decode(events)
    assert [] == transactions
    assert isinstance(failure, MalformedEvent)
    assert "CRC32" in str(failure)


def test_an_event_cut_short_is_malformed(recorded):
    """A length that lies is found, whatever the checksum says."""
    with changed(recorded, ROWS) as (events, index):
        events[index] = events[index][:-9]
    assert isinstance(decode(events)[1], MalformedEvent)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(26, "INCIDENT"), (33, "GTID (MySQL)"), (38, "XA_PREPARE"), (39, "PARTIAL_UPDATE_ROWS"),
     (40, "TRANSACTION_PAYLOAD"), (31, "UPDATE_ROWS v2"), (99, "unknown"), (170, "unknown")],
)  # fmt: skip
def test_an_event_of_an_unknown_kind_stops_the_decoder(recorded, kind, name):
    """Inside a transaction or between two, it is never passed over; what was whole before it is handed on."""
    strange = event_of(kind, bytes(range(30)))
    transactions, failure = decode([*recorded[:-1], strange])
    assert 1 == len(transactions)
    assert isinstance(failure, UnsupportedEvent)
    assert f"event type {kind} ({name})" in str(failure)

    with changed(recorded, ROWS) as (events, index):
        events.insert(index, strange)
    transactions, failure = decode(events)
    assert [] == transactions
    assert isinstance(failure, UnsupportedEvent)


def test_an_incident_says_that_the_log_lost_changes(recorded):
    """The source itself reports a gap: only a new copy closes it."""
    _, failure = decode([recorded[0], event_of(26, struct.pack("<H", 1) + b"\4lost")])
    assert "its log lost changes: take a new copy" in str(failure)
