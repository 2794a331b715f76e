"""Memory is bounded, however large a transaction is and however slow the target."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import NamedTuple

import pytest

from tests.fixtures import proxy
from tests.fixtures.daemon import until

MIB = 1024 * 1024
BIG = "CREATE TABLE shop.big (id INT PRIMARY KEY, body CHAR(240) CHARACTER SET latin1) ENGINE=InnoDB"
ROOMY = {"innodb-buffer-pool-size": "256M", "innodb-log-file-size": "512M"}
ON_DISK = None  # A gigabyte and more for each server is too much to keep in memory.


class Scale(NamedTuple):
    """So many rows of a quarter of a kilobyte, which would not fit in the peak, and what a link may hold of them."""

    rows: int
    peak_bytes_max: int
    limits: dict[str, int]


SMALL = Scale(300_000, 100_000_000, {"transaction_bytes_max": 4 * MIB, "queue_bytes_max": 8 * MIB})
LARGE = Scale(1_000_000, 200_000_000, {})
HUGE = Scale(4_000_000, 200_000_000, {})


@pytest.fixture(scope="module")
def scale(request):
    """Return how much a link is given: as much as its defaults are made for in a storm."""
    return LARGE if request.config.getoption("--storm") else SMALL


@pytest.fixture(scope="module")
def source(module_server_factory, scale):
    """A server whose log holds one large transaction."""
    server = module_server_factory(ROOMY, within=ON_DISK)
    server.sql(f"CREATE DATABASE shop; {BIG}")
    server.before = server.binlog_position()[2]
    rows = f"SELECT seq, REPEAT(CHAR(65 + seq % 26), 240) FROM shop.seq_1_to_{scale.rows}"
    server.sql(f"INSERT INTO shop.big {rows}")
    return server


@pytest.fixture
def target(server_factory):
    """A server with the same table, empty."""
    server = server_factory(ROOMY, within=ON_DISK)
    server.sql(f"CREATE DATABASE shop; {BIG}")
    return server


@pytest.fixture
def link(source, target, scale, daemon_factory):
    """Make the daemon of a link that begins before the large transaction; ``through`` stands in for its source."""

    def make(through=None):
        keys = {"source": "a", "target": "b", "tables": ["shop.*"], "start": source.before}
        keys |= {"heartbeat_seconds": 2, **scale.limits}
        return daemon_factory({"a": through or source, "b": target}, {"big": keys})

    return make


class Reader:
    """Looks at the target all the time, and keeps what it saw; a part of a transaction must not be among it."""

    def __init__(self, server):
        self._server = server
        self._stop = threading.Event()
        self.seen = set()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_):
        """End."""
        self._stop.set()
        self._thread.join()

    def _run(self):
        with closing(self._server.connect(database="shop")) as connection, connection.cursor() as cursor:
            while not self._stop.wait(0.02):
                cursor.execute("SELECT EXISTS (SELECT 1 FROM big)")
                if cursor.fetchone() == (1,):
                    cursor.execute("SELECT COUNT(*) FROM big")
                    self.seen |= set(cursor.fetchone())
                else:
                    self.seen.add(0)


def rows_applied(daemon):
    """Return how many rows the link has sent to the target, committed or not."""
    if not daemon.status:
        return 0
    big = daemon.status["big"]
    return big["rows"] + big["stages"]["apply"]["rows_open"]


def transactions(server, since):
    """Return how many transactions a server's log holds from a place on that change the table."""
    file, offset, _ = since
    kinds = [(row[2], row[5]) for row in server.sql(f"SHOW BINLOG EVENTS IN '{file}' FROM {offset}")]
    begun = "".join("|" if kind == "Gtid" else "t" if "shop.big" in info else "" for kind, info in kinds)
    return sum("t" in each for each in begun.split("|"))


def assert_whole(source, target):
    """Fail unless both tables are the same."""
    query = "SELECT COUNT(*), SUM(id), BIT_XOR(CRC32(CONCAT(id, body))) FROM shop.big"
    assert source.sql(query) == target.sql(query)


def test_a_large_transaction_passes_in_little_memory(link, source, target, scale):
    """It is streamed into one target transaction: nobody ever sees a part of it."""
    daemon = link()
    with Reader(target) as reader:
        daemon.start()
        until(lambda: rows_applied(daemon) > 0)
        before = target.binlog_position()
        until(lambda: daemon.status["big"]["transactions"] == 1, 180)
        until(lambda: scale.rows in reader.seen)
    assert {0, scale.rows} == reader.seen
    assert 1 == transactions(target, before)
    assert daemon.peak_bytes < scale.peak_bytes_max
    assert_whole(source, target)


