"""However little of a row, a table or an event the source logs, a one-way link carries it exactly or stops."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import pytest
from structlog.testing import capture_logs

from cdcd.errors import Conflict, SchemaMismatch
from tests.fixtures.links import Both
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.servers import ServerFactory

IMAGES = ("FULL", "MINIMAL", "NOBLOB")
METADATA = ("FULL", "MINIMAL", "NO_LOG")
TABLES = """
CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(50), u BIGINT UNSIGNED, note TEXT,
  e ENUM('a', 'b') CHARACTER SET latin1, s SET('x', 'y'), b BLOB, d DECIMAL(20, 5), g POINT,
  w VARCHAR(20) CHARACTER SET gbk, n INT NOT NULL DEFAULT 5,
  made TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), token UUID DEFAULT UUID(),
  twice INT AS (n * 2) STORED, thrice INT AS (n * 3) VIRTUAL);
CREATE TABLE keyless (a INT, f DOUBLE, v VARCHAR(20), big TEXT, x BLOB);
CREATE TABLE pairs (a INT, b VARCHAR(20), n INT, x BLOB, PRIMARY KEY (a, b), UNIQUE KEY (n))
"""
PHASES = (
    "INSERT INTO t (id, name, u, note, e, s, b, d, g, w) VALUES"
    " (1, 'one', 18446744073709551615, 'long', 'a', 'x,y', X'00FF5C27', -1.5, POINT(1, 2), '誠'),"
    " (2, NULL, 9223372036854775808, NULL, 'b', '', '', 0, NULL, NULL);"
    "INSERT INTO t (id) VALUES (3), (4); INSERT INTO t (name, id) VALUES ('', 5);"
    "INSERT INTO keyless VALUES (1, 0.1, 'x', 'big', X'00'), (1, 0.1, 'X', 'big', X'00'), (1, 0.1, 'x', 'big', X'00'),"
    " (NULL, NULL, NULL, NULL, NULL), (2, -0e0, 'z', 'z', NULL), (2, 0e0, 'z', 'z', NULL);"
    "INSERT INTO pairs VALUES (1, 'a', 1, 'x'), (1, 'b', 2, 'y'), (2, 'a', NULL, REPEAT('z', 3000))",
    "UPDATE t SET name = 'changed' WHERE id = 1; UPDATE t SET note = 'now', b = X'00' WHERE id = 2;"
    "UPDATE t SET u = NULL, n = 6 WHERE id = 3; UPDATE t SET id = 40 WHERE id = 4; UPDATE t SET d = d WHERE id = 1;"
    "UPDATE keyless SET f = 1 WHERE BINARY v = 'X'; UPDATE keyless SET v = 'minus' WHERE LEFT(f, 1) = '-';"
    "UPDATE keyless SET big = 'null' WHERE a IS NULL; UPDATE keyless SET x = X'01' WHERE v = 'x' LIMIT 1;"
    "UPDATE pairs SET n = 3 WHERE b = 'b'; UPDATE pairs SET b = 'c', x = NULL WHERE a = 2",
    "BEGIN; INSERT INTO t (id, n) VALUES (6, 1); UPDATE t SET n = 2, note = 'same transaction' WHERE id = 6;"
    "UPDATE t SET id = 7 WHERE id = 6; DELETE FROM t WHERE id = 2;"
    "INSERT INTO t (id, name) VALUES (2, 'again'); COMMIT;"
    "DELETE FROM keyless WHERE v = 'x' LIMIT 1; DELETE FROM keyless WHERE f = 0 LIMIT 1;"
    "DELETE FROM pairs WHERE b = 'a'",
)
SHOWN = {
    "t": "SELECT id, name, u, note, e, s, HEX(b), d, HEX(g), w, n, made, token, twice, thrice FROM t ORDER BY id",
    "keyless": "SELECT *, LEFT(f, 1), HEX(v) FROM keyless ORDER BY a, f, LEFT(f, 1), HEX(v), x",
    "pairs": "SELECT * FROM pairs ORDER BY a, b",
}
# A MINIMAL metadata says what a table was only by the live table, which must be older than the event's second.
LATER = "SET timestamp = UNIX_TIMESTAMP() + 5;"


@pytest.fixture(scope="module")
def sources(module_server_factory: ServerFactory) -> Mapping[str, MariaDB]:
    """One source for each logging of metadata, with compressed events where that can be told apart."""
    compressing = {"log-bin-compress": "ON", "log-bin-compress-min-len": "10"}
    return {
        "FULL": module_server_factory({"binlog-checksum": "CRC32"}),
        "MINIMAL": module_server_factory({"binlog-row-metadata": "MINIMAL", **compressing}),
        "NO_LOG": module_server_factory({"binlog-row-metadata": "NO_LOG", "binlog-checksum": "NONE"}),
    }


@pytest.fixture(scope="module")
def target(module_server_factory: ServerFactory) -> MariaDB:
    """The target of them all."""
    return module_server_factory()


def a_pair(source: MariaDB, target: MariaDB, database: str) -> Both:
    """Give both servers an empty database of that name."""
    for server in (source, target):
        server.sql(f"CREATE DATABASE {database}")
    return Both(source, target, database)


@pytest.mark.parametrize(("image", "metadata"), [*product(IMAGES, METADATA)])
async def test_every_row_image_with_every_metadata(
    image: str, metadata: str, sources: Mapping[str, MariaDB], target: MariaDB
) -> None:
    """Both sides end equal whatever the source leaves out; every value, default and generated column included."""
    pair = a_pair(sources[metadata], target, f"images_{image}_{metadata}".lower())
    pair.both(TABLES)
    settings = f"SET binlog_row_image = {image}; {LATER}"
    async with pair.running() as link:
        for phase in PHASES:
            pair.only_source(settings + phase)
            await link.caught_up()
            for show in SHOWN.values():
                rows = repr(pair.on_source(show))
                assert rows == repr(pair.on_target(show))
                assert rows != "[]"
        assert link.runner.conflicts == 0


async def test_a_default_that_differs_stops_an_insert_that_leaves_it_out(
    sources: Mapping[str, MariaDB], target: MariaDB
) -> None:
    """A MINIMAL image has no constant defaults, so the target would put its own."""
    pair = a_pair(sources["FULL"], target, "defaults")
    pair.only_source("CREATE TABLE t (id INT PRIMARY KEY, n INT DEFAULT 1)")
    pair.only_target("CREATE TABLE t (id INT PRIMARY KEY, n INT DEFAULT 2)")
    async with pair.running() as link:
        pair.only_source("INSERT INTO t (id) VALUES (1); SET binlog_row_image = MINIMAL; INSERT INTO t VALUES (2, 2)")
        await link.caught_up()
        assert [(1, 1), (2, 2)] == pair.on_target("SELECT * FROM t")
        pair.only_source("SET binlog_row_image = MINIMAL; INSERT INTO t (id) VALUES (3)")
        error = await link.stopped()
    assert isinstance(error, SchemaMismatch)
    assert "leaves out column n" in str(error)


@pytest.mark.parametrize("ddl", [False, True])
async def test_a_default_that_was_altered_since_stops_an_insert_that_leaves_it_out(
    ddl: bool, sources: Mapping[str, MariaDB], target: MariaDB
) -> None:
    """Both sides' defaults may be equal today, and the row older than today's."""
    pair = a_pair(sources["FULL"], target, f"altered_{ddl}".lower())
    pair.both("CREATE TABLE t (id INT PRIMARY KEY, n INT DEFAULT 1)")
    begun = pair.source.binlog_position()[2]
    pair.only_source("SET binlog_row_image = MINIMAL; INSERT INTO t (id) VALUES (1)")
    [stopped_at] = pair.source.binlog_position()[2].split(",")
    pair.only_source("ALTER TABLE t ALTER n SET DEFAULT 2; INSERT INTO t (id) VALUES (2)")
    if not ddl:
        pair.only_target("ALTER TABLE t ALTER n SET DEFAULT 2")
    async with pair.running(start=begun, ddl=ddl) as link:
        error = await link.stopped()
    assert isinstance(error, SchemaMismatch)
    assert {"table": f"{pair.database}.t", "transaction": stopped_at}.items() <= error.where.items()
    assert "leaves out column n" in str(error)
    assert "by hand" in str(error)
    assert [] == pair.on_target("SELECT * FROM t")


async def test_whole_rows_are_carried_past_an_altered_default(sources: Mapping[str, MariaDB], target: MariaDB) -> None:
    """Nothing has to be proven of what the log says, and the log is not read ahead for it."""
    pair = a_pair(sources["FULL"], target, "whole")
    pair.both("CREATE TABLE t (id INT PRIMARY KEY, n INT DEFAULT 1)")
    begun = pair.source.binlog_position()[2]
    pair.only_source("INSERT INTO t (id) VALUES (1); SET binlog_row_image = MINIMAL; INSERT INTO t VALUES (2, 5)")
    pair.both("ALTER TABLE t ALTER n SET DEFAULT 2")
    with capture_logs() as logs:
        async with pair.running(start=begun) as link:
            await link.caught_up()
    assert [(1, 1), (2, 5)] == pair.on_target("SELECT * FROM t ORDER BY id")
    assert [] == [each for each in logs if each["event"] == "table_checked"]


async def test_a_proven_default_is_proven_once(sources: Mapping[str, MariaDB], target: MariaDB) -> None:
    """Reading the log ahead takes a connection of its own, which not every transaction may ask for."""
    pair = a_pair(sources["FULL"], target, "proven")
    pair.both("CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL DEFAULT 1, m INT)")
    with capture_logs() as logs:
        async with pair.running() as link:
            for n in range(5):
                pair.only_source(f"SET binlog_row_image = MINIMAL; INSERT INTO t (id) VALUES ({n})")
                await link.caught_up()
    assert [(n, 1, None) for n in range(5)] == pair.on_target("SELECT * FROM t ORDER BY id")
    assert 1 == len([each for each in logs if each["event"] == "table_checked"])


IMPLICIT = (
    "INT",
    "VARCHAR(5)",
    "ENUM('', 'b')",
    "SET('a')",
    "DECIMAL(5, 2)",
    "DATE",
    "TIMESTAMP",
    "BLOB",
    "BIT(3)",
    "YEAR",
)


async def test_a_column_without_a_default_gets_what_its_type_implies(
    sources: Mapping[str, MariaDB], target: MariaDB
) -> None:
    """A source that is not strict stores it, and a strict target would refuse it."""
    pair = a_pair(sources["FULL"], target, "implied")
    columns = ", ".join(f"c{n} {kind} NOT NULL" for n, kind in enumerate((*IMPLICIT, "POINT", "UUID", "INET6")))
    pair.both(
        f"CREATE TABLE t (id INT PRIMARY KEY, {columns});CREATE TABLE k (a INT AUTO_INCREMENT, b INT NOT NULL, KEY (a))"
    )
    async with pair.running() as link:
        pair.only_source(
            "SET sql_mode = '', binlog_row_image = MINIMAL; INSERT INTO t (id) VALUES (1), (2);"
            "INSERT INTO k (a) VALUES (7), (3); INSERT INTO k () VALUES ()"
        )
        await link.caught_up()
    for query in ("SELECT *, c2 + 0, HEX(c10) FROM t ORDER BY id", "SELECT * FROM k ORDER BY a"):
        rows = pair.on_source(query)
        assert repr(rows) == repr(pair.on_target(query))
        assert len(rows) > 1


async def test_a_column_without_a_default_that_differs_stops_an_insert_that_leaves_it_out(
    sources: Mapping[str, MariaDB], target: MariaDB
) -> None:
    """Another type may imply another value."""
    pair = a_pair(sources["FULL"], target, "implied_otherwise")
    pair.only_source("CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL)")
    pair.only_target("CREATE TABLE t (id INT PRIMARY KEY, n VARCHAR(20) NOT NULL)")
    error = await pair.stopped_by("SET sql_mode = '', binlog_row_image = MINIMAL; INSERT INTO t (id) VALUES (1)")
    assert isinstance(error, SchemaMismatch)
    assert "leaves out column n" in str(error)
    assert "transaction" in error.where


async def test_a_missing_row_is_a_conflict_where_the_image_is_minimal(
    sources: Mapping[str, MariaDB], target: MariaDB
) -> None:
    """A row that is gone cannot be written anew from some of its columns."""
    pair = a_pair(sources["FULL"], target, "missing")
    pair.both("CREATE TABLE t (id INT PRIMARY KEY, n INT, m INT); INSERT INTO t VALUES (1, 1, 1)")
    pair.only_target("DELETE FROM t")
    error = await pair.stopped_by("SET binlog_row_image = MINIMAL; UPDATE t SET n = 2")
    assert isinstance(error, Conflict)
    assert "binlog_row_image=FULL" in str(error)


@pytest.mark.parametrize("image", IMAGES)
async def test_a_table_without_a_key_loses_the_very_row(
    image: str, sources: Mapping[str, MariaDB], target: MariaDB
) -> None:
    """Of rows that look alike to a collation or as numbers, the one that the source changed is changed."""
    pair = a_pair(sources["FULL"], target, f"alike_{image}".lower())
    pair.both(
        "CREATE TABLE t (v VARCHAR(9), f FLOAT, d DOUBLE, c CHAR(5) CHARACTER SET latin1, b BINARY(3), e TEXT, n INT)"
    )
    alike = [
        ("'a'", 0, 0, "'x'", "'p'", "'t'"),
        ("'A'", 0, 0, "'x'", "'p'", "'t'"),
        ("'a '", 0, 0, "'x'", "'p'", "'t'"),
        ("'a'", "-1e-46", 0, "'x'", "'p'", "'t'"),
        ("'a'", 0, "-1e-46", "'x'", "'p'", "'t'"),
        ("'a'", 0, 0, "'X'", "'p'", "'t'"),
        ("'a'", 0, 0, "'x'", "'P'", "'t'"),
        ("'a'", 0, 0, "'x'", "'p'", "'T'"),
        ("'a'", 0, 0, "'x'", "'p'", "'t '"),
        ("'\uff41'", 0, 0, "'x'", "'p'", "'t'"),
        ("NULL", 0, 0, "'x'", "'p'", "'t'"),
    ]
    rows = [f"({', '.join(map(str, row))}, 1)" for row in alike]
    show = (
        "SELECT HEX(v), ATAN2(f, -1e0), ATAN2(d, -1e0), HEX(c), HEX(b), HEX(e), n FROM t ORDER BY 1, 2, 3, 4, 5, 6, 7"
    )
    async with pair.running() as link:
        pair.only_source(f"INSERT INTO t VALUES {','.join(rows)}")
        await link.caught_up()
        # The other way round, so that whoever takes the first of those that look alike takes a wrong one.
        pair.only_target(f"DELETE FROM t; INSERT INTO t VALUES {','.join(reversed(rows))}")
        for change in ("UPDATE t SET n = 2 WHERE n = 1 LIMIT 1", "DELETE FROM t LIMIT 1"):
            for _ in range(len(rows) // 2):
                pair.only_source(f"SET binlog_row_image = {image}; {change}")
            await link.caught_up()
            assert pair.on_source(show) == pair.on_target(show)
