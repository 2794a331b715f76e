"""What a link wrote is never sent back, and links that have nothing to do write nothing."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack

import pytest

from cdcd.errors import SourceLost
from cdcd.model.position import Position
from cdcd.mysql.session import Session
from cdcd.runtime.position_writes import WRITES_WHILE_KEPT
from cdcd.source.start import log_kept_seconds
from tests.fixtures.links import RunningLink, running, wait_until
from tests.fixtures.sites import HEARTBEAT_SECONDS, a_link, site

TABLES = "CREATE TABLE t (site CHAR(1), n INT, PRIMARY KEY (site, n)); CREATE TABLE other (n INT PRIMARY KEY)"


async def heartbeats(*links, count=2):
    """Wait until every link has lived through several heartbeats of its source."""
    chunks = [link.runner.stages["source"]["chunks"] for link in links]
    # A source beats twice for each heartbeat of the link.
    await wait_until(
        lambda: all(
            link.runner.stages["source"]["chunks"] >= before + 2 * count
            for link, before in zip(links, chunks, strict=True)
        )
    )


def logs(*servers):
    """Return where each server's log ends."""
    return [server.binlog_position() for server in servers]


@pytest.fixture
def south(server_factory):
    """A third server."""
    return server_factory()


async def test_a_ring_of_three_relays_each_row_once(east, west, south, both, database):
    """With relay, a row goes all the way round and stops before the site where it was born."""
    south.sql(f"CREATE DATABASE {database}")
    ring = {"a": east, "b": west, "c": south}
    both(TABLES)
    south.sql(TABLES, database=database)
    async with AsyncExitStack() as stack:
        links: list[RunningLink] = []
        for source, target in ("ab", "bc", "ca"):
            name, tables = f"{database}{source}{target}", (f"{database}.t",)
            way = a_link(database, name=name, source=source, target=target, tables=tables, relay=True)
            links.append(await stack.enter_async_context(running(way, ring[source], ring[target])))
        for site, server in ring.items():
            for n in range(5):
                server.sql(f"INSERT INTO t VALUES ('{site}', {n})", database=database)
            # Passed over by the filter, so that positions are written, which are no reason to write others.
            server.sql("INSERT INTO other VALUES (1)", database=database)
        for server in ring.values():
            await wait_until(lambda server=server: server.sql("SELECT COUNT(*) FROM t", database=database) == [(15,)])
        # Round the ring once more, for what should not be there.
        for link in links:
            await link.caught_up()
        await heartbeats(*links)
        before = logs(*ring.values())
        await heartbeats(*links)
        assert before == logs(*ring.values())
        assert [10, 10, 10] == [link.runner.rows for link in links]
        assert [0, 0, 0] == [link.runner.conflicts for link in links]
        # What a link relays is in its own log with its first origin.
        assert all(link.runner.suppressed for link in links)


async def test_a_star_brings_every_row_to_every_spoke_and_goes_quiet(east, west, south, server_factory, both, database):
    """Only the hub's links relay: what a spoke gets it does not send back."""
    spokes = {"a": west, "b": south, "c": server_factory()}
    both(TABLES)
    for name in ("b", "c"):
        spokes[name].sql(f"CREATE DATABASE {database}")
        spokes[name].sql(TABLES, database=database)
    servers = [east, *spokes.values()]
    async with AsyncExitStack() as stack:
        links: list[RunningLink] = []
        for name, server in spokes.items():
            keys = {"tables": (f"{database}.t",)}
            there = a_link(database, name=f"{database}{name}h", source=name, target="h", **keys)
            back = a_link(database, name=f"{database}h{name}", source="h", target=name, relay=True, **keys)
            links.append(await stack.enter_async_context(running(there, server, east)))
            links.append(await stack.enter_async_context(running(back, east, server)))
        for site, server in {"h": east, **spokes}.items():
            server.sql(f"INSERT INTO t VALUES ('{site}', 1), ('{site}', 2)", database=database)
        for server in servers:
            await wait_until(lambda server=server: server.sql("SELECT COUNT(*) FROM t", database=database) == [(8,)])
        for link in links:
            await link.caught_up()
        await heartbeats(*links)
        before = logs(*servers)
        await heartbeats(*links)
        assert before == logs(*servers)
        assert [0] * len(links) == [link.runner.conflicts for link in links]
        assert [2, 6] * len(spokes) == [link.runner.rows for link in links]


