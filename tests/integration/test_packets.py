"""A partition's packets follow each other unanswered: what fails between them leaves nothing behind, nor twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest

from cdcd.apply.sql import exchange
from cdcd.errors import ApplyFailed, Fenced
from cdcd.mysql.flavor.mariadb import MARIADB
from tests.fixtures.links import PLAIN, Both, RunningLink, running, wait_until
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.servers import ServerFactory

assert MARIADB.row_events_as_statements is not None
STRICTLY = MARIADB.row_events_as_statements.strictly  # begins a marker that is an event
ROWS = 40
HELD = 17
TABLES = """
CREATE TABLE t (id INT PRIMARY KEY, u INT UNIQUE, v LONGTEXT);
CREATE TABLE trace (n INT, v VARCHAR(9));
"""
# Of many packets; trace has no key, so what is applied twice is there twice.
SCRIPT = """
BEGIN; INSERT INTO t SELECT seq, IF(seq = 17, -100000, -seq), REPEAT('x', {size}) FROM seq_1_to_40;
INSERT INTO trace SELECT seq, 'a' FROM seq_1_to_40; COMMIT
"""


@pytest.fixture(params=[10, 60_000], ids=["one packet", "packets"])
def script(request: pytest.FixtureRequest, either_way: str) -> str:
    """Return a transaction that is applied in one packet, or in ten, of either kind."""
    assert either_way
    return SCRIPT.format(size=request.param)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return how each packet begins, as they are sent."""
    packets: list[bytes] = []

    async def send(self: exchange.Exchange, packet: exchange.Packet, of: Any = exchange.Exchange.send) -> None:
        packets.append(packet.texts[0])
        await of(self, packet)

    monkeypatch.setattr(exchange.Exchange, "send", send)
    return packets


@pytest.fixture(scope="module")
def hasty(module_server_factory: ServerFactory) -> MariaDB:
    """A target that waits for locks no longer than a second."""
    return module_server_factory({"innodb-lock-wait-timeout": "1"})


def equal(both: Both) -> bool:
    """Return whether both tables are the same on both sides."""
    queries = ("SELECT id, u, MD5(v) FROM t ORDER BY id", "SELECT * FROM trace ORDER BY n, v")
    return all(both.on_source(query) == both.on_target(query) for query in queries)


@asynccontextmanager
async def waiting(both: Both, script: str) -> AsyncIterator[tuple[RunningLink, Any]]:
    """Run a link whose partition waits, with packets behind it, for a row that a session of the target holds."""
    with closing(both.target.connect(database=both.database, autocommit=False)) as other:
        # Heavier than the partition, so that a deadlock would not end this one.
        other.cursor().execute("INSERT INTO heavy SELECT seq FROM seq_1_to_2000")
        other.cursor().execute(f"INSERT INTO t VALUES ({HELD}, -100000, 'held')")
        async with running(both.link(writers=1), both.source, both.target) as link:
            await asyncio.to_thread(both.only_source, script)
            await wait_until(lambda: waits(both), 8)
            yield link, other


def waits(both: Both) -> bool:
    """Return whether a transaction of the target waits for a lock."""
    return [("Innodb_row_lock_current_waits", "0")] != both.on_target(
        "SHOW STATUS LIKE 'Innodb_row_lock_current_waits'"
    )


@pytest.fixture
def both_hasty(east: MariaDB, hasty: MariaDB, database: str) -> Both:
    """The tables on a source and on a target that gives up waiting soon."""
    hasty.sql(f"CREATE OR REPLACE DATABASE {database}")
    both = Both(east, hasty, database)
    both.both(TABLES)
    both.only_target("CREATE TABLE heavy (n INT)")
    return both


async def test_a_run_whose_row_was_taken_changes_nothing(both: Both, script: str, sent: list[bytes]) -> None:
    """A later run may take over between two batches: the marker is refused then, and nothing after it may stay."""
    both.both(TABLES)
    async with running(both.link(), both.source, both.target) as link:
        both.only_source("INSERT INTO trace VALUES (0, 'before')")
        await link.caught_up()
        both.target.sql(f"UPDATE cdcd.checkpoint SET epoch = epoch + 1 WHERE link = '{link.runner.name}'")
        logged = both.target.binlog_position()
        both.only_source(script)
        assert isinstance(await link.stopped(), Fenced)
    assert [(0, "before")] == both.on_target("SELECT * FROM trace")
    assert [] == both.on_target("SELECT id FROM t")
    assert logged == both.target.binlog_position()
    rest = [text for text in sent if not text.startswith((b"INSERT INTO cdcd.checkpoint", STRICTLY, b"COMMIT"))]
    assert ("60000" in script) == bool(rest)


