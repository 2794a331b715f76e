"""Whatever bytes arrive, in whatever pieces: the same transactions, or one of our errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdcd.apply.sql.statement import render
from cdcd.batch.net import Batch
from cdcd.binlog.decoder import Decoder
from cdcd.errors import BinlogError, CdcdError, ServerError, SourceLost
from cdcd.model.change import OPERATIONS
from cdcd.model.position import Position
from cdcd.model.table import Table
from cdcd.mysql.schema import read_tables
from cdcd.mysql.session import Session
from cdcd.route.plan import build
from cdcd.row.plan import Plan, Plans, Route
from cdcd.row.transaction import TableMap, Transaction
from cdcd.source.schema import read_collations
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.recording import found, record
from tests.fixtures.search import examples
from tests.fixtures.servers import ServerFactory
from tests.fixtures.sites import site

WORK = """
CREATE DATABASE cdcd; CREATE DATABASE d; USE d;
CREATE TABLE cdcd.checkpoint (link VARCHAR(64) NOT NULL, slot SMALLINT UNSIGNED NOT NULL, origin VARCHAR(64) NOT NULL,
  position MEDIUMBLOB NOT NULL, PRIMARY KEY (link, slot));
CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(300), u BIGINT UNSIGNED UNIQUE, d DECIMAL(20, 5), f DOUBLE, b BLOB,
  e ENUM('a', 'b'), s SET('x', 'y'), k BIT(9), y YEAR, da DATE, ti TIME(3), dt DATETIME(6), ts TIMESTAMP(1) NULL,
  g POINT, i INET6, c VARCHAR(400) COMPRESSED, bc CHAR(10) CHARACTER SET gbk, x BINARY(5), uu UUID);
CREATE TABLE w (a INT, b TEXT);
INSERT INTO t VALUES (1, 'x', 18446744073709551615, -1.5, 0.1, X'00FF', 'a', 'x,y', 257, 2024, '2024-02-29',
  '-1:02:03.5', '2024-01-01 00:00:00.000001', '2024-01-01', POINT(1, 2), '::1', REPEAT('z', 300), '誠', 'x', UUID());
INSERT INTO t (id, u) VALUES (2, NULL), (3, 3); UPDATE t SET v = REPEAT('y', 290) WHERE id < 3;
BEGIN; DELETE FROM t WHERE id = 2; INSERT INTO w VALUES (1, 'a'), (1, 'a'); UPDATE w SET a = 2 LIMIT 1; COMMIT;
BEGIN; INSERT INTO cdcd.checkpoint VALUES ('reverse', 0, 'north', 'p'); INSERT INTO w VALUES (5, 'from north'); COMMIT;
BEGIN; UPDATE cdcd.checkpoint SET position = 'q'; DELETE FROM w WHERE a = 5; COMMIT;
SET binlog_row_image = MINIMAL; UPDATE t SET f = 2 WHERE id = 1;
CREATE TABLE other (a INT); SAVEPOINT s; DROP TABLE other; INSERT INTO w VALUES (9, NULL)
"""
COMPRESSING = {"log-bin-compress": "ON", "log-bin-compress-min-len": "10"}


@dataclass(frozen=True)
class Recording:
    """A stream, and what is needed to plan the tables in it."""

    stream: bytes
    tables: dict[tuple[str, str], Table]
    collations: dict[int, tuple[str, str]]

    def plan(self, table: TableMap) -> Plan:
        """Plan a table as a link to an equal server would; one that cannot be planned is not carried."""
        name = table.description.name
        with suppress(CdcdError, KeyError):
            live = self.tables[name]
            return build(table.description, live, live, self.collations, operations=OPERATIONS, row_filter=None)
        return Plan(Route(name, None))


async def _record(server: MariaDB) -> Recording:
    start = server.binlog_position()[2]
    server.sql(WORK)
    stream, _ = await record(server, start)
    session = await Session.open(site(server, "east"), SourceLost)
    try:
        tables = await read_tables(session, [("d", "t"), ("d", "w"), ("cdcd", "checkpoint")])
        return Recording(stream, tables, await read_collations(session))
    finally:
        await session.close()


@pytest.fixture(scope="module")
def recordings(module_server_factory: ServerFactory) -> dict[str, Recording]:
    """What servers send without checksums, so that damage reaches the decoder."""
    ways: dict[str, dict[str, str]] = {"plain": {}, "compressed": COMPRESSING}
    without = {"binlog-checksum": "NONE"}
    return {name: asyncio.run(_record(module_server_factory({**without, **way}))) for name, way in ways.items()}


@pytest.fixture(params=["plain", "compressed"])
def recording(request: pytest.FixtureRequest, recordings: dict[str, Recording]) -> Recording:
    """One of them."""
    return recordings[request.param]


@pytest.fixture(scope="module")
def checked(module_server_factory: ServerFactory) -> Recording:
    """What a server sends with checksums."""
    return asyncio.run(_record(module_server_factory({"binlog-checksum": "CRC32"})))


def facts(transactions: list[Transaction]) -> list[object]:
    """Return all that a decoder says of transactions."""
    return [
        (
            each.gtid, each.timestamp, each.origin, each.query, each.part, each.complete,
            [(table.description, kind, body) for table, kind, body in each.events],
        )
        for each in transactions
    ]  # fmt: skip


def decode(pieces: list[bytes], **arguments: Any) -> tuple[list[object], Position, int]:
    """Feed pieces to a new decoder; return the transactions' facts, the position and what was passed over."""
    decoder = Decoder(Position(), **arguments)
    found = [fact for piece in pieces for fact in facts(decoder.feed(piece))]
    assert decoder.failure is None
    return found, decoder.position, decoder.suppressed


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """Cut a stream at places."""
    edges = [0, *sorted(place % len(stream) for place in places), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


def exercise(recording: Recording, stream: bytes, **arguments: Any) -> None:
    """Do everything with a stream that a link does, down to the statements."""
    decoder = Decoder(Position(), **arguments)
    transactions = decoder.feed(stream)
    assert decoder.failure is None or isinstance(decoder.failure, BinlogError | SourceLost | ServerError)
    plans = Plans()
    for transaction in transactions:
        for table in transaction.tables:
            plans.keep(table, recording.plan(table))
        str(transaction.query)
        with suppress(CdcdError):
            for table, kind, body in transaction.events:
                if (plan := found(plans, table)).is_carried:
                    plan.layout.changes(kind, body)
        with suppress(CdcdError):
            batch = Batch(plans)
            batch.add(transaction)
            for partition in batch.partitions(2):
                for step in [*partition.steps, *partition.ordered_steps()]:
                    for statement in render(step):
                        assert statement.sql


DECODERS = st.sampled_from(
    [{}, {"relay_except": {"west"}}, {"relay_except": {"north"}}, {"transaction_bytes_max": 100}]
)
SHARED = settings(max_examples=examples(150, storm=3000), suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("arguments", [{}, {"relay_except": {"west"}}, {"transaction_bytes_max": 100}])
def test_byte_by_byte_is_the_same_as_at_once(recording: Recording, arguments: dict[str, object]) -> None:
    """A decoder gives the same transactions however its bytes arrive."""
    whole = decode([recording.stream], **arguments)
    assert whole == decode([bytes([byte]) for byte in recording.stream], **arguments)
    assert len(whole[0]) > 8


@given(places=st.lists(st.integers(0, 1 << 20), max_size=12), arguments=DECODERS)
@settings(SHARED, max_examples=examples(30, storm=600))
def test_any_pieces_are_the_same_as_at_once(
    checked: Recording, places: list[int], arguments: dict[str, object]
) -> None:
    """Chunk boundaries do not matter."""
    assert decode([checked.stream], **arguments) == decode(cut(checked.stream, places), **arguments)


@given(
    flips=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), min_size=1, max_size=6), arguments=DECODERS
)
@SHARED
def test_damaged_bytes_raise_only_our_errors(
    recording: Recording, flips: list[tuple[int, int]], arguments: dict[str, object]
) -> None:
    """Flipped bits give our errors, or other values, and never a crash."""
    damaged = bytearray(recording.stream)
    for place, bits in flips:
        damaged[place % len(damaged)] ^= bits
    exercise(recording, bytes(damaged), **arguments)


