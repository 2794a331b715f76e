"""Servers, connections and locks come and go; a link goes on by itself, and says what is so meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pymysql
import pytest

from cdcd.model.states import State
from cdcd.source.stream import SILENT_HEARTBEATS, replica_server_id
from tests.fixtures import proxy
from tests.fixtures.daemon import until
from tests.fixtures.links import running, wait_until
from tests.fixtures.sites import HEARTBEAT_SECONDS, a_link
from tests.system import ledger
from tests.system.conftest import equal

DATABASE = "shop"


@pytest.mark.parametrize("end", ["kill", "stop"])
@pytest.mark.parametrize("victim", ["east", "west"])
def test_the_links_go_on_when_a_server_comes_back(server_factory, daemon_factory, victim, end):
    """A crash or a restart of either side needs no hand, and costs no transaction that the source confirmed."""
    servers = {"east": server_factory(), "west": server_factory()}
    for server in servers.values():
        server.sql(f"CREATE DATABASE {DATABASE}")
        server.sql(ledger.TABLES, database=DATABASE)
    common = {"tables": [f"{DATABASE}.*"], "heartbeat_seconds": HEARTBEAT_SECONDS}
    links = {"f": {"source": "east", "target": "west"}, "r": {"source": "west", "target": "east"}}
    daemon = daemon_factory(servers, {name: {**ends, **common} for name, ends in links.items()})
    daemon.start()
    daemon.streams()
    clients = [ledger.Clients(server, DATABASE, site, 3) for site, server in servers.items()]
    try:
        for _ in range(2):
            grow(servers.values(), 150)
            getattr(servers[victim], end)()
            until(lambda: "reconnecting" in daemon.states.values())
            servers[victim].start()
            daemon.streams()
        grow(servers.values(), 150)
    finally:
        for client in clients:
            client.stop()
    until(lambda: equal(servers["east"], servers["west"], DATABASE))
    assert all(ledger.is_consistent(server, DATABASE) for server in servers.values())
    assert sum(client.count for client in clients) <= ledger.count(servers["east"], DATABASE)
    assert [] == daemon.events("share_contradicted")


def grow(servers, transactions):
    """Wait until each ledger has grown."""
    goals = [(server, ledger.count(server, DATABASE) + transactions) for server in servers]
    until(lambda: all(ledger.count(server, DATABASE) >= goal for server, goal in goals))


async def test_an_idle_link_whose_target_is_gone_says_so(both, east, west, database):
    """Without traffic nobody would find out before the first transaction has to wait."""
    with proxy.Proxy(west) as target:
        async with running(a_link(database), east, target) as link:
            target.close()
            await wait_until(lambda: link.runner.state in (State.RECONNECTING, State.STARTING))
            assert "connection" in str(link.runner.error)


async def test_ended_sessions_are_opened_again(both, east, west, database):
    """A DBA's KILL, of the dump thread or of a writer, is no reason to stop or to double anything."""
    both("CREATE TABLE trace (n INT) ENGINE=InnoDB")
    async with running(a_link(database), east, west) as link:
        await wait_until(lambda: link.runner._source_figures.connected)
        for n in range(6):
            server, session = (west, writer_session(link)) if n % 2 else (east, dump_session(east))
            server.sql(f"KILL {session}")
            east.sql(f"INSERT INTO trace VALUES ({n})", database=database)
            await link.caught_up()
    assert [(n,) for n in range(6)] == west.sql("SELECT * FROM trace ORDER BY n", database=database)


def writer_session(link):
    """Return the connection id of the link's first writer."""
    return link.writers[0].session.thread_id


def dump_session(server):
    """Return the connection id of the thread that sends the log to the link."""
    [(session,)] = server.sql(
        "SELECT id FROM information_schema.processlist WHERE command = 'Binlog Dump' ORDER BY id DESC LIMIT 1"
    )
    return session


async def test_a_row_locked_by_the_application_is_waited_for(server_factory):
    """Past innodb_lock_wait_timeout the server gives up on the statement; the link does not."""
    east, west = server_factory(), server_factory({"innodb-lock-wait-timeout": "1"})
    for server in (east, west):
        server.sql(
            "CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, n INT); INSERT INTO shop.t VALUES (1, 0)"
        )
    async with running(a_link("shop"), east, west) as link:
        with closing(west.connect(autocommit=False)) as lock:
            lock.cursor().execute("UPDATE shop.t SET n = 0 WHERE id = 1")
            lock.cursor().execute("SELECT * FROM shop.t FOR UPDATE")
            east.sql("UPDATE shop.t SET n = n + 1")
            await wait_until(lambda: link.runner.stages["apply"]["retries"] >= 2)
            lock.rollback()
        await link.caught_up()
        assert 0 == link.runner.conflicts
    assert [(1, 1)] == west.sql("SELECT * FROM shop.t")


