"""Tables of unusual shape arrive whole: many columns, odd names, columns that are computed, hidden or elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from cdcd.errors import ApplyFailed
from tests.fixtures.links import Both
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.servers import ServerFactory

GENERATED = """CREATE TABLE t (
  id INT PRIMARY KEY, half INT AS (n DIV 2) VIRTUAL, n INT, twice BIGINT AS (n * 2) STORED,
  name VARCHAR(20), upper VARCHAR(20) AS (UPPER(name)) VIRTUAL, last INT,
  KEY (half), KEY (twice), UNIQUE KEY (upper)
)"""
HIDDEN = """CREATE TABLE t (
  id INT PRIMARY KEY, secret INT INVISIBLE DEFAULT 7, n INT DEFAULT 3,
  made TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  token UUID DEFAULT UUID(), roll DOUBLE DEFAULT RAND(), hidden DATETIME(6) INVISIBLE DEFAULT NOW(6)
)"""


@pytest.fixture
def pair(east: MariaDB, west: MariaDB, database: str) -> Both:
    """The shared servers with the test's database."""
    return Both(east, west, database)


async def carry(pair: Both, *phases: str, show: str = "SELECT * FROM t ORDER BY 1") -> list[tuple[Any, ...]]:
    """Run each phase on the source under a running link; the rows must be equal after each. Return the last."""
    rows: list[tuple[Any, ...]] = []
    async with pair.running() as link:
        for statements in phases:
            pair.only_source(statements)
            await link.caught_up()
            rows = pair.on_source(show)
            assert rows == pair.on_target(show)
        assert link.runner.conflicts == 0
    return rows


async def test_generated_columns_are_left_to_the_target(pair: Both) -> None:
    """Virtual and stored columns, also amid the others and indexed, are computed there and equal."""
    pair.both(GENERATED)
    rows = await carry(
        pair,
        "INSERT INTO t (id, n, name, last) VALUES (1, 5, 'a', 1), (2, NULL, 'b', 2), (3, 7, NULL, 3)",
        "UPDATE t SET n = n + 1, name = 'c' WHERE id = 1; UPDATE t SET id = 9 WHERE id = 3",
        "DELETE FROM t WHERE id = 2; INSERT INTO t (id, n, name) VALUES (2, 4, 'a')",
    )
    assert [(1, 3, 6, 12, "c", "C", 1), (2, 2, 4, 8, "a", "A", None), (9, 3, 7, 14, None, None, 3)] == rows


async def test_a_table_with_generated_columns_and_no_key_is_matched_by_the_others(pair: Both) -> None:
    """What the server computes is not in the condition, so rows are found."""
    pair.both("CREATE TABLE t (half INT AS (n DIV 2) VIRTUAL, n INT, twice BIGINT AS (n * 2) STORED)")
    rows = await carry(
        pair,
        "INSERT INTO t (n) VALUES (1), (1), (NULL)",
        "UPDATE t SET n = 8 LIMIT 1",
        "DELETE FROM t WHERE n = 1 LIMIT 1",
        show="SELECT * FROM t ORDER BY n",
    )
    assert [(None, None, None), (4, 8, 16)] == rows


async def test_what_the_source_made_up_is_what_arrives(pair: Both) -> None:
    """Defaults, also of invisible columns, are the source's values and are not made anew."""
    pair.both(HIDDEN)
    show = "SELECT id, secret, n, made, token, roll, hidden FROM t ORDER BY id"
    rows = await carry(
        pair,
        "INSERT INTO t (id) VALUES (1), (2); INSERT INTO t (id, secret) VALUES (3, NULL)",
        "UPDATE t SET n = 4 WHERE id = 1; UPDATE t SET secret = 70 WHERE id = 2",
        show=show,
    )
    assert [(1, 7), (2, 70), (3, None)] == [row[:2] for row in rows]


