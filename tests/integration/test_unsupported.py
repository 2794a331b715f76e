"""What cannot be carried exactly stops the link: all before it is applied, nothing after it is."""

from __future__ import annotations

import struct
import zlib
from contextlib import contextmanager

import pytest

from cdcd.binlog.decoder import Decoder
from cdcd.config.schema import Link
from cdcd.errors import MalformedEvent, UnsupportedEvent
from cdcd.model.position import Position
from tests.fixtures.links import running

HEADER_BYTES = 19
GTID, ROWS = 162, 23


def link(database, **keys):
    """Describe a link over the database."""
    facts = {"name": database, "source": "east", "target": "west", "tables": (f"{database}.*",)}
    return Link(**{**facts, "heartbeat_seconds": 1, **keys})


@pytest.fixture
def table(east, west, database):
    """Give both sides the same tables, one of them on the source of an engine without transactions."""
    for server in (east, west):
        server.sql("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(40))", database=database)
        engine = "MyISAM" if server is east else "InnoDB"
        server.sql(f"CREATE TABLE m (id INT PRIMARY KEY) ENGINE={engine}", database=database)
    return database


def run_all(server, database, statements):
    """Run statements one by one on one connection."""
    with server.connect(database=database) as session, session.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def carried(server, database):
    """Return the values that the target has."""
    return [value for (value,) in server.sql("SELECT v FROM t ORDER BY id", database=database)]


STOPPING = {
    "statement_format": (
        ["SET SESSION binlog_format = STATEMENT", "INSERT INTO t (v) VALUES ('text')"],
        "set binlog_format=ROW",
    ),
    "statement_format_with_values": (
        ["SET SESSION binlog_format = STATEMENT", "SET @a = 5", "SELECT 1", "INSERT INTO t (v) VALUES (@a)"],
        "set binlog_format=ROW",
    ),
    "statement_format_random": (
        ["SET SESSION binlog_format = STATEMENT", "UPDATE t SET v = RAND()"],
        "set binlog_format=ROW",
    ),
    "statement_format_elsewhere": (
        ["SET SESSION binlog_format = STATEMENT", "DELETE FROM m"],
        "set binlog_format=ROW",
    ),
    "xa": (
        ["XA START 'x'", "INSERT INTO t (v) VALUES ('xa')", "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'"],
        "the link must be started after this one",
    ),
    "rows_rolled_back_in_the_log": (
        ["BEGIN", "INSERT INTO t (v) VALUES ('no')", "CREATE TEMPORARY TABLE x (id INT)", "ROLLBACK"],
        "use InnoDB",
    ),
    "two_phase_alter": (
        ["SET SESSION binlog_alter_two_phase = 1", "ALTER TABLE t ADD w INT", "ALTER TABLE t DROP w"],
        "set binlog_alter_two_phase=OFF",
    ),
}


@pytest.mark.parametrize("case", STOPPING)
async def test_an_unsupported_transaction_stops_the_link(east, west, table, case):
    """All before it is applied; nothing after it; the error names the transaction and says what to do."""
    statements, hint = STOPPING[case]
    async with running(link(table, ddl=True), east, west) as run:
        east.sql("INSERT INTO t (v) VALUES ('before')", database=table)
        run_all(east, table, statements)
        east.sql("INSERT INTO t (v) VALUES ('after')", database=table)
        error = await run.stopped()
    assert isinstance(error, UnsupportedEvent)
    assert hint in str(error)
    assert "transaction 0-" in str(error)
    assert ["before"] == carried(west, table)
    async with running(link(table, ddl=True), east, west) as run:
        again = await run.stopped()
    assert str(error).partition(" (")[0] == str(again).partition(" (")[0]
    assert ["before"] == carried(west, table)


async def test_savepoints_are_no_obstacle(east, west, table):
    """What InnoDB rolls back to a savepoint is not in the log."""
    async with running(link(table), east, west) as run:
        run_all(
            east,
            table,
            [
                "BEGIN",
                "INSERT INTO t (v) VALUES ('kept')",
                "SAVEPOINT a",
                "INSERT INTO t (v) VALUES ('undone')",
                "ROLLBACK TO SAVEPOINT a",
                "SAVEPOINT b",
                "INSERT INTO t (v) VALUES ('too')",
                "RELEASE SAVEPOINT b",
                "COMMIT",
                "BEGIN",
                "INSERT INTO t (v) VALUES ('never')",
                "ROLLBACK",
            ],
        )
        await run.caught_up()
    assert ["kept", "too"] == carried(west, table)


