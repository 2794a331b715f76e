"""Where a link begins, whatever the source's GTIDs look like; a position that is gone stops it."""

from __future__ import annotations

import pytest

from cdcd.errors import BinlogPurged
from cdcd.model.states import State
from tests.fixtures.links import Both, purge, running
from tests.fixtures.sites import a_link

TABLE = "CREATE TABLE t (n INT PRIMARY KEY)"


@pytest.fixture
def numbers(west, database):
    """Return the numbers that the target has."""
    return lambda: [n for (n,) in west.sql("SELECT n FROM t ORDER BY n", database=database)]


def insert(server, database, *numbers, session="DO 0"):
    """Insert each number in a transaction of its own."""
    server.sql("; ".join([session, *(f"INSERT INTO t VALUES ({n})" for n in numbers)]), database=database)


async def test_now_is_where_the_log_ends_when_the_link_is_first_run(both, east, west, database, numbers):
    """The target was loaded before; a crash before the first batch must not move the beginning."""
    both(TABLE)
    insert(east, database, 1)
    async with running(a_link(database), east, west):
        pass
    insert(east, database, 2)
    async with running(a_link(database), east, west) as link:
        await link.caught_up()
    assert [2] == numbers()


async def test_a_gtid_list_is_where_the_link_begins(both, east, west, database, numbers):
    """What `cdcd position` prints is what `start` takes."""
    both(TABLE)
    insert(east, database, 1)
    start = east.binlog_position()[2]
    insert(east, database, 2, 3)
    async with running(a_link(database, start=start), east, west) as link:
        await link.caught_up()
    assert [2, 3] == numbers()


async def test_a_file_and_an_offset_are_where_the_link_begins(both, east, west, database, numbers):
    """Dumps of mariadb-dump say their position so."""
    both(TABLE)
    insert(east, database, 1)
    file, offset, _ = east.binlog_position()
    insert(east, database, 2, 3)
    async with running(a_link(database, start=f"{file}:{offset}"), east, west) as link:
        await link.caught_up()
    assert [2, 3] == numbers()


async def test_earliest_is_the_first_log_that_there_is(server_factory):
    """All that the source still has, over several files."""
    east, west = server_factory(), server_factory()
    for server in (east, west):
        server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (n INT PRIMARY KEY)")
    for n in range(3):
        insert(east, "shop", n)
        east.sql("FLUSH BINARY LOGS")
    async with running(a_link("shop", start="earliest"), east, west) as link:
        await link.caught_up()
    assert [(0,), (1,), (2,)] == west.sql("SELECT n FROM shop.t ORDER BY n")


async def test_a_checkpoint_is_stronger_than_start(both, east, west, database, numbers):
    """``start`` is for a link that never ran: a restart must not begin again."""
    both(TABLE)
    start = east.binlog_position()[2]
    insert(east, database, 1)
    for _ in range(2):
        async with running(a_link(database, start=start), east, west) as link:
            await link.caught_up()
            insert(east, database, 10 + len(numbers()))
            await link.caught_up()
            assert (0, 0) == (link.row_by_row, link.runner.conflicts)
    assert [1, 11, 12] == numbers()


async def test_a_purged_position_stops_the_link(server_factory):
    """Going on from what there is would be a gap that nobody sees."""
    east, west = server_factory(), server_factory()
    for server in (east, west):
        server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (n INT PRIMARY KEY)")
    insert(east, "shop", 1)
    start = east.binlog_position()[2]
    async with running(a_link("shop", start=start), east, west):
        pass
    insert(east, "shop", 2)
    await purge(east)
    insert(east, "shop", 3)
    async with running(a_link("shop"), east, west) as link:
        error = await link.stopped()
    assert isinstance(error, BinlogPurged), error
    assert State.FAILED is link.runner.state
    assert "new copy" in str(link.runner.error)
    assert [] == west.sql("SELECT n FROM shop.t")


async def test_several_gtid_domains_are_followed(server_factory, west, database, numbers):
    """A position is one GTID of each domain; a restart continues each where it was."""
    east = server_factory()  # A log that has had a domain has it for ever, and other tests expect one.
    east.sql(f"CREATE DATABASE {database}")
    Both(east, west, database).both(TABLE)
    for first in (0, 10):
        async with running(a_link(database), east, west) as link:
            for domain in (7, 0, 9, 7):
                insert(east, database, first, session=f"SET SESSION gtid_domain_id = {domain}")
                first += 1
            await link.caught_up()
            assert (0, 0) == (link.row_by_row, link.runner.conflicts)
            logged = east.binlog_position()[2]
    assert [0, 1, 2, 3, 10, 11, 12, 13] == numbers()
    assert logged == link.runner.position


async def test_transactions_under_a_session_server_id_are_carried(both, east, west, database, numbers):
    """Applications and other tools set server ids of their own; only the target's would mean that it was there."""
    both(TABLE)
    for first, server_id in ((1, 4711), (2, 4712)):
        async with running(a_link(database), east, west) as link:
            insert(east, database, first, session=f"SET SESSION server_id = {server_id}")
            await link.caught_up()
    assert [1, 2] == numbers()
