"""Views and sequences are not carried, and RENAME TABLE renames them as it does tables."""

from __future__ import annotations

import pytest

from cdcd.errors import ApplyFailed, UnsupportedEvent
from tests.fixtures.links import Both, running

TABLE = "CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1)"
VIEWS = "CREATE VIEW v AS SELECT * FROM t; CREATE VIEW w AS SELECT id + 1 FROM t"


@pytest.mark.parametrize(
    "rename",
    [
        "RENAME TABLE v TO x",
        "RENAME TABLE v TO x, w TO v, x TO w",
        "RENAME TABLE v TO x; CREATE VIEW v AS SELECT * FROM t",
        "CREATE SEQUENCE s; RENAME TABLE s TO x",
    ],
)
async def test_a_rename_of_views_alone_passes(both: Both, rename: str) -> None:
    """The source says that the new name is a view's, and the log that it has been since."""
    both.both(TABLE)
    await both.carry(VIEWS, rename, "INSERT INTO t VALUES (2)", ddl=True)
    both.assert_equal("t")


async def test_a_view_in_the_place_of_a_renamed_table_does_not_stop_the_link(both: Both) -> None:
    """The old name is there again, and is no table's."""
    both.both(TABLE)
    await both.carry("RENAME TABLE t TO u; CREATE VIEW t AS SELECT * FROM u; INSERT INTO u VALUES (2)", ddl=True)
    both.assert_equal("u")


async def test_a_rename_of_views_and_tables_stops_the_link_and_names_the_view(both: Both) -> None:
    """Only a part of the statement is for the target."""
    both.both(TABLE)
    with pytest.raises(UnsupportedEvent, match=r"renames test_\w+\.x, a view or a sequence"):
        await both.carry(VIEWS, "RENAME TABLE v TO x, t TO u", ddl=True)


async def test_a_rename_of_a_view_that_is_gone_stops_the_link_and_speaks_of_views(both: Both) -> None:
    """Nothing tells any more what it was; the target has no table of the name."""
    both.both(TABLE)
    link = both.link(ddl=True)
    both.only_source(f"{VIEWS}; RENAME TABLE v TO x; DROP VIEW x")
    async with running(link, both.source, both.target) as run:
        error = await run.stopped()
    assert isinstance(error, ApplyFailed)
    assert "views and sequences are not carried" in str(error)
