"""A target table that is altered while a link runs is looked at again before the next row is committed there."""

from __future__ import annotations

import pytest

from cdcd.apply.sql import writer
from cdcd.errors import CdcdError, SchemaMismatch
from tests.fixtures.links import Both, running

TABLE = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(30), n INT NOT NULL DEFAULT 0)"


@pytest.fixture(params=["near", "far"])
def distance(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test twice: with a target that answers at once, and with one that is asked within the same packet."""
    monkeypatch.setattr(writer, "FAR_SECONDS", 60.0 if request.param == "near" else 0.0)
    return str(request.param)


async def stopped_after(both: Both, change: str, row: str, *, table: str = TABLE) -> BaseException | None:
    """Carry two rows, alter the target, change a row on the source; return what stops the link."""
    both.both(table)
    async with running(both.link(writers=1), both.source, both.target) as link:
        both.only_source("INSERT INTO t (id, v) VALUES (1, 'a'), (2, 'b')")
        await link.caught_up()
        both.only_target(change)
        both.only_source(row)
        try:
            await link.caught_up()
        except CdcdError as error:
            return error
    return None


@pytest.mark.usefixtures("either_way", "distance")
@pytest.mark.parametrize(
    ("event", "row"),
    [
        ("AFTER INSERT", "INSERT INTO t (id, v) VALUES (3, 'c')"),
        ("BEFORE UPDATE", "UPDATE t SET v = 'd' WHERE id = 1"),
        ("AFTER DELETE", "DELETE FROM t WHERE id = 1"),
        ("AFTER DELETE", "INSERT INTO t (id, v) VALUES (3, 'c')"),
    ],
)
async def test_a_trigger_is_noticed_before_the_next_row(both: Both, event: str, row: str) -> None:
    """What a trigger writes lies inside a marked transaction, so it would never be carried back."""
    change = f"CREATE TABLE log (n INT); CREATE TRIGGER tr {event} ON t FOR EACH ROW INSERT INTO log VALUES (1)"
    error = await stopped_after(both, change, row)
    assert isinstance(error, SchemaMismatch)
    assert "trigger tr" in str(error)
    assert [] == both.on_target("SELECT * FROM log")
    assert [(1, "a"), (2, "b")] == both.on_target("SELECT id, v FROM t")


async def test_a_trigger_that_fails_is_named_as_what_it_is(both: Both) -> None:
    """Not as a row that the target refuses."""
    change = "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SIGNAL SQLSTATE '45000'"
    error = await stopped_after(both, change, "INSERT INTO t (id, v) VALUES (3, 'c')")
    assert isinstance(error, SchemaMismatch)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE t ENGINE = Aria",
        "ALTER TABLE t ADD SYSTEM VERSIONING",
        "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (n, id), DROP COLUMN v",
        "RENAME TABLE t TO was; CREATE VIEW t AS SELECT * FROM was",
        "RENAME TABLE t TO was",
    ],
)
async def test_what_no_longer_fits_stops_the_link(both: Both, change: str) -> None:
    """Each of these would take rows, and keep them wrongly."""
    error = await stopped_after(both, change, "INSERT INTO t (id, v) VALUES (3, 'c')")
    assert isinstance(error, SchemaMismatch), error
    if change.startswith("ALTER TABLE t ADD"):
        assert [] == both.on_target("SELECT * FROM t WHERE id = 3")


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE t ADD KEY (v)",
        "ALTER TABLE t ADD COLUMN own INT DEFAULT 3 FIRST",
        "ALTER TABLE t ADD COLUMN twice INT AS (n * 2) STORED",
        "ALTER TABLE t MODIFY v VARCHAR(60)",
        "ALTER TABLE t PARTITION BY HASH (id) PARTITIONS 3",
        "ALTER TABLE t ADD CHECK (n < 3)",
        "CREATE TABLE other (id INT PRIMARY KEY)",
        "FLUSH TABLES",
    ],
)
async def test_what_still_fits_is_gone_on_with(both: Both, change: str) -> None:
    """The table is looked at again, and the link goes on by itself."""
    rows = "INSERT INTO t (id, v) VALUES (3, 'c'); UPDATE t SET n = 5 WHERE id = 1; DELETE FROM t WHERE id = 2"
    assert await stopped_after(both, change, rows) is None
    query = "SELECT id, v, n FROM t ORDER BY id"
    assert both.on_source(query) == both.on_target(query)


@pytest.mark.usefixtures("either_way", "distance")
@pytest.mark.parametrize("rule", ["CASCADE", "SET NULL"])
@pytest.mark.parametrize("where", ["CREATE", "ALTER", "RENAME"])
async def test_a_child_added_by_hand_keeps_its_rows(both: Both, where: str, rule: str) -> None:
    """No definition of the parent's tells of it, and a DELETE that stands for half an UPDATE would cascade."""
    key = f"FOREIGN KEY (p) REFERENCES t (id) ON DELETE {rule} ON UPDATE CASCADE"
    change = {
        "CREATE": f"CREATE TABLE child (p INT, {key}); INSERT INTO child VALUES (1)",
        "ALTER": f"CREATE TABLE child (p INT); INSERT INTO child VALUES (1); ALTER TABLE child ADD {key}",
        "RENAME": f"SET foreign_key_checks = 0; RENAME TABLE t TO was; CREATE TABLE child (p INT, {key});"
        "INSERT INTO child VALUES (1); RENAME TABLE was TO t",
    }[where]
    table = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(30) UNIQUE, n INT)"
    assert await stopped_after(both, change, "UPDATE t SET v = 'x' WHERE id = 1", table=table) is None
    assert [(1,)] == both.on_target("SELECT p FROM child")
    both.assert_equal("t")