def packets(stream: bytes) -> list[bytes]:
    """Return the events of a stream, without their packets' heads."""
    found, at = [], 0
    while at < len(stream):
        length = int.from_bytes(stream[at : at + 3], "little")
        found.append(stream[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def packet(payload: bytes) -> bytes:
    """Wrap an event whose own length is made right."""
    event = payload[:10] + len(payload[1:]).to_bytes(4, "little") + payload[14:]
    return len(event).to_bytes(3, "little") + b"\0" + event


EDITS: list[Callable[[bytes, int, int], bytes]] = [  # each of a body, a place in it, and a number
    lambda body, at, _: body[:at],
    lambda body, at, by: body[:at] + body[at + by % 9 :],
    lambda body, at, by: body[:at] + body[at : at + by % 9] + body[at:],
    lambda body, at, by: body[:at] + bytes([by]) + body[at + 1 :],
    lambda body, at, by: body[:at] + b"\xff" * (by % 9) + body[at + by % 9 :],
    lambda body, at, by: body[:at] + bytes(by % 9) + body[at + by % 9 :],
]


edits_of_events = st.tuples(
    st.integers(0, 1 << 16), st.sampled_from(EDITS), st.integers(0, 1 << 16), st.integers(0, 255)
)


@given(edits=st.lists(edits_of_events, min_size=1, max_size=4), arguments=DECODERS)
@settings(SHARED, max_examples=examples(300, storm=15_000))
def test_events_whose_insides_lie_raise_only_our_errors(
    recording: Recording,
    edits: list[tuple[int, Callable[[bytes, int, int], bytes], int, int]],
    arguments: dict[str, object],
) -> None:
    """Events cut short, stretched or overwritten, in packets that fit, never make a reader leave its bytes."""
    events = packets(recording.stream)
    for which, edit, at, by in edits:
        event = events[which % len(events)]
        events[which % len(events)] = event[:20] + edit(event[20:], at % max(1, len(event) - 20), by)
    exercise(recording, b"".join(map(packet, events)), **arguments)


@given(garbage=st.binary(max_size=400))
@settings(max_examples=examples(200, storm=5000))
def test_garbage_raises_only_our_errors(garbage: bytes) -> None:
    """Bytes of no meaning are refused or waited on."""
    decoder = Decoder(Position())
    decoder.feed(garbage)
    assert decoder.failure is None or isinstance(decoder.failure, BinlogError | SourceLost | ServerError)


@given(place=st.integers(0, 1 << 20), bit=st.integers(0, 7))
@settings(SHARED, max_examples=examples(100, storm=1000))
def test_a_checksum_lets_no_flipped_bit_through(checked: Recording, place: int, bit: int) -> None:
    """What is handed on before the damage is right, and nothing after it is handed on."""
    damaged = bytearray(checked.stream)
    damaged[place % len(damaged)] ^= 1 << bit
    decoder = Decoder(Position())
    found = facts(decoder.feed(bytes(damaged)))
    whole = decode([checked.stream])[0]
    assert whole[: len(found)] == found
