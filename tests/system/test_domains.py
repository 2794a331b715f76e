"""An active-active pair whose applications write in GTID domains of their own."""

from __future__ import annotations

import signal

import pytest

from tests.fixtures.daemon import until
from tests.system.conftest import quiet

DOMAIN = 2


@pytest.fixture
def sites(server_factory, database):
    """Two servers of the test's own: no other's log should know the domain."""
    east, west = (server_factory({}) for _ in range(2))
    for server in (east, west):
        server.sql(f"CREATE DATABASE {database}; CREATE TABLE {database}.t (id INT PRIMARY KEY, v CHAR(4))")
    return east, west


def links(database):
    """Return a pair's links."""
    return {
        name: {"source": source, "target": target, "tables": [f"{database}.*"], "writers": 1}
        for name, source, target in (("forward", "east", "west"), ("reverse", "west", "east"))
    }


def write(here, there, database, number, site, **session):
    """Write a row, and wait until it is on the other side."""
    with here.connect(database=database) as connection, connection.cursor() as cursor:
        for name, value in session.items():
            cursor.execute(f"SET SESSION {name} = {value}")
        cursor.execute(f"INSERT INTO t VALUES ({number}, '{site}')")
    until(lambda: there.sql(f"SELECT 1 FROM {database}.t WHERE id = {number}"))


@pytest.mark.parametrize("lost", ["daemon stopped", "daemon killed", "source restarted", "source's connection"])
def test_a_link_goes_on_after_it_passed_over_a_link_s_own_in_another_domain(sites, database, daemon_factory, lost):
    """Its place in the log is after what it passed over, so its position must be too: else the log seems another."""
    east, west = sites
    daemon = daemon_factory({"east": east, "west": west}, links(database))
    daemon.start()
    daemon.streams()
    for number in range(0, 8, 2):
        write(east, west, database, number, "east")
        if lost == "source's connection":
            # Between the link's own transaction, which is passed over, and the one that is carried.
            [(reader,)] = west.sql("SELECT id FROM information_schema.processlist WHERE command = 'Binlog Dump'")
            west.sql(f"KILL {reader}")
        write(west, east, database, number + 1, "west", gtid_domain_id=DOMAIN)
        if lost == "source restarted":
            west.restart()
        elif lost == "daemon killed":
            daemon.kill()
        else:
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
        if not lost.startswith("source r"):
            daemon.start()
        daemon.streams()
    rows = f"SELECT * FROM {database}.t ORDER BY id"
    assert 8 == len(east.sql(rows)) == len(west.sql(rows))
    assert east.sql(rows) == west.sql(rows)
    assert [] == daemon.events("link_failed")
    quiet(daemon, east, west)