def test_a_large_transaction_cut_in_its_middle_is_applied_once(link, source, target, scale):
    """Whether cdcd dies or the source's connection: what was sent rolls back, and all of it comes again."""
    with proxy.Proxy(source) as through, Reader(target) as reader:
        daemon = link(through)
        daemon.start()
        until(lambda: rows_applied(daemon) > scale.rows // 3)
        assert daemon.peak_bytes < scale.peak_bytes_max
        daemon.kill()
        daemon.start()
        until(lambda: rows_applied(daemon) > scale.rows // 3)
        through.cut()
        until(lambda: daemon.status["big"]["transactions"] == 1, 180)
        until(lambda: scale.rows in reader.seen)
        assert {0, scale.rows} == reader.seen
    assert daemon.status["big"]["stages"]["source"]["reconnects"] >= 1
    assert [] == daemon.events("share_contradicted")
    assert daemon.peak_bytes < scale.peak_bytes_max
    assert_whole(source, target)


@pytest.mark.parametrize("scale", [SMALL, pytest.param(HUGE, marks=pytest.mark.storm)], ids=["small", "huge"])
def test_a_target_that_stands_still_holds_the_source_back(server_factory, daemon_factory, scale):
    """Under FLUSH TABLES WITH READ LOCK, for a backup, the backlog waits in the source's log, not in memory."""
    a, b = server_factory(ROOMY, within=ON_DISK), server_factory(ROOMY, within=ON_DISK)
    for server in (a, b):
        server.sql(f"CREATE DATABASE shop; {BIG}; CREATE TABLE shop.small (id INT PRIMARY KEY)")
    keys = {"source": "a", "target": "b", "tables": ["shop.*"], "heartbeat_seconds": 2, **scale.limits}
    daemon = daemon_factory({"a": a, "b": b}, {"big": keys})
    daemon.start()
    daemon.streams()
    with closing(b.connect()) as backup:
        backup.cursor().execute("FLUSH TABLES WITH READ LOCK")
        body = "REPEAT(CHAR(65 + seq % 26), 240)"
        for first in range(1, scale.rows, 4000):
            small = "".join(f"INSERT INTO shop.small VALUES ({first + n});" for n in range(50))
            a.sql(f"{small} INSERT INTO shop.big SELECT seq, {body} FROM shop.seq_{first}_to_{first + 3999}")
        until(lambda: held(daemon) > 6 * MIB)
        assert b.sql("SELECT COUNT(*) FROM shop.big") == [(0,)]
        assert "streaming" == daemon.states["big"]
        backup.cursor().execute("UNLOCK TABLES")
    counts = "SELECT (SELECT COUNT(*) FROM shop.small), (SELECT COUNT(*) FROM shop.big)"
    until(lambda: a.sql(counts) == b.sql(counts), 600)
    assert daemon.peak_bytes < scale.peak_bytes_max
    assert_whole(a, b)


class Light(NamedTuple):
    """A log of few bytes with much behind them: the tables, how it is written, and what its server is told."""

    tables: dict[str, str]
    fill: str
    options: dict[str, str]


BY_TURNS = """
    START TRANSACTION;
    FOR n IN 1..150000 DO
        INSERT INTO shop.parent VALUES (n);
        INSERT INTO shop.child VALUES (n, n);
    END FOR;
    COMMIT;"""
ZEROS = "FOR n IN 1..200 DO INSERT INTO shop.t VALUES (n, REPEAT('0', 1 << 20)); END FOR;"
LIGHT = {
    "narrow": Light(
        {"t": "id INT PRIMARY KEY, v INT UNIQUE"},
        "INSERT INTO shop.t SELECT seq, seq FROM shop.seq_1_to_900000;",
        {},
    ),
    "by turns": Light(
        {"parent": "id INT PRIMARY KEY", "child": "id INT PRIMARY KEY, p INT NOT NULL REFERENCES shop.parent (id)"},
        BY_TURNS,
        {},
    ),
    "compressed": Light({"t": "id INT PRIMARY KEY, body LONGTEXT NOT NULL"}, ZEROS, {"log-bin-compress": "ON"}),
}


@pytest.mark.parametrize("light", LIGHT.values(), ids=LIGHT)
def test_a_log_of_few_bytes_with_much_behind_them_passes_in_little_memory(server_factory, daemon_factory, light):
    """What is bounded is memory: the bytes of narrow rows, of rows by turns, and of a packed log do not tell it."""
    source, target = (server_factory(ROOMY | light.options, within=ON_DISK) for _ in range(2))
    for server in (source, target):
        server.sql(
            "CREATE DATABASE shop;" + "".join(f"CREATE TABLE shop.{t} ({of});" for t, of in light.tables.items())
        )
    start = source.binlog_position()[2]
    keys = {"source": "a", "target": "b", "tables": ["shop.*"], "start": start}
    limits = {"transaction_bytes_max": 8 * MIB, "queue_bytes_max": 8 * MIB}
    with closing(source.connect()) as connection:
        connection.cursor().execute(f"BEGIN NOT ATOMIC {light.fill} END")
    daemon = daemon_factory({"a": source, "b": target}, {"big": keys | limits})
    daemon.start()
    written = sequence(source.binlog_position()[2]) - sequence(start)
    until(lambda: daemon.status.get("big", {}).get("transactions") == written, 180)
    assert daemon.peak_bytes < SMALL.peak_bytes_max
    for table in light.tables:
        assert source.sql(f"CHECKSUM TABLE shop.{table}") == target.sql(f"CHECKSUM TABLE shop.{table}")


def sequence(gtid):
    """Return a transaction's number in its domain."""
    return int(gtid.rsplit("-", 1)[1])


def held(daemon):
    """Return how many bytes wait in the daemon."""
    return daemon.status["big"]["stages"]["batch"]["bytes_held"]
