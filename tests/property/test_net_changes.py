"""Random transactions, merged and split in every way, end on the target as they ended on the source.

A script is a list of transactions, and a transaction a list of seeds, so that hypothesis shrinks a failure to
the few statements that cause it. Every statement is valid whatever the tables hold (IGNORE, REPLACE): rows
collide, swap keys, hand unique values on, take NULLs and go back to what they were.

A target named ``events``, ``sql`` or ``row_by_row`` is applied to in that way: rows as the events they came as, as SQL,
or one change at a time, which is the plain way that the others must agree with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, closing, suppress
from itertools import count
from random import Random
from typing import Any, NamedTuple

import pymysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdcd.apply.contract import Partition
from cdcd.apply.sql import writer
from cdcd.apply.sql.exchange import MismatchError
from cdcd.config.schema import Link
from tests.fixtures.links import RunningLink, running
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.search import examples
from tests.fixtures.servers import ServerFactory

TABLES = """
CREATE TABLE keyed (id INT PRIMARY KEY, v INT, w VARCHAR(8));
CREATE TABLE moving (id INT PRIMARY KEY, u INT UNIQUE, a INT, b VARCHAR(4), UNIQUE (a, b));
CREATE TABLE letters (id VARCHAR(8) COLLATE utf8mb4_general_ci PRIMARY KEY, v INT,
  u VARCHAR(8) COLLATE utf8mb4_unicode_ci UNIQUE);
CREATE TABLE pairs (a INT, b VARBINARY(4), PRIMARY KEY (a, b));
CREATE TABLE prefixed (id INT PRIMARY KEY, u VARCHAR(12) COLLATE utf8mb4_general_ci, UNIQUE (u(2)));
CREATE TABLE unnamed (u INT NOT NULL UNIQUE, a INT NOT NULL, b VARCHAR(4) NOT NULL, UNIQUE (a, b));
CREATE TABLE unkeyed (v INT, w VARCHAR(8));
CREATE TABLE wide (id BIGINT UNSIGNED PRIMARY KEY, d DECIMAL(30,10), f DOUBLE, s FLOAT, at DATETIME(3), day DATE,
  t TIME(6), stamp TIMESTAMP(2) NULL, e ENUM('a','b'), m SET('x','y'), b BIT(12), raw BLOB, u TINYINT UNSIGNED UNIQUE,
  l TEXT CHARACTER SET latin1, g VARCHAR(9) CHARACTER SET gbk, n BINARY(3), k UUID, i INET6, y YEAR,
  p INT AS (id % 5) PERSISTENT) COLLATE utf8mb4_general_ci;
