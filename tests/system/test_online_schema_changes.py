"""Tools that change a table online, by a copy that takes its place, lose no row: they work, or a link stops."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import pytest

from cdcd.config.schema import Link
from cdcd.errors import CdcdError, SchemaMismatch
from tests.fixtures.links import RunningLink, running
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.sites import one_way

TABLE = "CREATE TABLE t (site CHAR(1), n INT, v VARCHAR(20), note TEXT, doc JSON, PRIMARY KEY (site, n))"
ALTER = "ADD COLUMN extra INT DEFAULT 7"
SQL_SECONDS_MAX = 120


@pytest.fixture(params=["triggers", "log"])
def tool(request: pytest.FixtureRequest) -> str:
    """Both kinds of tool: pt-online-schema-change, whose triggers follow the table, and gh-ost's steps, without any."""
    if request.param == "triggers" and not shutil.which("pt-online-schema-change"):
        missing = "pt-online-schema-change is not installed; conf/install test installs it"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return str(request.param)


def change(tool: str, server: MariaDB, database: str) -> None:
    """Change the table as the tool does; it may fail, and then leaves the table as it was."""
    if tool == "triggers":
        place = f"h={server.host},P={server.port},u={server.user},p={server.password},D={database},t=t"
        words = ["--execute", "--alter", ALTER, "--no-check-replication-filters", "--recursion-method=none", place]
        subprocess.run(["pt-online-schema-change", *words], capture_output=True, timeout=SQL_SECONDS_MAX, check=False)
        return
    # gh-ost follows the log instead of the lock; what it does to the tables is the same.
    server.sql(f"CREATE TABLE _t_gho LIKE t; ALTER TABLE _t_gho {ALTER}", database=database)
    swap = "RENAME TABLE t TO _t_del, _t_gho TO t"
    with server.connect(database=database, autocommit=True) as session, session.cursor() as cursor:
        cursor.execute("LOCK TABLES t READ")
        server.sql("REPLACE INTO _t_gho (site, n, v, note, doc) SELECT * FROM t", database=database)
        swapping = threading.Thread(target=server.sql, args=(swap,), kwargs={"database": database})
        swapping.start()
        waiting = f"SELECT 1 FROM information_schema.processlist WHERE info = '{swap}' AND state LIKE 'Waiting%'"
        while swapping.is_alive() and not server.sql(waiting):
            swapping.join(0.01)
        cursor.execute("UNLOCK TABLES")
        swapping.join()
    server.sql("DROP TABLE _t_del", database=database)


@contextmanager
def writing(*servers: tuple[MariaDB, str], database: str) -> Iterator[None]:
    """Insert and update rows on servers, each under its site's letter, all the while."""
    stop = threading.Event()

    def work(server: MariaDB, site: str) -> None:
        with server.connect(database=database, autocommit=True) as session, session.cursor() as cursor:
            n = 0
            while not stop.wait(0.005):
                cursor.execute(f"INSERT INTO t (site, n, v, note, doc) VALUES ('{site}', {n}, 'new', 'é {n}', '[{n}]')")
                cursor.execute(f"UPDATE t SET v = 'changed', doc = '{{}}' WHERE site = '{site}' AND n = {n // 2}")
                n += 1

    threads = [threading.Thread(target=work, args=each) for each in servers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


async def settled(*links: RunningLink) -> CdcdError | None:
    """Wait until every link has caught up or stopped; return why one has."""
    error = None
    for link in (*links, *links):
        try:
            await link.caught_up()
        except CdcdError as stopped:
            error = error or stopped
    return error


def contents(server: MariaDB, database: str) -> list[tuple[Any, ...]]:
    """Return the rows that both sides must have."""
    return server.sql("SELECT site, n, v, note, doc FROM t ORDER BY 1, 2", database=database)


@pytest.mark.parametrize("ddl", [False, True])
async def test_on_a_pair_under_writes_of_both_sites(
    east: MariaDB, west: MariaDB, database: str, tool: str, ddl: bool
) -> None:
    """The copy lacks what the other site wrote, or the other site's lacks its own: a link says so before it is lost."""
    for server in (east, west):
        server.sql(TABLE, database=database)
    forward, reverse = (one_way(database, way, ddl=ddl) for way in ("forward", "reverse"))
    async with AsyncExitStack() as stack:
        there = await stack.enter_async_context(running(forward, east, west, is_paired=True))
        back = await stack.enter_async_context(running(reverse, west, east, is_paired=True))
        with writing((east, "e"), (west, "w"), database=database):
            await asyncio.sleep(0)
            await asyncio.to_thread(change, tool, east, database)
        error = await settled(there, back)
        if error is None:
            assert contents(east, database) == contents(west, database)
    # No site has lost a row that it wrote itself, whatever stopped.
    for server, site in ((east, "e"), (west, "w")):
        query = f"SELECT COUNT(*), MAX(n) + 1 FROM t WHERE site = '{site}'"
        [(count, expected)] = server.sql(query, database=database)
        assert count == expected > 0


@pytest.mark.parametrize("side", ["source", "target"])
async def test_on_one_way(east: MariaDB, west: MariaDB, database: str, tool: str, side: str) -> None:
    """On the source it is carried like any other change; on the target, triggers stop the link before a row."""
    for server in (east, west):
        server.sql(TABLE, database=database)
    link = Link(name=database, source="east", target="west", tables=(f"{database}.*",), ddl=True)
    async with running(link, east, west) as run:
        with writing((east, "e"), database=database):
            await asyncio.to_thread(change, tool, east if side == "source" else west, database)
        error = await settled(run)
    if error is None:
        assert contents(east, database) == contents(west, database)
    else:
        assert isinstance(error, SchemaMismatch)
        assert (tool, side) == ("triggers", "target")
