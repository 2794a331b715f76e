"""Whoever runs the statements that a finding proposes ends with the source's columns, and with its values."""

from __future__ import annotations

import pytest

from cdcd.precheck import precheck
from tests.fixtures.pair import Pair
from tests.integration.precheck.conftest import configure

BEFORE = "CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 1), (3, 3)"
CONSTANT = [
    "a INT NOT NULL DEFAULT 5",
    "b VARCHAR(20) CHARACTER SET latin1 NOT NULL DEFAULT 'é''\\\\' COMMENT 'it''s; so'",
    "c DATETIME DEFAULT '2020-01-01 10:00:00' FIRST",
    "d BIT(5) DEFAULT b'101' AFTER id",
    "e ENUM('x','y') NOT NULL DEFAULT 'y' AFTER a",
    "f DECIMAL(6,2) INVISIBLE NOT NULL DEFAULT 1.25",
    "g TEXT COMPRESSED CHARACTER SET latin1 DEFAULT 'é'",
    "h INT DEFAULT (1 + 2)",
    "i TIMESTAMP NOT NULL DEFAULT '2020-01-01 00:00:00' ON UPDATE CURRENT_TIMESTAMP COMMENT 'then'",
    "k INT NOT NULL",
    "l VARCHAR(9)",
    "m BINARY(3) NOT NULL DEFAULT 'abc'",
    "n FLOAT(7,3) DEFAULT 1.5",
]


def definition(server, database):
    """Return a table's definition as the server writes it."""
    return server.sql("SHOW CREATE TABLE t", database=database)[0][1]


def about_columns(problems):
    """Return the findings about tables, without those about what the shared servers are set to."""
    return [problem for problem in problems if ".t." in problem.text]


def run(problems, server, site=""):
    """Run what the findings propose, in their order."""
    for problem in problems:
        for line in problem.fix.splitlines():
            statement, _, note = line.partition(";  -- ")
            if note.startswith(site):
                server.sql(statement)


@pytest.mark.parametrize("paired", [False, True])
async def test_columns_that_are_added_as_advised_hold_the_values_of_the_source(check, paired):
    """ADD COLUMN fills the rows that are there with its default: without it they would hold other values."""
    check.create(BEFORE)
    check.east.sql("; ".join(f"ALTER TABLE t ADD COLUMN {column}" for column in CONSTANT), database=check.database)
    config = configure(check.east, check.west, check.database, paired=paired)
    problems = await precheck(config)
    assert len(CONSTANT) == len(problems)
    assert all("then give its rows the values that they have there" in problem.fix for problem in problems)

    run(problems, check.west, "on west" if paired else "")

    assert [] == await precheck(config)
    assert definition(check.east, check.database) == definition(check.west, check.database)
    report = await Pair(check.east, check.west, check.database).table()
    assert (2, True) == (report.rows, report.equal)


@pytest.mark.parametrize("paired", [False, True])
async def test_a_column_that_is_modified_as_advised_keeps_all_else(check, paired):
    """MODIFY COLUMN drops whatever it does not name."""
    kept = "NOT NULL DEFAULT 1 COMMENT 'it''s'"
    on_update = "NOT NULL DEFAULT '2020-01-01' ON UPDATE CURRENT_TIMESTAMP({digits}) INVISIBLE"
    table = (
        "CREATE TABLE t (id {kind} PRIMARY KEY AUTO_INCREMENT, v {kind} " + kept + ", at DATETIME({digits}) "
        f"{on_update})"
    )
    wide, narrow = (table.format(kind=kind, digits=digits) for kind, digits in (("BIGINT", 6), ("INT", 3)))
    check.create(wide, narrow)
    config = configure(check.east, check.west, check.database, paired=paired)
    run(about_columns(await precheck(config)), check.west, "on west" if paired else "")
    assert [] == about_columns(await precheck(config))
    there = definition(check.west, check.database)
    for part in ("AUTO_INCREMENT,", "DEFAULT 1 COMMENT 'it''s'", "ON UPDATE current_timestamp(6)", "INVISIBLE"):
        assert part in there