@pytest.mark.parametrize("count", [249, 250, 251, 260, 800])
async def test_tables_of_many_columns(pair: Both, count: int) -> None:
    """Past 250 columns the event's own count of columns takes more than one byte."""
    pair.both(f"CREATE TABLE t (id INT PRIMARY KEY, {', '.join(f'c{n} TINYINT' for n in range(count - 1))})")
    values = ",".join("NULL" if n % 7 == 0 else str(n % 100) for n in range(count - 1))
    rows = await carry(
        pair,
        f"INSERT INTO t VALUES (1, {values}), (2, {values})",
        "UPDATE t SET c0 = 5, c100 = NULL WHERE id = 2; DELETE FROM t WHERE id = 1",
    )
    assert 1 == len(rows)


@pytest.mark.parametrize("name", ["a`b", "a.b", "日本", " 1", "select", "%_\\", "a'b\"c", "ÿ" * 63])
async def test_odd_names(pair: Both, name: str) -> None:
    """Tables and columns may be called anything that a server lets them be called."""
    quoted = "`" + name.replace("`", "``") + "`"
    pair.both(f"CREATE TABLE {quoted} ({quoted} VARCHAR(9) PRIMARY KEY, n INT)")
    rows = await carry(
        pair,
        f"INSERT INTO {quoted} VALUES ('a', 1), ('b', 2)",
        f"UPDATE {quoted} SET n = 3",
        f"DELETE FROM {quoted} WHERE n = 3 LIMIT 1",
        show=f"SELECT * FROM {quoted}",
    )
    assert [("b", 3)] == rows


async def test_text_is_converted_where_the_charsets_differ(pair: Both) -> None:
    """A latin1 column on the source fills a utf8mb4 column of the target with the same characters."""
    pair.only_source(
        "CREATE TABLE t (id VARCHAR(9), v VARCHAR(50), w CHAR(9), PRIMARY KEY (id)) CHARACTER SET latin1;"
        "CREATE TABLE w (v VARCHAR(50), n INT) CHARACTER SET latin1"
    )
    pair.only_target(
        "CREATE TABLE t (id VARCHAR(9) COLLATE utf8mb4_bin, v VARCHAR(50), w CHAR(9), PRIMARY KEY (id))"
        " CHARACTER SET utf8mb4;"
        "CREATE TABLE w (v VARCHAR(50), n INT) CHARACTER SET utf8mb4"
    )
    rows = await carry(
        pair,
        "INSERT INTO t VALUES ('é', '¼ € ÿ \\\\ ''', 'ä '), ('2', 'b', 'c'); INSERT INTO w VALUES ('é', 1), ('É', 1)",
        "UPDATE t SET v = 'ö€' WHERE id = 'é'; UPDATE w SET n = 2 WHERE BINARY v = BINARY CONVERT('é' USING latin1)",
        "DELETE FROM t WHERE id = '2'; DELETE FROM w WHERE n = 1",
        show="SELECT * FROM t UNION ALL SELECT v, n, 1 FROM w",
    )
    assert [("é", "ö€", "ä"), ("é", "2", "1")] == rows


async def test_columns_are_found_by_name(pair: Both) -> None:
    """Another order of columns, and a further nullable column, on the target do no harm."""
    pair.only_source("CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(9)); CREATE TABLE w (a INT, b VARCHAR(9))")
    pair.only_target(
        "CREATE TABLE t (b VARCHAR(9), more INT, A INT, id INT PRIMARY KEY);"
        "CREATE TABLE w (more INT NULL, b VARCHAR(9), a INT)"
    )
    async with pair.running() as link:
        pair.only_source("INSERT INTO t VALUES (1, 2, 'x'), (2, 3, 'y'); INSERT INTO w VALUES (1, 'x'), (1, 'x')")
        await link.caught_up()
        pair.only_target("UPDATE t SET more = 8; UPDATE w SET more = 8")
        pair.only_source(
            "UPDATE t SET a = 4, b = NULL WHERE id = 1; DELETE FROM t WHERE id = 2;"
            "UPDATE w SET a = 9 LIMIT 1; DELETE FROM w WHERE a = 1"
        )
        await link.caught_up()
    assert [(None, 8, 4, 1)] == pair.on_target("SELECT * FROM t")
    assert [(8, "x", 9)] == pair.on_target("SELECT * FROM w")


