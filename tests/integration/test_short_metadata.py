"""Events that do not name their columns are carried where the table is proven, and stop the link elsewhere."""

from __future__ import annotations

import pytest

from cdcd.errors import SchemaMismatch
from cdcd.mysql.stream import ReplicationStream
from cdcd.source import second_reading
from tests.fixtures.active_pair import contents
from tests.fixtures.links import forget, running, stopped
from tests.fixtures.moved_on import HISTORY, TABLE, begin, both, rows
from tests.fixtures.sites import a_link


@pytest.fixture(scope="module")
def shorts(module_server_factory):
    """A source for each logging of metadata that leaves the columns' names out."""
    return {metadata: module_server_factory({"binlog-row-metadata": metadata}) for metadata in ("NO_LOG", "MINIMAL")}


@pytest.fixture(params=["NO_LOG", "MINIMAL"])
def short(request, shorts):
    """A source whose events do not name columns."""
    return shorts[request.param]


@pytest.fixture
def shop(short, west):
    """Give an empty database on a source with short metadata and on the target."""
    for server in (short, west):
        server.sql("DROP DATABASE IF EXISTS shop; CREATE DATABASE shop")
    yield "shop"
    west.sql("DROP DATABASE shop; DELETE FROM cdcd.checkpoint WHERE link = 'shop'")
    forget("shop", west)


async def test_short_metadata_works_while_the_table_is_provably_the_same(short, west, shop):
    """A table created in the second of its rows is proven by the log, since clocks cannot tell."""
    both((short, west), shop)
    async with running(a_link(shop), short, west) as run:
        short.sql("INSERT INTO t VALUES (1, -1, 2, 'é'); UPDATE t SET a = 5", database=shop)
        short.sql("CREATE TABLE other (id INT); DROP TABLE other", database=shop)
        await run.caught_up()
    assert [(1, 5, 2, "é")] == rows(west, shop)


async def test_short_metadata_follows_changes_step_by_step(short, west, shop):
    """A link that keeps up reads the table after each change, and before the next."""
    async with running(a_link(shop, ddl=True), short, west) as run:
        for statement in [TABLE, *HISTORY.split(";")]:
            short.sql(statement, database=shop)
            await run.caught_up()
    assert contents(short, shop) == contents(west, shop)


async def test_short_metadata_works_with_keys_over_long_columns(short, west, shop):
    """Row images hold a hidden column for each such key, which no description of the table names."""
    for server in (short, west):
        server.sql("CREATE TABLE t (id INT PRIMARY KEY, x TEXT UNIQUE, y BLOB, UNIQUE (y, id))", database=shop)
    async with running(a_link(shop), short, west) as run:
        short.sql(
            "INSERT INTO t VALUES (1, 'é', 'b'), (2, NULL, NULL); UPDATE t SET x = 'c' WHERE id = 2", database=shop
        )
        await run.caught_up()
    assert [(1, "é", b"b"), (2, "c", None)] == rows(west, shop)


async def test_short_metadata_passes_sequences(short, west, shop):
    """A sequence is told by its columns, which the live one names."""
    both((short, west), shop)
    async with running(a_link(shop), short, west) as run:
        short.sql("CREATE SEQUENCE s; DO NEXTVAL(s); INSERT INTO t (id) VALUES (1)", database=shop)
        await run.caught_up()
    assert [(1, None, None, None)] == rows(west, shop)


DRIFT = {
    "same_count": "ALTER TABLE t DROP b; ALTER TABLE t ADD c INT AFTER a",
    "swapped": "ALTER TABLE t CHANGE a b INT, CHANGE b a INT",
    "reordered": "ALTER TABLE t MODIFY a INT AFTER b",
    "renamed_away_and_back": "RENAME TABLE t TO x; CREATE TABLE t (id INT PRIMARY KEY, b INT, a INT, v VARCHAR(20))",
    "recreated": "DROP TABLE t; CREATE TABLE t (id INT PRIMARY KEY, b INT, a INT, v VARCHAR(20))",
    "replaced": "CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, b INT, a INT, v VARCHAR(20))",
    "ghost": "CREATE TABLE g (id INT PRIMARY KEY, b INT, a INT, v VARCHAR(20)); RENAME TABLE t TO d, g TO t",
    "one_more": "ALTER TABLE t ADD c INT",
    "other_type": "ALTER TABLE t MODIFY a BIGINT",
    "gone": "DROP TABLE t",
}


