"""What is promised of a source holds for the one that reads a server's log and for the fake that stands in for it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from cdcd.config.schema import Link
from cdcd.errors import SourceLost
from cdcd.model.position import UNKNOWN, Gtid, Position, Progress
from cdcd.mysql.session import Session
from cdcd.row.transaction import Transaction
from cdcd.source.catalog import LogCatalog
from cdcd.source.contract import Catalog, Source
from cdcd.source.stream import BinlogStream
from tests.fixtures.binlog_bytes import Log, LoggedTable
from tests.fixtures.fakes import FakeCatalog, FakeSource
from tests.fixtures.links import wait_until
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.sites import a_link, site

READER = 4_100_000
MIB = 1 << 20


class OfFake:
    """A source that a test writes to itself."""

    def __init__(self, database: str) -> None:
        self.table = LoggedTable({"id": "int", "v": "int"}, name=(database, "t"))
        self.source: Any = FakeSource()
        self.catalog: Catalog = FakeCatalog({self.table.name: self.table.table})
        self._log = Log()

    def write(self, count: int) -> list[Gtid]:
        """Commit so many transactions; return them."""
        self._log.written = Log().written
        written = [self._log.commit(self.table.insert((n, n))) for n in range(count)]
        self.source.log(*self._log.unplanned())
        return written

    def write_packed(self, count: int) -> list[Gtid]:
        """Commit so many transactions that are more than what they come in."""
        return [gtid for _ in range(count) for gtid in self.write(1)]

    async def lose(self) -> None:
        """End the connection."""
        self.source.lose()

    async def close(self) -> None:
        """Nothing is open."""


class OfServer:
    """The log of a server."""

    catalog: Catalog

    def __init__(self, server: MariaDB, database: str) -> None:
        self._server, self._database, self._rows = server, database, 0
        server.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT, body LONGTEXT)", database=database)
        self.link: Link = a_link(database)
        self.source: Source = BinlogStream(
            site(server, "east"), self.link, READER, Position.parse(self._end()), UNKNOWN, time.monotonic
        )

    async def open_catalog(self) -> None:
        """Connect what answers for tables."""
        self._session = await Session.open(site(self._server, "east"), SourceLost)
        self.catalog = await LogCatalog.open(site(self._server, "east"), self.link, READER, self._session)

    def _end(self) -> str:
        [(end,)] = self._server.sql("SELECT @@GLOBAL.gtid_binlog_pos")
        return str(end)

    def write(self, count: int, body: str = "NULL") -> list[Gtid]:
        """Commit so many transactions; return them."""
        written = []
        for _ in range(count):
            self._rows += 1
            [(gtid,)] = self._server.sql(
                f"INSERT INTO t VALUES ({self._rows}, 0, {body}); SELECT @@last_gtid", database=self._database
            )
            written.append(Gtid.parse(gtid))
        return written

    def write_packed(self, count: int) -> list[Gtid]:
        """Commit so many transactions that are more than what they come in."""
        self._server.sql("SET GLOBAL log_bin_compress = ON")
        return self.write(count, f"REPEAT('a', {MIB})")

    async def lose(self) -> None:
        """End the thread that sends the log to this reader."""
        threads = self._server.sql("SELECT id FROM information_schema.processlist WHERE command = 'Binlog Dump'")
        for (thread,) in threads:
            self._server.sql(f"KILL {thread}")

    async def close(self) -> None:
        """Drop the connections."""
        self.source.close()
        await self._session.close()


@pytest.fixture(params=["fake", "binlog"])
async def kind(request: pytest.FixtureRequest, server_factory, database_name: str) -> Any:
    """A source of each kind."""
    if request.param == "fake":
        yield OfFake(database_name)
        return
    server = server_factory()
    server.sql(f"CREATE DATABASE {database_name}")
    found = OfServer(server, database_name)
    await found.open_catalog()
    yield found
    await found.close()


@pytest.fixture
def database_name() -> str:
    """A database of the test's own server."""
    return "shop"


async def read(source: Source, count: int) -> list[Gtid]:
    """Read until so many transactions have come; return them."""
    found: list[Gtid] = []
    async with asyncio.timeout(60):
        while len(found) < count:
            found += [each.gtid for each in (await source.read()).transactions]
    return found


async def test_each_transaction_comes_once_and_in_order(kind: Any) -> None:
    """What comes twice is applied twice."""
    first = kind.write(3)
    assert first == await read(kind.source, 3)
    second = kind.write(4)
    assert second == await read(kind.source, 4)
    assert str(second[-1]) == str(kind.source.position)


async def test_a_reader_that_is_cancelled_while_it_waits_loses_nothing(kind: Any) -> None:
    """A drain, or a reload, comes at any moment."""
    assert kind.write(1) == await read(kind.source, 1)
    waiting = asyncio.create_task(kind.source.read())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert kind.write(2) == await read(kind.source, 2)


async def impatient(source: Source) -> list[Transaction]:
    """Return what can be had at once."""
    reading = asyncio.create_task(source.read())
    await asyncio.sleep(0)
    reading.cancel()
    [found] = await asyncio.gather(reading, return_exceptions=True)
    return [] if isinstance(found, BaseException) else found.transactions


async def test_what_is_more_than_it_came_in_comes_in_pieces_and_whole(kind: Any) -> None:
    """A megabyte of a packed log may be a gigabyte, for which there is no room; what waits for it is not lost."""
    written = kind.write_packed(20)
    found: list[Gtid] = []
    async with asyncio.timeout(60):
        while len(found) < len(written):
            for piece in (await kind.source.read()).transactions, await impatient(kind.source):
                assert sum(each.size for each in piece) < 6 * MIB
                found += [each.gtid for each in piece]
    assert written == found
    assert str(written[-1]) == str(kind.source.position)


async def test_a_lost_connection_is_mended_and_nothing_comes_twice(kind: Any) -> None:
    """It goes on after the last transaction that was read whole."""
    assert kind.write(2) == await read(kind.source, 2)
    await kind.lose()
    assert kind.write(2) == await read(kind.source, 2)
    await wait_until(lambda: kind.source.lost.is_set())
    assert kind.source.figures.reconnects


async def test_the_catalog_says_what_a_table_is_and_was(kind: Any) -> None:
    """Rows are read by it."""
    kind.write(1)
    async with asyncio.timeout(60):
        chunk = await kind.source.read()
    [transaction] = chunk.transactions
    described = transaction.tables[0].description
    found, table = await kind.catalog.as_of(described, transaction.gtid, Progress(Position()))
    assert found.column_names == tuple(column.name for column in table.columns)
    assert ("id", "v") == found.column_names[:2]
    assert not await kind.catalog.is_sequence(found, transaction.gtid, Progress(Position()))
    assert ["BASE TABLE", ""] == [await kind.catalog.kind(("shop", name)) for name in ("t", "u")]