@pytest.mark.parametrize("keys", [{}, {"transaction_bytes_max": 64}], ids=["whole", "in parts"])
async def test_a_relaying_link_stops_before_what_another_link_brings_there(east, west, south, both, database, keys):
    """Links of different files know nothing of each other; a row that comes a second time would go round for ever."""
    south.sql(f"CREATE DATABASE {database}")
    both(TABLES)
    south.sql(TABLES, database=database)
    first = a_link(database, name=f"{database}ab", source="a", target="b")
    second = a_link(database, name=f"{database}bc", source="b", target="c", relay=True)
    third = a_link(database, name=f"{database}cb", source="c", target="b", relay=True, **keys)
    async with running(first, east, west) as ab, running(second, west, south) as bc, running(third, south, west) as cb:
        east.sql("INSERT INTO t SELECT 'a', seq FROM seq_1_to_100", database=database)
        await ab.caught_up()
        await bc.caught_up()
        error = await cb.stopped()
        assert f"rows born at a come to this target by two ways, by link {database}ab too" in str(error)
    assert [(100,)] == south.sql("SELECT COUNT(*) FROM t", database=database)


async def test_a_link_without_relay_carries_only_what_its_source_bore(east, west, south, both, database):
    """In a chain of links without relay, a row goes one step."""
    south.sql(f"CREATE DATABASE {database}")
    both(TABLES)
    south.sql(TABLES, database=database)
    first = a_link(database, name=f"{database}ab", source="a", target="b")
    second = a_link(database, name=f"{database}bc", source="b", target="c")
    async with running(first, east, west) as ab, running(second, west, south) as bc:
        east.sql("INSERT INTO t VALUES ('a', 1)", database=database)
        await ab.caught_up()
        west.sql("INSERT INTO t VALUES ('b', 1)", database=database)
        await bc.caught_up()
    assert [("b",)] == south.sql("SELECT site FROM t", database=database)


async def test_an_idle_pair_writes_nothing(east, west, both, database):
    """Not even a position: what cdcd itself wrote is no reason to write."""
    both(TABLES)
    back = a_link(database, name=f"{database}r", source="west", target="east")
    async with running(a_link(database), east, west) as forward, running(back, west, east) as reverse:
        east.sql("INSERT INTO t VALUES ('a', 1)", database=database)
        west.sql("INSERT INTO t VALUES ('b', 1)", database=database)
        await forward.caught_up()
        await reverse.caught_up()
        await heartbeats(forward, reverse)
        before = logs(east, west)
        await heartbeats(forward, reverse)
        assert before == logs(east, west)
        assert (1, 1) == (forward.runner.rows, reverse.runner.rows)


async def test_what_a_pair_notes_of_itself_is_no_reason_to_note_more(east, west, both, database, monkeypatch):
    """Each link notes its position on both sides; the other passes over that, and does not answer."""
    monkeypatch.setattr("cdcd.runtime.resume.NOTED_SECONDS", 0.05)
    both(TABLES)
    back = a_link(database, name=f"{database}r", source="west", target="east")
    async with running(a_link(database), east, west) as forward, running(back, west, east) as reverse:
        east.sql("INSERT INTO t VALUES ('a', 1)", database=database)
        west.sql("INSERT INTO t VALUES ('b', 1)", database=database)
        for link in (forward, reverse):
            await link.caught_up()
            await wait_until(lambda link=link: str(link.pipeline.dispatcher.written) == noted(west, link))
            await wait_until(lambda link=link: str(link.pipeline.dispatcher.written) == noted(east, link))
        await heartbeats(forward, reverse)
        before = logs(east, west)
        await heartbeats(forward, reverse)
        assert before == logs(east, west)


def noted(server, link):
    """Return the position that a server remembers of a link."""
    [(position,)] = server.sql(f"SELECT position FROM cdcd.link WHERE link = '{link.runner.name}'")
    return position.decode()


