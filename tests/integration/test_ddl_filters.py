"""A schema change never lets rows past a `where` filter, nor keeps from the target what now passes it."""

from __future__ import annotations

import pytest

from cdcd.errors import UnsupportedEvent
from tests.fixtures.links import running

FILTERED = "CREATE TABLE t (id INT PRIMARY KEY, v INT, region VARCHAR(9)); INSERT INTO t VALUES (1, 1, 'eu')"
ONLINE = (
    "CREATE TABLE _t_new LIKE t; ALTER TABLE _t_new ADD x INT; INSERT INTO _t_new (id, v, region) SELECT * FROM t;"
    " RENAME TABLE t TO _t_old, _t_new TO t"
)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (ONLINE, "moves rows"),
        ("ALTER TABLE t RENAME TO u", "moves rows"),
        ("ALTER TABLE p EXCHANGE PARTITION p0 WITH TABLE t", "moves rows"),
        ("ALTER TABLE t DROP region, ADD region VARCHAR(9) DEFAULT 'eu'", "values of region"),
        ("ALTER TABLE t MODIFY COLUMN `Region` CHAR(2)", "values of region"),
        ("ALTER TABLE t CHANGE region area VARCHAR(9), CHANGE v region INT", "values of region"),
        ("ALTER TABLE t CONVERT TO CHARACTER SET latin1", "converts all texts"),
        ("ALTER TABLE t ADD n INT AUTO_INCREMENT UNIQUE", "makes of each row"),
    ],
)
async def test_a_change_that_a_filter_cannot_follow_stops_the_link(both, change, told):
    """Only some of the rows are on the target, so it cannot do what the source did."""
    parts = (
        "CREATE TABLE p (id INT PRIMARY KEY, v INT, region VARCHAR(9))"
        " PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (100))"
    )
    both.both(f"{FILTERED}; {parts}")
    both.only_source("INSERT INTO t VALUES (2, 2, 'us')")
    link = both.link(ddl=True, where={f"{both.database}.t": "region = 'eu'"})
    async with running(link, both.source, both.target) as run:
        both.only_source(change)
        error = await run.stopped(20)
    assert isinstance(error, UnsupportedEvent)
    assert told in str(error)
    assert f"only some rows of {both.database}.t" in str(error)
    assert both.on_target("SELECT id, v, region FROM t") == [(1, 1, "eu")]


async def test_other_changes_of_a_filtered_table_are_carried(both):
    """What leaves the filter's columns and the table's rows in place is the same for any part of them."""
    both.both(FILTERED)
    both.only_source("INSERT INTO t VALUES (2, 2, 'us')")
    changes = (
        "ALTER TABLE t ADD c INT DEFAULT 5 AFTER region, MODIFY v BIGINT, ADD INDEX (region)",
        "CREATE TABLE u LIKE t; CREATE INDEX i ON t (c); ALTER TABLE t DROP v",
        "INSERT INTO t VALUES (3, 'us', 7), (4, 'eu', 8)",
    )
    await both.carry(*changes, ddl=True, where={f"{both.database}.t": "region = 'eu'"})
    assert both.on_target("SELECT * FROM t ORDER BY id") == [(1, "eu", 5), (4, "eu", 8)]
