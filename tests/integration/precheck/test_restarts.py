"""A link that carries schema changes starts again, whatever its log holds of them."""

from __future__ import annotations

from msgspec.structs import replace

from cdcd.precheck import precheck
from tests.fixtures.links import running
from tests.integration.precheck.conftest import configure

AHEAD = (
    "ALTER TABLE t ADD c INT; CREATE TABLE u (id INT PRIMARY KEY); CREATE SEQUENCE s;"
    " ALTER TABLE k DROP PRIMARY KEY, ADD PRIMARY KEY (v)"
)


async def problems(config):
    """Return the levels of what the precheck finds, and the texts."""
    found = await precheck(config)
    return {problem.level for problem in found}, "\n".join(problem.text for problem in found)


async def test_what_the_log_ahead_may_mend_is_no_error_once_the_link_has_run(check, database):
    """Statements that the source has run while the daemon was down are in its log, for the link to carry."""
    check.create("CREATE TABLE t (id INT PRIMARY KEY); CREATE TABLE k (id INT PRIMARY KEY, v INT NOT NULL)")
    config = configure(check.east, check.west, database, ddl=True)
    link = config.links["forward"] = replace(config.links["forward"], name=f"{database}_forward")
    async with running(link, check.east, check.west):
        pass
    check.east.sql(AHEAD, database=database)

    levels, texts = await problems(config)
    assert {"warning"} == levels
    for told in ("column", "missing on the target", "is a SEQUENCE", "told apart by"):
        assert told in texts
    async with running(link, check.east, check.west) as run:
        await run.caught_up()
    assert f"{database}.u" not in (await problems(config))[1]


async def test_at_the_first_start_both_sides_must_be_the_same(check, database):
    """No log tells how they came to differ."""
    check.create("CREATE TABLE t (id INT PRIMARY KEY, c INT)", "CREATE TABLE t (id INT PRIMARY KEY)")
    if check.west.sql("SELECT 1 FROM information_schema.tables WHERE table_schema = 'cdcd'"):
        check.west.sql("DELETE FROM cdcd.checkpoint WHERE link = 'forward'")  # Other tests' links have that name too.
    [problem] = await check(ddl=True)

    assert problem.is_error


async def test_a_link_that_will_create_its_tables_may_start_with_none(check):
    """With ddl = true the first CREATE TABLE is carried like any other."""
    [problem] = await check(ddl=True)

    assert not problem.is_error
    assert "no table of east matches" in problem.text