async def test_a_deadlock_with_the_application_is_tried_again(both, east, west, database):
    """The server picks a victim; when that is the link, its share begins anew."""
    both("CREATE TABLE t (id INT PRIMARY KEY, n INT); INSERT INTO t VALUES (1, 0), (2, 0)")
    both("CREATE TABLE heavy (id INT PRIMARY KEY)")
    async with running(a_link(database), east, west) as link:
        with closing(west.connect(autocommit=False, database=database)) as application:
            cursor = application.cursor()
            # A transaction that has changed more rows is not the one that the server picks.
            cursor.execute("INSERT INTO heavy SELECT seq FROM seq_1_to_1000")
            cursor.execute("SELECT * FROM t WHERE id = 2 FOR UPDATE")
            east.sql(
                "BEGIN; UPDATE t SET n = 1 WHERE id = 1; UPDATE t SET n = 1 WHERE id = 2; COMMIT", database=database
            )
            waits = (
                "SELECT 1 FROM information_schema.processlist"
                " WHERE user = 'cdcd' AND command = 'Query' AND time_ms > 200"
            )
            await asyncio.to_thread(until, lambda: west.sql(waits))
            cursor.execute("SELECT * FROM t WHERE id = 1 FOR UPDATE")
            application.rollback()
        await link.caught_up()
        assert link.runner.stages["apply"]["retries"] >= 1
    assert [(1, 1), (2, 1)] == west.sql("SELECT * FROM t ORDER BY id", database=database)


async def test_a_source_that_falls_silent_is_found_and_replaced(both, east, west, database, monkeypatch):
    """A peer that vanished sends no FIN; only missing heartbeats tell, and the state must not say that all is well."""
    monkeypatch.setattr("cdcd.mysql.session.ANSWER_SECONDS", 1)
    both("CREATE TABLE t (n INT PRIMARY KEY)")
    with proxy.Proxy(east) as source:
        async with running(a_link(database), source, west) as link:
            east.sql("INSERT INTO t VALUES (1)", database=database)
            await link.caught_up()
            reconnects = link.runner.stages["source"]["reconnects"]
            source.freeze()
            await wait_until(lambda: link.runner.state is State.RECONNECTING)
            assert f"no heartbeat for {SILENT_HEARTBEATS * HEARTBEAT_SECONDS} s" in str(link.runner.error)
            assert link.runner.lag_seconds is None
            east.sql("INSERT INTO t VALUES (2)", database=database)
            await link.caught_up()
            assert State.STREAMING is link.runner.state
            assert reconnects < link.runner.stages["source"]["reconnects"]
    assert [(1,), (2,)] == west.sql("SELECT n FROM t ORDER BY n", database=database)


async def test_a_question_to_a_dead_source_is_not_waited_for_forever(both, east, west, database, monkeypatch):
    """A table that is new after the connection froze needs its columns: from a new connection, then."""
    monkeypatch.setattr("cdcd.mysql.session.ANSWER_SECONDS", 1)
    with proxy.Proxy(east) as source:
        async with running(a_link(database), source, west) as link:
            source.freeze()
            both("CREATE TABLE t (n INT PRIMARY KEY)")
            east.sql("INSERT INTO t VALUES (1)", database=database)
            await wait_until(lambda: west.sql("SELECT n FROM t", database=database))
            await link.caught_up()


def test_the_reading_id_of_a_link_is_its_own(database):
    """The source ends an older reader of the same server_id, so two links must not share one."""
    names = [f"{database}{n}" for n in range(2000)]
    assert 2000 == len({replica_server_id(a_link(name), "w:1") for name in names})


async def test_a_transaction_that_a_crash_cut_off_in_the_log_is_not_applied(server_factory):
    """The source never committed it, though its log shows the beginning: enough of it to be sent in parts."""
    east, west = server_factory(), server_factory()
    for server in (east, west):
        server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, body CHAR(250))")
    file, start, position = east.binlog_position()
    log = east.data / file
    # So that the link begins in the file that the crash ends.
    east.sql("INSERT INTO shop.t VALUES (0, 'before')")
    dying = asyncio.create_task(
        asyncio.to_thread(east.sql, "INSERT INTO shop.t SELECT seq, REPEAT('x', 250) FROM shop.seq_1_to_400000")
    )
    await wait_until(lambda: log.stat().st_size > start + 4 * 1024 * 1024)
    east.kill()
    with pytest.raises(pymysql.MySQLError):
        await dying
    east.start()
    east.sql("INSERT INTO shop.t VALUES (1, 'after')")
    assert [(0, "before"), (1, "after")] == east.sql("SELECT * FROM shop.t")
    async with running(a_link("shop", start=position, transaction_bytes_max=1024 * 1024), east, west) as link:
        await link.caught_up()
        assert link.runner.stages["source"]["reconnects"] == 1
    assert [(0, "before"), (1, "after")] == west.sql("SELECT * FROM shop.t")
