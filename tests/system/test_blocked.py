"""A target that does not answer: a lost answer is found out, a long statement is waited for, and the status says so."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from cdcd.model.states import State
from cdcd.observe import status
from tests.fixtures import proxy
from tests.fixtures.links import running, wait_until
from tests.fixtures.sites import a_link

# So that an answer counts as late soon.
HEARTBEAT_SECONDS = 0.3


def the_link(database, **keys):
    """Describe the link with a short patience."""
    return a_link(database, heartbeat_seconds=HEARTBEAT_SECONDS, **keys)


def epoch(west, link):
    """Return how the claim of the link is numbered; each connect takes a new one."""
    [(number,)] = west.sql(f"SELECT MAX(epoch) FROM cdcd.checkpoint WHERE link = '{link.runner.name}'")
    return number


@pytest.mark.parametrize("moment", [proxy.MUTED, proxy.SWALLOWED])
@pytest.mark.parametrize(
    ("statement", "keys"), [(b"COMMIT", {}), (b"SAVEPOINT part", {"transaction_bytes_max": 64 * 1024})]
)
async def test_an_answer_that_never_comes_is_found_out(both, east, west, database, statement, keys, moment):
    """Behind a tunnel that keeps its side open, the link would stand still and say that it streams."""
    both("CREATE TABLE trace (n INT, body VARCHAR(200)) ENGINE=InnoDB")
    with proxy.Proxy(west) as target:
        async with running(the_link(database, **keys), east, target) as link:
            before = epoch(west, link)
            target.trap(statement, moment)
            east.sql("INSERT INTO trace SELECT seq, REPEAT('x', 200) FROM seq_1_to_1000", database=database)
            await asyncio.to_thread(target.sprung.wait, 60)
            await wait_until(lambda: link.runner.blocked)
            assert not status.healthy([link.runner])
            await link.caught_up()
            assert link.runner.blocked is None
            assert before < epoch(west, link)
    assert [(1000, 1000)] == west.sql("SELECT COUNT(*), COUNT(DISTINCT n) FROM trace", database=database)


async def test_a_target_that_answers_nothing_at_all_is_found_out(both, east, west, database, monkeypatch):
    """Nobody can be asked what the writer does; the state must say that the target is lost."""
    monkeypatch.setattr("cdcd.mysql.session.CONNECT_SECONDS", 1)
    monkeypatch.setattr("cdcd.mysql.session.ANSWER_SECONDS", 1)
    both("CREATE TABLE trace (n INT) ENGINE=InnoDB")
    with proxy.Proxy(west) as target:
        async with running(the_link(database), east, target) as link:
            target.freeze(for_good=True)
            east.sql("INSERT INTO trace VALUES (1)", database=database)
            await wait_until(lambda: link.runner.state in (State.RECONNECTING, State.STARTING))
            assert not status.healthy([link.runner])
            target.thaw()
            await link.caught_up()
    assert [(1,)] == west.sql("SELECT n FROM trace", database=database)


async def test_an_answer_that_is_lost_while_the_link_connects_is_found_out(both, east, west, database, monkeypatch):
    """No statement of a writer's first ones takes long, so none is waited for without limit."""
    monkeypatch.setattr("cdcd.mysql.session.ANSWER_SECONDS", 1)
    with proxy.Proxy(west) as target:
        target.trap(b"SET autocommit = 0", proxy.MUTED)
        async with running(the_link(database), east, target) as link:
            assert target.sprung.is_set()
            await link.caught_up()