"""
ROWS = """
INSERT INTO keyed VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, NULL);
INSERT INTO moving VALUES (1, 1, 1, 'a'), (2, 2, NULL, 'a'), (3, NULL, 2, NULL), (4, 4, 2, 'a');
INSERT INTO letters VALUES ('a', 1, 'x'), ('b', 2, NULL), ('é', 3, 'é');
INSERT INTO pairs VALUES (1, 'a'), (1, 'a\\0'), (2, '');
INSERT INTO prefixed VALUES (1, 'aax'), (2, 'abx'), (3, NULL);
INSERT INTO unnamed VALUES (1, 1, 'a'), (2, 1, 'b');
INSERT INTO unkeyed VALUES (1, 'a'), (1, 'a'), (NULL, NULL), (2, 'A');
"""
COLUMNS = {
    "keyed": {"id": "number", "v": "nullable", "w": "letter"},
    "moving": {"id": "number", "u": "nullable", "a": "nullable", "b": "letter"},
    "letters": {"id": "text", "v": "nullable", "u": "text"},
    "pairs": {"a": "number", "b": "bytes"},
    "prefixed": {"id": "number", "u": "text"},
    "unnamed": {"u": "number", "a": "number", "b": "word"},
    "unkeyed": {"v": "nullable", "w": "letter"},
    "wide": {
        "id": "wide",
        "d": "decimal",
        "f": "float",
        "s": "float",
        "at": "at",
        "day": "at",
        "t": "time",
        "stamp": "at",
        "e": "letter",
        "m": "member",
        "b": "nullable",
        "raw": "bytes",
        "u": "nullable",
        "l": "text",
        "g": "letter",
        "n": "bytes",
        "k": "uuid",
        "i": "address",
        "y": "year",
    },
}
VALUES = {
    "number": ["1", "2", "3", "4", "5"],
    "nullable": ["1", "2", "3", "NULL"],
    "letter": ["'a'", "'A'", "'b'", "NULL"],
    "word": ["'a'", "'A'", "'b'"],
    "text": ["'a'", "'A'", "'a '", "'é'", "'e'", "'aab'", "'aac'", "'AAC  '", "'ß'", "'ss'", "''"],
    "bytes": ["''", "'a'", "'a\\0'", "'A'", "'\\0'"],
}
VALUES |= {
    "wide": ["1", "2", "18446744073709551615"],
    "decimal": ["0", "-0.0000000001", "12345678901234567890.5", "NULL"],
    "float": ["0", "-0e0", "0.1", "-1e30", "NULL"],
    "at": ["'0000-00-00'", "'2024-02-29 12:34:56.78'", "NULL"],
    "time": ["'-838:59:59'", "'00:00:00.000001'", "NULL"],
    "member": ["''", "'x,y'", "NULL"],
    "uuid": ["'00112233-4455-6677-8899-aabbccddee00'", "'00000000-0000-0000-0000-000000000000'", "NULL"],
    "address": ["'::'", "'2001:db8::'", "NULL"],
    "year": ["0", "1901", "NULL"],
}
NUMBER_KEYS = {"keyed": "id", "moving": "id", "moving ": "u", "prefixed": "id", "unnamed": "u"}

_numbers = count(1)


def _insert(random: Random) -> str:
    table = random.choice(list(COLUMNS))
    rows = [
        "(" + ",".join(random.choice(VALUES[kind]) for kind in COLUMNS[table].values()) + ")"
        for _ in range(random.choice((1, 1, 3)))
    ]
    verb = random.choice(("INSERT IGNORE", "REPLACE"))
    return f"{verb} INTO {table} ({','.join(COLUMNS[table])}) VALUES {','.join(rows)}"


def _update(random: Random) -> str:
    table = random.choice(list(COLUMNS))
    changed = random.sample(list(COLUMNS[table].items()), random.choice((1, 1, 2)))
    values = ",".join(f"{name}={random.choice(VALUES[kind])}" for name, kind in changed)
    return f"UPDATE IGNORE {table} SET {values} WHERE {_condition(random, table)}{_limit(random, table)}"


def _delete(random: Random) -> str:
    table = random.choice(list(COLUMNS))
    return f"DELETE FROM {table} WHERE {_condition(random, table)}{_limit(random, table)}"


def _condition(random: Random, table: str) -> str:
    name, kind = random.choice(list(COLUMNS[table].items()))
    return f"{name} <=> {random.choice(VALUES[kind])}" if random.random() < 0.9 else "TRUE"


def _limit(random: Random, table: str) -> str:
    return " LIMIT 1" if random.random() < 0.3 else ""


def _swap(random: Random) -> str:
    """Two rows exchange a key through a third value, as applications do."""
    table = random.choice(list(NUMBER_KEYS))
    key, (a, b) = NUMBER_KEYS[table], random.sample(VALUES["number"], 2)
    steps = ((a, "99"), (b, a), ("99", b))
    return ";".join(f"UPDATE IGNORE {table} SET {key}={to} WHERE {key}={of}" for of, to in steps)


def _shift(random: Random) -> str:
    """Every row hands its key to the next."""
    table = random.choice(list(NUMBER_KEYS))
    key, (step, order) = NUMBER_KEYS[table], random.choice((("+ 1", "DESC"), ("- 1", "ASC")))
    return f"UPDATE IGNORE {table} SET {key} = {key} {step} ORDER BY {key} {order}"


def _undone(random: Random) -> str:
    return f"SAVEPOINT s; {_update(random)}; {_delete(random)}; ROLLBACK TO SAVEPOINT s"


def _there_and_back(random: Random) -> str:
    table = random.choice(list(NUMBER_KEYS))
    key, value = NUMBER_KEYS[table], random.choice(VALUES["number"])
    moved = f"UPDATE IGNORE {table} SET {key}=98 WHERE {key}={value}"
    return f"{moved}; UPDATE IGNORE {table} SET {key}={value} WHERE {key}=98"


STATEMENTS = (_insert, _insert, _update, _update, _update, _delete, _swap, _shift, _undone, _there_and_back)


RELAXED = "SET sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'"


def transaction(seeds: list[int]) -> str:
    """Return the SQL of one transaction. Some are rolled back; before some, tables get new ids in the log."""
    statements = [random.choice(STATEMENTS)(random) for random in map(Random, seeds)]
    end = "ROLLBACK" if seeds[0] % 10 == 0 else "COMMIT"
    before = "FLUSH LOCAL TABLES; " if seeds[0] % 20 == 1 else ""
    return f"{RELAXED}; {before}BEGIN; {'; '.join(statements)}; {end}"


seeds = st.lists(st.integers(0, 1 << 16), min_size=1, max_size=5)
scripts = st.lists(seeds, min_size=1, max_size=30)
caps = st.sampled_from((1, 2, 3, 7))


@pytest.fixture(scope="module")
def servers(module_server_factory: ServerFactory) -> tuple[MariaDB, MariaDB]:
    """A source and a target whose settings may be changed."""
    return module_server_factory(), module_server_factory()


class Way(NamedTuple):
    """How a link applies: by so many writers, in batches of so many transactions, and as events, sql or row_by_row."""

    writers: int
    cap: int
    mode: str


@pytest.fixture
def every_way(every_row_splits: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small transactions are shared out too; a target's name decides how."""

    async def modes(self: writer.Writer, partition: Partition) -> list[writer.ApplyMode]:
        return [writer.as_events if self.session.site.name == "events" else writer.as_sql]

    async def run(self: writer.Writer, *arguments: Any, of: Any = writer.Writer._run, **closing: Any) -> Any:
        if self.session.site.name == "row_by_row":
            raise MismatchError("one by one, by order of the test")
        return await of(self, *arguments, **closing)

    monkeypatch.setattr(writer.Writer, "_modes", modes)
    monkeypatch.setattr(writer.Writer, "_run", run)


