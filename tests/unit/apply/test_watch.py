"""Who is waited for and who is given up: by what the server says of the thread, and no sooner than is sure."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from cdcd.apply.sql.watch import BYTES_PER_SECOND_MIN, SILENT_HEARTBEATS, Watch
from cdcd.errors import AccessDenied, TargetLost
from cdcd.mysql.flavor.mariadb import MARIADB
from cdcd.mysql.session import Waiting

HEARTBEAT_SECONDS = 10
LONG = SILENT_HEARTBEATS * HEARTBEAT_SECONDS + 1
WRITER, ASKING = 7, 8
SLEEPS, WORKS = (WRITER, "Sleep", ""), (WRITER, "Query", "Updating")


@dataclass
class Session:
    """A session that waits."""

    waiting: Waiting | None
    thread_id: int = WRITER


class Server:
    """What the server answers."""

    thread_id, flavor = ASKING, MARIADB

    def __init__(self):
        self.threads = [SLEEPS]
        self.me, self.name, self.uptime = ASKING, "west", 1e6
        self.refusal = None
        self.opened = self.asked = 0

    async def open(self):
        """Connect, unless that is refused."""
        self.opened += 1
        if self.refusal:
            raise self.refusal
        return self

    async def fetch(self, query):
        """Answer, and count it."""
        self.asked += 1
        return self.threads if "processlist" in query else [(self.me, self.name, str(self.uptime))]

    def abort(self):
        """Do nothing: there is no connection."""
        pass


@pytest.fixture
def server():
    """A server whose only thread sleeps."""
    return Server()


@pytest.fixture
def session():
    """A session that has waited for an answer for long."""
    return Session(Waiting(number=1, seconds=LONG, bytes_sent=100, bytes_held=0))


@pytest.fixture
def watch(server, session):
    """The watch of that session."""
    return Watch([session], server.open, "west")


async def is_given_up(watch, looks=5):
    """Look a few times, and return whether the connection was given up."""
    try:
        for _ in range(looks):
            await watch.look(HEARTBEAT_SECONDS)
    except TargetLost:
        return True
    return False


async def test_a_session_that_sleeps_at_two_looks_is_given_up(watch):
    """One look may fall between the end of a statement and the arrival of its answer."""
    await watch.look(HEARTBEAT_SECONDS)
    assert "sleeps" in watch.blocked
    assert await is_given_up(watch, 1)


async def test_a_session_that_is_gone_is_given_up(watch, server):
    """Its end of the connection was closed by a KILL or a restart, and the news was lost."""
    server.threads = []
    assert await is_given_up(watch)


async def test_a_server_that_was_started_since_has_other_sessions_under_the_ids(watch, server):
    """Ids begin anew with each start; another session's work is not ours."""
    server.threads, server.uptime = [WORKS], LONG / 2
    assert await is_given_up(watch)


async def test_a_session_that_works_is_waited_for(watch, server):
    """However long: it may be a schema change of hours."""
    server.threads = [WORKS]
    assert not await is_given_up(watch)
    assert "Updating" in watch.blocked


async def test_no_one_asks_before_it_is_late(watch, server, session):
    """A busy target has better things to do."""
    session.waiting = session.waiting._replace(seconds=LONG - 2)
    assert not await is_given_up(watch)
    assert (0, None) == (server.opened, watch.blocked)


async def test_a_command_on_its_way_adds_to_the_patience(watch, session):
    """A thread sleeps until it has a command whole; a slow line takes its time for a large one."""
    size = 100 * BYTES_PER_SECOND_MIN
    session.waiting = session.waiting._replace(bytes_sent=size)
    assert not await is_given_up(watch)
    session.waiting = session.waiting._replace(seconds=LONG + 100)
    assert await is_given_up(watch)


async def test_bytes_that_move_are_no_silence(watch, session):
    """However slowly: what this side still holds becomes less."""
    for held in range(10, 0, -1):
        session.waiting = session.waiting._replace(bytes_held=held)
        await watch.look(HEARTBEAT_SECONDS)
    assert await is_given_up(watch)


async def test_another_command_each_time_is_no_silence(watch, session):
    """Between two commands a thread sleeps too."""
    for number in range(10):
        session.waiting = session.waiting._replace(number=number)
        await watch.look(HEARTBEAT_SECONDS)


@pytest.mark.parametrize("change", [{"me": 99}, {"name": "another"}])
async def test_ids_that_are_not_the_servers_prove_nothing(watch, server, change):
    """A proxy that speaks the protocol gives ids of its own, and may ask another server."""
    vars(server).update(change)
    server.threads = []
    assert not await is_given_up(watch)
    assert watch.blocked


async def test_an_account_that_may_not_look_goes_on_waiting(watch, server):
    """What can't be known is no reason to drop what may be working."""
    server.refusal = AccessDenied("no")
    assert not await is_given_up(watch)
    assert "can't look why: no" in watch.blocked


async def test_a_server_without_room_for_one_more_connection_is_there(watch, server):
    """It has answered; a link that gives its connections up may not get them back."""
    server.refusal = TargetLost("too many connections")
    server.refusal.__cause__ = RuntimeError(1040, "Too many connections")
    assert not await is_given_up(watch)


async def test_a_server_that_does_not_answer_the_question_is_lost(watch, server):
    """Whatever the thread does, nobody here will learn of it over this way."""
    server.refusal = TargetLost("no answer")
    assert await is_given_up(watch, 1)


async def test_an_answer_ends_the_news(watch, server, session):
    """And the connection for questions is not kept."""
    server.threads = [WORKS]
    await watch.look(HEARTBEAT_SECONDS)
    session.waiting = None
    await watch.look(HEARTBEAT_SECONDS)
    assert watch.blocked is None
    session.waiting = Waiting(2, LONG, 1, 0)
    await watch.look(HEARTBEAT_SECONDS)
    assert 2 == server.opened