async def test_a_run_whose_row_was_deleted_stops_and_leaves_nothing_unmarked(both: Both, script: str) -> None:
    """Nobody knows what whoever deleted it meant: what is applied by the time that it shows has a marker again."""
    both.both(TABLES)
    async with running(both.link(), both.source, both.target) as link:
        both.only_source("INSERT INTO trace VALUES (0, 'before')")
        await link.caught_up()
        row = f"FROM cdcd.checkpoint WHERE link = '{link.runner.name}' AND slot = 0"
        both.target.sql(f"DELETE {row}")
        both.only_source(script)
        assert isinstance(await link.stopped(), Fenced)
    marked = both.target.sql(f"SELECT slot {row}")
    assert len(marked) * ROWS == len(both.on_target("SELECT id FROM t"))


async def test_a_refused_packet_among_others_leaves_nothing_behind(both: Both, script: str) -> None:
    """What was sent after it is run by the server all the same, and must be rolled back with what came before."""
    both.both(TABLES)
    both.only_target("ALTER TABLE t MODIFY u SMALLINT")
    with pytest.raises(ApplyFailed, match=r"table .*\.t, row id = 17.*alter it"):
        await both.carry(script)
    assert [(0, 0)] == both.on_target("SELECT (SELECT COUNT(*) FROM t), (SELECT COUNT(*) FROM trace)")


async def test_a_contradicted_packet_among_others_is_decided_and_the_session_goes_on(both: Both, script: str) -> None:
    """One row of the target in the way must cost nothing but a conflict; later partitions take the short way again."""
    both.both(TABLES)
    both.only_target(f"INSERT INTO t VALUES ({HELD}, -100000, 'in the way')")
    async with running(both.link(writers=1), both.source, both.target) as link:
        both.only_source(script)
        await link.caught_up()
        assert (1, 1) == (link.runner.conflicts, link.row_by_row)
        assert equal(both)
        both.only_source("UPDATE t SET v = 'later'; DELETE FROM t WHERE id > 30; INSERT INTO trace VALUES (7, 'end')")
        await link.caught_up()
        assert (1, 1) == (link.runner.conflicts, link.row_by_row)
        assert 1 == len({writer.session.thread_id for writer in link.writers})
    assert equal(both)


async def test_a_share_that_waited_too_long_is_applied_once(both_hasty: Both, script: str) -> None:
    """The server gives up one statement and goes on with the next packet: all of it is undone and tried again."""
    both = both_hasty
    async with waiting(both, script) as (link, other):
        await wait_until(lambda: link.runner.stages["apply"]["retries"] >= 1)
        assert [(0,)] == both.on_target("SELECT COUNT(*) FROM trace")
        other.rollback()
        await link.caught_up()
        assert PLAIN == {"conflicts": link.runner.conflicts, "careful": link.row_by_row}
    assert equal(both)


async def test_a_share_that_was_rolled_back_between_two_packets_is_applied_once(both_hasty: Both, script: str) -> None:
    """A deadlock ends the transaction, so the packets behind it begin another: without a marker it must not commit."""
    both = both_hasty
    async with waiting(both, script) as (link, other):
        await asyncio.to_thread(other.cursor().execute, "INSERT INTO t VALUES (1, -1, 'deadlock')")
        await wait_until(lambda: link.runner.stages["apply"]["retries"] >= 1)
        assert [(0, 0)] == both.on_target("SELECT (SELECT COUNT(*) FROM t), (SELECT COUNT(*) FROM trace)")
        other.rollback()
        await link.caught_up()
        assert PLAIN == {"conflicts": link.runner.conflicts, "careful": link.row_by_row}
    assert equal(both)


async def test_a_share_whose_session_is_ended_between_two_packets_is_applied_once(
    both_hasty: Both, script: str
) -> None:
    """Nothing of a killed session is committed, whatever it was still sent."""
    both = both_hasty
    async with waiting(both, script) as (link, other):
        [ended] = link.writers
        both.only_target(f"KILL {ended.session.thread_id}")
        await wait_until(lambda: link.runner._pipeline and [ended] != link.writers)
        assert [(0,)] == both.on_target("SELECT COUNT(*) FROM trace")
        other.rollback()
        await link.caught_up()
        assert PLAIN == {"conflicts": link.runner.conflicts, "careful": link.row_by_row}
    assert equal(both)
