"""Signals: SIGTERM drains, SIGHUP reloads."""

from __future__ import annotations

import asyncio
import os
import re
import signal

import pytest

from cdcd.errors import SourceLost
from cdcd.mysql.session import Session
from cdcd.runtime import link as runtime_link
from tests.fixtures.daemon import until
from tests.fixtures.links import running, wait_until
from tests.fixtures.sites import a_link, site
from tests.system import ledger
from tests.system.conftest import equal

CUT_OFF_SECONDS = runtime_link.DRAIN_SECONDS_MAX


@pytest.fixture
def daemon(pair, both):
    """A daemon of a pair that streams the ledger's tables."""
    both(ledger.TABLES)
    started = pair(writers=2)
    started.start()
    started.streams()
    return started


@pytest.fixture
def clients(daemon, east, database):
    """Clients of east, until the test ends."""
    working = ledger.Clients(east, database, "east", 4)
    yield working
    working.stop()


def reload(daemon):
    """Send SIGHUP and wait until it was dealt with."""
    before = outcomes(daemon)
    daemon.signal(signal.SIGHUP)
    until(lambda: len(outcomes(daemon)) > len(before))
    return outcomes(daemon)[-1]


def outcomes(daemon):
    """Return what came of reloads."""
    return daemon.events("configuration_reloaded") + daemon.events("reload_refused")


def slots(server, database):
    """Return the slots of the forward link."""
    rows = server.sql(f"SELECT slot FROM cdcd.checkpoint WHERE link = '{database}_f' ORDER BY slot")
    return [slot for (slot,) in rows]


def test_sigterm_applies_what_was_accepted_and_exits_0(daemon, clients, west, database):
    """A restart must not be a crash; what is then on the target is in the checkpoint too."""
    until(lambda: ledger.count(west, database) > 100)
    daemon.signal(signal.SIGTERM)
    assert 0 == daemon.wait()
    [stopped] = [event for event in daemon.events("link_stopped") if event["link"].endswith("_f")]
    assert stopped["transactions"] == ledger.count(west, database) + 1  # and the clients' counters
    [(position,)] = west.sql(
        f"SELECT position FROM cdcd.checkpoint WHERE link = '{database}_f' ORDER BY batch DESC LIMIT 1"
    )
    assert stopped["position"].encode() == position


def test_a_daemon_that_cannot_reach_its_servers_still_stops_at_once(pair, server_factory, tmp_path, daemon_factory):
    """Waiting for a server that is down is no reason to ignore SIGTERM."""
    gone, here = server_factory(), server_factory()
    gone.stop()
    link = {"source": "here", "target": "gone", "tables": ["t.*"]}
    daemon = daemon_factory({"gone": gone, "here": here}, {"forward": link})
    daemon.start()
    until(lambda: daemon.states == {"forward": "reconnecting"})
    daemon.signal(signal.SIGTERM)
    assert 0 == daemon.wait(20)


@pytest.fixture
async def at_connection(monkeypatch):
    """Have something done in the moment in which a connection to a server is made."""
    loop = asyncio.get_running_loop()
    create_connection = loop.create_connection

    def at(server, act):
        async def create(protocol, host=None, port=None, **keys):
            made = await create_connection(protocol, host, port, **keys)
            if port == server.port:
                act()
            return made

        monkeypatch.setattr(loop, "create_connection", create)

    return at


async def test_a_task_that_is_cancelled_as_it_connects_ends(east, at_connection):
    """A stage that goes on after another has failed would keep the link from ever starting again."""
    opening = asyncio.create_task(Session.open(site(east, "east"), SourceLost))
    at_connection(east, opening.cancel)
    with pytest.raises(asyncio.CancelledError):
        await opening


async def test_a_drain_in_the_moment_of_reconnecting_ends_the_link(both, east, west, database, at_connection):
    """The source has nothing to say then, and must not be listened to until the drain is cut off."""
    async with running(a_link(database), east, west) as link:
        await wait_until(lambda: link.runner.stages["source"]["connected"])
        at_connection(east, link.runner.drain)
        [(dump,)] = east.sql("SELECT MAX(id) FROM information_schema.processlist WHERE command = 'Binlog Dump'")
        east.sql(f"KILL {dump}")
        assert await link.stopped(CUT_OFF_SECONDS / 2) is None