async def test_an_enum_that_is_no_member_is_refused_where_definitions_differ(pair: Both) -> None:
    """Only between columns of one definition can strictness be given up without a risk to other values."""
    pair.only_source("CREATE TABLE t (id INT PRIMARY KEY, e ENUM('a'), n INT)")
    pair.only_target("CREATE TABLE t (id INT PRIMARY KEY, e ENUM('a', 'b'), n BIGINT)")
    error = await pair.stopped_by("SET sql_mode = ''; INSERT INTO t VALUES (1, 'no member', 1)")
    assert isinstance(error, ApplyFailed)
    assert "compare both definitions" in str(error)


@pytest.mark.parametrize("size", [(1 << 24) - 1, 1 << 24, 17 << 20])
async def test_values_around_the_size_of_a_packet(pair: Both, size: int) -> None:
    """An event of 16 MiB and more comes in several packets."""
    pair.both("CREATE TABLE t (id INT PRIMARY KEY, v LONGBLOB)")
    show = "SELECT id, LENGTH(v), MD5(v) FROM t"
    rows = await carry(
        pair,
        f"INSERT INTO t VALUES (1, INSERT(REPEAT(X'0027FF', {size} DIV 3 + 1), {size + 1}, 9, ''))",
        "UPDATE t SET v = REVERSE(v)",
        show=show,
    )
    assert [(1, size)] == [row[:2] for row in rows]


async def test_an_event_that_ends_where_a_packet_ends(pair: Both) -> None:
    """A packet that is exactly full is followed by an empty one."""
    pair.both("CREATE TABLE t (id INT PRIMARY KEY, v LONGBLOB)")
    # A status byte, the event's header, the body before the value, and the checksum.
    around = 1 + 19 + 8 + 1 + 1 + 1 + 4 + 4 + 4
    sizes = [(1 << 24) - 1 - around + off for off in (-1, 0, 1)]
    inserts = "; ".join(f"INSERT INTO t VALUES ({n}, REPEAT('x', {size}))" for n, size in enumerate(sizes))
    rows = await carry(pair, inserts, "DELETE FROM t WHERE id = 1", show="SELECT id, LENGTH(v), MD5(v) FROM t")
    assert [(0, sizes[0]), (2, sizes[2])] == [row[:2] for row in rows]


async def test_instants_arrive_whatever_the_time_zones(
    server_factory: ServerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither server's time zone, nor its changes of clocks, moves a TIMESTAMP."""
    monkeypatch.setenv("TZ", "America/New_York")
    east = server_factory()
    monkeypatch.setenv("TZ", "Australia/Lord_Howe")
    west = server_factory()
    assert east.sql("SELECT FROM_UNIXTIME(1)") != west.sql("SELECT FROM_UNIXTIME(1)")
    pair = Both(east, west, "zones")
    for server in (east, west):
        server.sql(
            "CREATE DATABASE zones; CREATE TABLE zones.t (id INT PRIMARY KEY, v TIMESTAMP(6) NULL, d DATETIME(6));"
            " CREATE TABLE zones.w (v TIMESTAMP(3) NULL, d DATETIME)"
        )
    # 01:30 comes twice in New York on 2024-11-03, 01:45 twice on Lord Howe on 2024-04-07.
    instants = (1730611800, 1730615400, 1712414700, 1712416500, 1710054000, 1728142200, 1, 2147483647.999999)
    rows = [f"({n}, FROM_UNIXTIME({instant}), FROM_UNIXTIME({instant}))" for n, instant in enumerate(instants)]
    shown = await carry(
        pair,
        f"INSERT INTO t VALUES {','.join(rows)}; INSERT INTO w SELECT v, d FROM t",
        "UPDATE t SET v = v + INTERVAL 1 MICROSECOND WHERE id < 7; DELETE FROM w LIMIT 3",
        show="SET time_zone = '+00:00';"
        " SELECT UNIX_TIMESTAMP(v), d FROM t UNION ALL SELECT UNIX_TIMESTAMP(v), d FROM w ORDER BY 1, 2",
    )
    assert len(instants) * 2 - 3 == len(shown)