@pytest.mark.usefixtures("distance")
async def test_a_unique_key_added_by_hand_overwrites_no_other_row(both: Both) -> None:
    """An upsert that knew of one key only would write over the row that the new key meets."""
    change = "ALTER TABLE t ADD UNIQUE KEY (v)"
    error = await stopped_after(both, change, "INSERT INTO t (id, v) VALUES (3, 'a')")
    assert isinstance(error, CdcdError)
    assert [(1, "a"), (2, "b")] == both.on_target("SELECT id, v FROM t ORDER BY id")


async def test_a_trigger_is_noticed_in_a_transaction_of_parts(both: Both) -> None:
    """Rows of a large transaction go in parts, and are undone together."""
    both.both(TABLE)
    async with running(both.link(transaction_bytes_max=64 * 1024), both.source, both.target) as link:
        both.only_source("INSERT INTO t (id, v) VALUES (1, 'a')")
        await link.caught_up()
        both.only_target(
            "CREATE TABLE log (n INT); CREATE TRIGGER tr AFTER INSERT ON t FOR EACH ROW INSERT INTO log VALUES (1)"
        )
        both.only_source("INSERT INTO t SELECT seq, REPEAT('x', 30), 0 FROM seq_2_to_4000")
        error = await link.stopped()
    assert isinstance(error, SchemaMismatch)
    assert [(1,)] == both.on_target("SELECT COUNT(*) FROM t")
    assert [] == both.on_target("SELECT * FROM log")


@pytest.mark.usefixtures("distance")
async def test_a_table_that_stays_as_it_is_costs_no_look(both: Both) -> None:
    """Only what was altered is looked at again: the sign is one number, the same for all tables."""
    both.both(TABLE + "; CREATE TABLE u LIKE t")
    async with running(both.link(writers=1), both.source, both.target) as link:
        both.only_source("INSERT INTO t (id, v) VALUES (1, 'a')")
        await link.caught_up()
        [each] = link.writers
        looks = each.stats.looks
        for n in range(2, 6):
            both.only_source(f"INSERT INTO t (id, v) VALUES ({n}, 'a')")
            await link.caught_up()
        assert looks == each.stats.looks == 1
        both.only_target("ALTER TABLE u ADD KEY (n)")
        both.only_source("INSERT INTO u (id, v) VALUES (1, 'a')")
        await link.caught_up()
        assert each.stats.looks > looks