async def test_load_data_arrives_as_rows(east, west, table, tmp_path):
    """In row format, a loaded file is rows like any other."""
    file = tmp_path / "rows.txt"
    file.write_text("1\tone\n2\ttwo\n")
    async with running(link(table), east, west) as run:
        statement = f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE t"
        east.sql("SET GLOBAL local_infile = 1")
        east.sql(statement, database=table, local_infile=True)
        await run.caught_up()
    assert ["one", "two"] == carried(west, table)


async def test_a_transaction_over_two_engines_that_commits_is_carried(east, west, table):
    """The log tells its rows apart; no statement is in the way."""
    async with running(link(table), east, west) as run:
        run_all(east, table, ["BEGIN", "INSERT INTO t (v) VALUES ('x')", "INSERT INTO m VALUES (7)", "COMMIT"])
        await run.caught_up()
    assert ["x"] == carried(west, table)
    assert [(7,)] == west.sql("SELECT id FROM m", database=table)


async def test_a_rollback_over_two_engines_leaves_what_cannot_roll_back(east, west, table):
    """The other engine's row stays on the source, so it is carried; InnoDB's is in neither."""
    async with running(link(table), east, west) as run:
        run_all(east, table, ["BEGIN", "INSERT INTO t (v) VALUES ('x')", "INSERT INTO m VALUES (7)", "ROLLBACK"])
        await run.caught_up()
    assert [] == carried(west, table)
    assert [(7,)] == west.sql("SELECT id FROM m", database=table)


async def test_drop_database_spares_what_the_link_leaves_out(east, west, database):
    """With excluded tables on the target, dropping the database there would drop what is not the link's."""
    name = f"{database}_x"
    keys = {"tables": (f"{name}.*",), "exclude": (f"{name}.private*",), "ddl": True}
    for server in (east, west):
        server.sql(f"CREATE DATABASE {name}; CREATE TABLE {name}.t (id INT); CREATE TABLE {name}.private (id INT)")
    async with running(link(database, **keys), east, west) as run:
        east.sql(f"DROP DATABASE {name}")
        error = await run.stopped()
    assert isinstance(error, UnsupportedEvent)
    assert f"DROP DATABASE {name}, which on the target holds {name}.private" in str(error)
    assert [("private",), ("t",)] == west.sql(f"SHOW TABLES FROM {name}")

    west.sql(f"DROP TABLE {name}.private")
    async with running(link(database, **keys), east, west) as run:
        await run.caught_up()
    assert [] == west.sql(f"SHOW DATABASES LIKE '{name}'")


async def test_drop_database_with_some_carried_tables_stops_the_link(east, west, database):
    """The tables are gone on the source; to leave them on the target without a word would be a skip."""
    name = f"{database}_x"
    for server in (east, west):
        server.sql(f"CREATE DATABASE {name}; CREATE TABLE {name}.a1 (id INT); CREATE TABLE {name}.b (id INT)")
    async with running(link(database, tables=(f"{name}.a*",), ddl=True), east, west) as run:
        east.sql(f"DROP DATABASE {name}")
        error = await run.stopped()
    west.sql(f"DROP DATABASE {name}")
    assert isinstance(error, UnsupportedEvent)
    assert f"{name}.a1: the link carries this table, and not the database" in str(error)


async def test_drop_table_of_carried_and_other_tables_drops_the_carried(east, west, database):
    """One statement may name tables of several links."""
    for server in (east, west):
        server.sql("CREATE TABLE a (id INT); CREATE TABLE b (id INT); CREATE TABLE c (id INT)", database=database)
    async with running(link(database, exclude=(f"{database}.b",), ddl=True), east, west) as run:
        east.sql("DROP TABLE a, b, c", database=database)
        await run.caught_up()
    assert [("b",)] == west.sql(f"SHOW TABLES FROM {database}")


CROSSING = [
    "RENAME TABLE a TO b_out",
    "ALTER TABLE a RENAME TO b_out",
    "CREATE TABLE a2 LIKE b",
]


@pytest.mark.parametrize("statement", CROSSING)
async def test_a_change_across_the_filter_stops_the_link(east, west, database, statement):
    """A table that enters or leaves the link cannot be carried by a statement alone."""
    for server in (east, west):
        server.sql("CREATE TABLE a (id INT); CREATE TABLE b (id INT)", database=database)
    async with running(link(database, exclude=(f"{database}.b*",), ddl=True), east, west) as run:
        east.sql(statement, database=database)
        error = await run.stopped()
    assert isinstance(error, UnsupportedEvent)
    assert [("a",), ("b",)] == west.sql(f"SHOW TABLES FROM {database}")


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
    [(26, "INCIDENT"), (5, "INTVAR"), (33, "GTID (MySQL)"), (38, "XA_PREPARE"), (39, "PARTIAL_UPDATE_ROWS"),
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