@pytest.mark.parametrize("ddl", [False, True], ids=["rows", "schema change"])
async def test_a_statement_that_waits_for_a_lock_is_waited_for(both, east, west, database, ddl):
    """A connection that is dropped while the server works would begin anew for ever; but the wait is no secret."""
    both("CREATE TABLE t (n INT PRIMARY KEY)")
    async with running(the_link(database, ddl=ddl), east, west) as link:
        before = epoch(west, link)
        with closing(west.connect(database=database)) as lock:
            lock.cursor().execute("LOCK TABLES t WRITE")
            east.sql("ALTER TABLE t ADD COLUMN c INT" if ddl else "INSERT INTO t VALUES (1)", database=database)
            await wait_until(lambda: link.runner.blocked)
            looks = link.pipeline.target
            await wait_until(lambda: _seconds(looks.blocked) >= 4)
            assert "Waiting for table metadata lock" in str(link.runner.blocked)
            assert ["streaming"] == [link.runner.state]
            assert "Waiting for table" in status.unhealthy([link.runner])[0]
        await link.caught_up()
        await wait_until(lambda: link.runner.blocked is None)
        assert before == epoch(west, link)


@pytest.fixture
def impatient(west):
    """A target that refuses at once what would have to wait for a row's lock, as a read-only one refuses all."""
    [(seconds,)] = west.sql("SELECT @@GLOBAL.innodb_lock_wait_timeout")
    west.sql("SET GLOBAL innodb_lock_wait_timeout = 0")
    yield west
    west.sql(f"SET GLOBAL innodb_lock_wait_timeout = {seconds}")


async def test_a_target_that_answers_and_commits_nothing_is_told(both, east, impatient, database):
    """Many tries take half a minute, in which it would look well; and a stop does not wait for them."""
    both("CREATE TABLE t (n INT PRIMARY KEY, v INT) ENGINE=InnoDB; INSERT INTO t VALUES (1, 1)")
    with closing(impatient.connect(database=database)) as lock:
        async with running(the_link(database), east, impatient) as link:
            lock.begin()
            lock.cursor().execute("SELECT * FROM t FOR UPDATE")
            east.sql("UPDATE t SET v = 2", database=database)
            await wait_until(lambda: link.runner.blocked)
            assert "Lock wait timeout exceeded" in status.unhealthy([link.runner])[0]
            lock.rollback()
            await link.caught_up()
            assert status.healthy([link.runner])
            lock.begin()
            lock.cursor().execute("SELECT * FROM t FOR UPDATE")
            east.sql("UPDATE t SET v = 3", database=database)
            await wait_until(lambda: link.runner.blocked)
            tries = link.runner.stages["apply"]["retries"]
            writer = link.writers[0]
            link.runner.drain()
            assert await link.stopped() is None
            assert writer.stats.retries <= tries + 1
            lock.rollback()
    async with running(the_link(database), east, impatient) as link:
        await link.caught_up()
    assert [(1, 3)] == impatient.sql("SELECT * FROM t", database=database)


async def test_a_full_target_is_waited_for(east, database, server_factory):
    """Where rows find no room nothing is wrong with them: the link goes on once there is some."""
    full = server_factory({"innodb-file-per-table": "0", "innodb-data-file-path": "ibdata1:12M:autoextend:max:40M"})
    for server in (east, full):
        server.sql(f"CREATE OR REPLACE DATABASE {database}")
        server.sql("CREATE TABLE t (n INT PRIMARY KEY, body VARCHAR(2000))", database=database)
    full.sql("CREATE TABLE filler SELECT seq, REPEAT('x', 2000) AS body FROM seq_1_to_8000", database=database)
    async with running(the_link(database), east, full) as link:
        east.sql("INSERT INTO t SELECT seq, REPEAT('x', 2000) FROM seq_1_to_8000", database=database)
        await wait_until(lambda: not status.healthy([link.runner]))
        assert "full" in status.unhealthy([link.runner])[0]
        full.sql("DROP TABLE filler", database=database)
        await link.caught_up()
        assert status.healthy([link.runner])
    assert [(8000,)] == full.sql("SELECT COUNT(*) FROM t", database=database)


def _seconds(blocked):
    """Return the number of seconds in the words of a link that is blocked."""
    return int(blocked.split("for ")[1].split(" ")[0])