@pytest.fixture
async def idle_pair(east, west, both, database):
    """Both links of a pair with a short own heartbeat; they have carried nothing yet."""
    both(TABLES)
    keys = {"own_heartbeat_seconds": 1}
    back = a_link(database, name=f"{database}r", source="west", target="east", **keys)
    async with running(a_link(database, **keys), east, west) as forward, running(back, west, east) as reverse:
        yield forward, reverse


async def test_what_a_link_applied_moves_the_position_of_the_link_back(idle_pair, east, west, database):
    """Its source has nothing else for days, while the log is purged; and the write is answered by nothing."""
    forward, reverse = idle_pair
    for n in range(3):
        east.sql(f"INSERT INTO t VALUES ('a', {n})", database=database)
        await forward.caught_up()
        _, _, applied = west.binlog_position()
        await wait_until(lambda applied=applied: reaches(durable(east, reverse.runner.name), applied))
    await heartbeats(forward, reverse)
    before = logs(east, west)
    await heartbeats(forward, reverse, count=4)
    assert before == logs(east, west)


@pytest.fixture
def short_log(monkeypatch):
    """A log that its server keeps for this many seconds."""
    kept = 20.0

    async def seconds(_session):
        return kept

    monkeypatch.setattr("cdcd.runtime.link.log_kept_seconds", seconds)
    return kept


async def test_positions_answer_each_other_a_few_times_while_a_log_is_kept(short_log, idle_pair, east, west, database):
    """They must, so that neither log is purged past them, and may no more often."""
    links = idle_pair
    east.sql("INSERT INTO t VALUES ('a', 1)", database=database)
    await heartbeats(*links, count=3)
    began, before = time.monotonic(), [sequence(gtid) for _, _, gtid in logs(east, west)]
    await heartbeats(*links, count=6)
    seconds, after = time.monotonic() - began, [sequence(gtid) for _, _, gtid in logs(east, west)]
    grown = [last - first for first, last in zip(before, after, strict=True)]
    assert all(1 <= writes <= seconds / (short_log / WRITES_WHILE_KEPT) + 1 for writes in grown), (grown, seconds)


async def test_a_server_says_how_long_it_keeps_its_log(server_factory, east):
    """By seconds, by days, or for ever."""

    async def kept(server):
        session = await Session.open(site(server, "east"), SourceLost)
        try:
            return await log_kept_seconds(session)
        finally:
            await session.close()

    assert 90 == await kept(server_factory({"binlog-expire-logs-seconds": "90"}))
    assert await kept(east) is None


async def test_passing_over_writes_the_position_once_a_heartbeat(east, west, both, database):
    """So that a restart does not read a day of other tables' log again, and the target's log does not grow with it."""
    both(TABLES)
    slow = a_link(database, tables=(f"{database}.t",), heartbeat_seconds=2 * HEARTBEAT_SECONDS)
    async with running(slow, east, west) as link:
        _, _, before = west.binlog_position()
        for n in range(50):
            east.sql(f"INSERT INTO other VALUES ({n})", database=database)
        _, _, position = east.binlog_position()
        await wait_until(lambda: durable(west, database) == position)
        _, _, after = west.binlog_position()
        # One, or two when a heartbeat fell between the transactions.
        assert 1 <= sequence(after) - sequence(before) <= 2
        await heartbeats(link)
        assert after == west.binlog_position()[2]


async def test_filtered_transactions_are_not_read_again_after_a_restart(east, west, both, database):
    """Passed over counts as applied: the next run begins after them."""
    both(TABLES)
    async with running(a_link(database, tables=(f"{database}.t",)), east, west):
        east.sql("INSERT INTO other VALUES (1)", database=database)
        _, _, position = east.binlog_position()
        await wait_until(lambda: durable(west, database) == position)
    async with running(a_link(database, tables=(f"{database}.t",)), east, west) as link:
        assert position == link.runner.position


def durable(server, link):
    """Return the position that the next run of a link would begin with."""
    query = f"SELECT position FROM cdcd.checkpoint WHERE link = '{link}' ORDER BY batch DESC LIMIT 1"
    [(position,)] = server.sql(query)
    return position.decode()


def reaches(position, goal):
    """Return whether a position lies after another."""
    return all(Position.parse(position).includes(gtid) for gtid in Position.parse(goal))


def sequence(gtid):
    """Return a GTID's number."""
    return int(gtid.split("-")[-1])