def contents(server: MariaDB, database: str) -> dict[str, list[str]]:
    """Return every table's rows, in an order that does not depend on a collation."""
    with closing(server.connect(database=database)) as connection, connection.cursor() as cursor:
        cursor.execute(";".join(f"SELECT * FROM {table}" for table in COLUMNS))
        found = []
        for _ in COLUMNS:
            found.append(sorted(map(repr, cursor.fetchall())))
            cursor.nextset()
        return dict(zip(COLUMNS, found, strict=True))


class Trial:
    """One source database, and one target database for each way in which a link may apply it."""

    def __init__(self, servers: tuple[MariaDB, MariaDB], ways: list[Way]) -> None:
        self.source, self.target = servers
        self.number = next(_numbers)
        self.ways = ways
        self.database = f"script_{self.number}"
        for server, database in self.databases():
            server.sql(f"CREATE DATABASE {database}; USE {database}; {TABLES} {ROWS}")
        [(self.start,)] = self.source.sql("SELECT @@GLOBAL.gtid_binlog_pos")

    def databases(self) -> Iterator[tuple[MariaDB, str]]:
        """Return every database with its server."""
        yield self.source, self.database
        for way in self.ways:
            yield self.target, self.name(way)

    def name(self, way: Way) -> str:
        """Return one way's target database, also the name of its link."""
        return f"t{self.number}_w{way.writers}_c{way.cap}_{way.mode}"

    def link(self, way: Way) -> Link:
        """Describe one way's link."""
        name = self.name(way)
        return Link(
            name=name,
            source="east",
            target=way.mode,
            tables=(f"{self.database}.*",),
            rename={f"{self.database}.*": name},
            start=self.start,
            writers=way.writers,
            batch_transactions_max=way.cap,
        )

    async def follow(self, script: str | None = None) -> None:
        """Run all the links until they have caught up, and compare. A script runs beside them."""
        async with AsyncExitStack() as stack:
            links = {
                way: await stack.enter_async_context(running(self.link(way), self.source, self.target))
                for way in self.ways
            }
            if script:
                await asyncio.to_thread(self.run_concurrently, script)
            for way, link in links.items():
                await self.check(way, link)
        for server, database in self.databases():
            server.sql(f"DROP DATABASE {database}")

    async def check(self, way: Way, link: RunningLink) -> None:
        """Fail unless a link ends as the source did, without a conflict; only a row_by_row one may be row_by_row."""
        await link.caught_up()
        assert contents(self.source, self.database) == contents(self.target, self.name(way)), way
        assert 0 == link.runner.conflicts, way
        assert way.mode == "row_by_row" or 0 == link.contradicted, way

    def run_concurrently(self, script: str) -> None:
        """Run each line as a transaction, four at a time; those that the source refuses do not happen."""
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(self._run_line, script.splitlines()))

    def _run_line(self, line: str) -> None:
        with suppress(pymysql.MySQLError):
            self.source.sql(line, database=self.database)


@pytest.mark.usefixtures("every_way")
@settings(max_examples=examples(10, storm=300), derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(script=scripts, cap=caps)
def test_net_changes_end_as_the_source_ended(
    servers: tuple[MariaDB, MariaDB], script: list[list[int]], cap: int
) -> None:
    """Merging rows and splitting batches may change the way, never the end: that is what makes it allowed."""
    trial = Trial(
        servers, [Way(1, cap, "events"), Way(4, cap, "sql"), Way(4, 5000, "events"), Way(1, 5000, "row_by_row")]
    )
    trial.source.sql(";".join(map(transaction, script)), database=trial.database)
    asyncio.run(trial.follow())


@pytest.mark.usefixtures("every_way")
@pytest.mark.parametrize("seed", range(3))
def test_a_link_keeps_up_with_writers_that_compete(servers: tuple[MariaDB, MariaDB], seed: int) -> None:
    """Batches form by chance while the source is written to by several sessions: every cut must be good."""
    random = Random(seed)
    script = [transaction([random.getrandbits(16) for _ in range(random.randint(1, 4))]) for _ in range(400)]
    asyncio.run(Trial(servers, [Way(1, 5000, "sql"), Way(4, 50, "events")]).follow("\n".join(script)))