@pytest.mark.parametrize("drift", DRIFT)
@pytest.mark.parametrize("ddl", [False, True])
async def test_short_metadata_stops_where_the_table_may_be_another(short, west, shop, drift, ddl):
    """A guess would write values into the wrong columns without a sign of it."""
    both((short, west), shop)
    await begin(short, west, shop, ddl=ddl)
    short.sql("INSERT INTO t VALUES (1, 10, 20, 'x');" + DRIFT[drift], database=shop)
    error = await stopped(short, west, a_link(shop, ddl=ddl))
    assert isinstance(error, SchemaMismatch)
    assert "set binlog_row_metadata=FULL on the source" in error.hint
    assert f"table {shop}.t" in str(error)
    assert [] == rows(west, shop)


async def test_a_table_altered_at_the_turn_of_a_second_is_not_taken_for_the_same(short, west, shop):
    """The time of its file may be of the second before, and then looks older than the rows that came first."""
    both((short, west), shop)
    await begin(short, west, shop)
    late = "SET timestamp = UNIX_TIMESTAMP() + 1; INSERT INTO t VALUES (1, 10, 20, 'x'); SET timestamp = DEFAULT"
    short.sql(f"{late}; {DRIFT['swapped']}", database=shop)
    assert isinstance(await stopped(short, west, a_link(shop)), SchemaMismatch)


@pytest.mark.parametrize("drift", ["swapped", "ghost"])
async def test_a_time_in_the_future_proves_nothing(short, west, shop, drift):
    """Any account may set the time of its transactions, and that of the statement that alters the table."""
    both((short, west), shop)
    await begin(short, west, shop)
    late = "SET timestamp = UNIX_TIMESTAMP() + 3600; INSERT INTO t VALUES (1, 10, 20, 'x')"
    after = "INSERT INTO other VALUES (1); SET timestamp = UNIX_TIMESTAMP() + 9000; INSERT INTO other VALUES (2)"
    short.sql(f"CREATE TABLE other (id INT PRIMARY KEY); {late}; {after}; {DRIFT[drift]}", database=shop)
    assert isinstance(await stopped(short, west, a_link(shop, exclude=("shop.other",))), SchemaMismatch)


async def test_the_log_is_read_ahead_only_once(short, west, shop, monkeypatch):
    """However many tables there are, and however long their log is."""
    opened = []

    class Counted(ReplicationStream):
        @classmethod
        async def open(cls, *arguments, **settings):
            opened.append(settings["position"])
            return await super().open(*arguments, **settings)

    monkeypatch.setattr(second_reading, "ReplicationStream", Counted)
    both((short, west), shop)
    both((short, west), shop, "; ".join(f"CREATE TABLE t{n} LIKE t" for n in range(5)))
    await begin(short, west, shop)
    short.sql("; ".join(f"INSERT INTO t{n} (id) VALUES (1)" for n in range(5)), database=shop)
    async with running(a_link(shop), short, west) as run:
        await run.caught_up()
    assert 1 == len(opened)


async def test_full_metadata_carries_what_short_metadata_cannot(east, west, database):
    """The same drifts are no trouble for events that name their columns."""
    for drift, statements in DRIFT.items():
        both((east, west), database, f"CREATE OR REPLACE {TABLE.removeprefix('CREATE ')}")
        both((east, west), database, "DROP TABLE IF EXISTS x, d, g")
        name = f"{database}_{drift}"
        keys = {"name": name, "tables": (f"{database}.*",), "ddl": True}
        await begin(east, west, database, **keys)
        east.sql("INSERT INTO t VALUES (1, 10, 20, 'x');" + statements, database=database)
        async with running(a_link(database, **keys), east, west) as run:
            await run.caught_up()
        assert contents(east, database) == contents(west, database), drift