async def test_a_drain_as_soon_as_a_link_is_connected_ends_it(both, east, west, database, monkeypatch):
    """Between the last answer and the first read there is nothing yet to tell the drain to."""

    async def connect(runner, stack, of=runtime_link.LinkRunner._connect):
        pipeline = await of(runner, stack)
        runner.drain()
        return pipeline

    monkeypatch.setattr(runtime_link.LinkRunner, "_connect", connect)
    async with running(a_link(database), east, west) as link:
        assert await link.stopped(CUT_OFF_SECONDS / 2) is None


async def test_a_drain_that_the_target_holds_up_is_cut_off(both, east, west, database, monkeypatch):
    """Past its deadline a stop rolls back what is open, and the next run applies it."""
    monkeypatch.setattr(runtime_link, "DRAIN_SECONDS_MAX", 0.2)
    both("CREATE TABLE t (n INT PRIMARY KEY)")
    async with running(a_link(database), east, west) as link:
        with west.connect(database=database) as lock:
            lock.cursor().execute("LOCK TABLES t WRITE")
            east.sql("INSERT INTO t VALUES (1)", database=database)
            await wait_until(lambda: link.pipeline.backlog.applying)
            link.runner.drain()
            assert await link.stopped() is None
    async with running(a_link(database), east, west) as link:
        await link.caught_up()
    assert [(1,)] == west.sql("SELECT * FROM t", database=database)


@pytest.mark.parametrize(("before", "after"), [(2, 5), (2, 1)])
def test_sighup_changes_the_number_of_writers(daemon, clients, east, west, database, before, after):
    """Load changes; connections that need not drop stay, and nothing is lost or doubled on the way."""
    until(lambda: ledger.count(west, database) > 50)
    claims = len(daemon.events("link_claimed"))
    daemon.write(writers=after)
    assert "configuration_reloaded" == reload(daemon)["event"]
    until(lambda: sessions(daemon) == {after})
    assert list(range(max(before, after))) == slots(west, database)
    goal = ledger.count(west, database) + 500
    until(lambda: ledger.count(west, database) > goal)
    clients.stop()
    until(lambda: equal(east, west, database))
    assert ledger.is_consistent(west, database)
    assert [] == daemon.events("share_contradicted")
    assert claims == len(daemon.events("link_claimed"))
    assert [] == daemon.events("source_lost")


def sessions(daemon):
    """Return the number of writers of links that have applied anything."""
    return {link["stages"]["apply"]["writers"] for link in daemon.status.values() if link["transactions"]}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"writers": 0}, "writers"),
        ({"conflict": "overwrite", "tables": ["other.*"]}, "tables: cannot change while running"),
        ({"no_such_key": 1}, "no_such_key"),
    ],
)
def test_a_bad_file_is_refused_and_the_old_settings_stay(daemon, clients, west, database, change, problem):
    """A slip of the editor must not stop replication, nor half apply."""
    daemon.write(**change)
    refused = reload(daemon)
    assert "reload_refused" == refused["event"]
    assert any(f"links.{database}_f.{problem}" in line for line in refused["problems"]), refused
    goal = ledger.count(west, database) + 100
    until(lambda: ledger.count(west, database) > goal)


def test_a_file_that_does_not_answer_is_refused_and_holds_up_nothing(daemon, clients, west, database):
    """A pipe, or a secret on a disk that hangs: links go on meanwhile, and a stop is a stop."""
    kept = daemon.path.read_text()
    daemon.path.rename(daemon.path.with_name("kept"))
    os.mkfifo(daemon.path, 0o600)
    refused = reload(daemon)
    assert [f"{daemon.path}: is no regular file"] == refused["problems"]
    daemon.path.unlink()
    os.mkfifo(daemon.path.with_name("secret"), 0o600)
    daemon.write_text(re.sub('password = ".*"', 'password_file = "secret"', kept))
    daemon.signal(signal.SIGHUP)
    goal = ledger.count(west, database) + 100
    until(lambda: ledger.count(west, database) > goal)
    refused = reload(daemon)
    assert "within" in refused["problems"][0]
    daemon.signal(signal.SIGHUP)
    daemon.signal(signal.SIGTERM)
    assert 0 == daemon.wait()


def test_a_file_that_is_no_toml_is_refused(daemon, clients, west, database):
    """The daemon may be told to reload in the middle of an edit."""
    daemon.write_text("[links")
    assert "reload_refused" == reload(daemon)["event"]
    goal = ledger.count(west, database) + 100
    until(lambda: ledger.count(west, database) > goal)
