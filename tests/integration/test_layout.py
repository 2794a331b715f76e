"""cdcd's own tables: those of an earlier layout are upgraded as they are, and what cannot be relied on is refused."""

from __future__ import annotations

import asyncio

import pytest

from cdcd.apply.sql.marker_event import is_ours
from cdcd.checkpoint.layout import LAYOUT
from cdcd.checkpoint.store import Checkpoint, Held
from cdcd.errors import Fenced, LayoutMismatch, TargetLost
from cdcd.model.position import Progress
from cdcd.mysql.session import Session
from tests.fixtures.links import running, wait_until
from tests.fixtures.sites import site

# As the first published layout created them.
LAYOUT_1 = """\
DROP DATABASE IF EXISTS cdcd;
CREATE DATABASE IF NOT EXISTS cdcd CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS cdcd.checkpoint (
  link       VARCHAR(64)       NOT NULL,
  slot       SMALLINT UNSIGNED NOT NULL,
  origin     VARCHAR(64)       NOT NULL,
  position   MEDIUMBLOB        NOT NULL,
  applied    MEDIUMBLOB        NOT NULL,
  epoch      BIGINT UNSIGNED   NOT NULL,
  updated_at TIMESTAMP(6)      NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  batch      BIGINT UNSIGNED   NOT NULL,
  session    BIGINT UNSIGNED   NOT NULL,
  PRIMARY KEY (link, slot)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE TABLE IF NOT EXISTS cdcd.ddl (
  link         VARCHAR(64)     NOT NULL,
  gtid         VARCHAR(64)     NOT NULL,
  origin       VARCHAR(64)     NOT NULL,
  session      BIGINT UNSIGNED NOT NULL,
  verb         VARCHAR(32)     NOT NULL,
  objects      TEXT            NOT NULL,
  digest       CHAR(64)        NOT NULL,
  state_before CHAR(64)        NOT NULL,
  announced_at TIMESTAMP(6)    NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (link, gtid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
"""
# As the second did, but for the table of what was skipped.
LAYOUT_2 = (
    LAYOUT_1.replace(
        """  session    BIGINT UNSIGNED   NOT NULL,
  PRIMARY KEY (link, slot)
""",
        """  session    BIGINT UNSIGNED   NOT NULL,
  source_server VARCHAR(255) NOT NULL DEFAULT '',
  log_file      VARCHAR(255) NOT NULL DEFAULT '',
  log_offset    BIGINT UNSIGNED NOT NULL DEFAULT 0,
  event_time    BIGINT UNSIGNED NOT NULL DEFAULT 0,
  log_began     BIGINT UNSIGNED NOT NULL DEFAULT 0,
  PRIMARY KEY (link, slot)
""",
    )
    .replace("objects      TEXT ", "objects      MEDIUMTEXT ")
    .replace("COLLATE=utf8mb4_bin;", "COLLATE=utf8mb4_bin COMMENT='cdcd layout 2';")
    + """\
CREATE TABLE cdcd.link (
  link          VARCHAR(64)  NOT NULL,
  source        VARCHAR(64)  NOT NULL,
  target        VARCHAR(64)  NOT NULL,
  source_server VARCHAR(255) NOT NULL,
  target_server VARCHAR(255) NOT NULL,
  rules         MEDIUMTEXT   NOT NULL,
  position      MEDIUMBLOB   NOT NULL,
  failed_gtid   VARCHAR(64)  NOT NULL DEFAULT '',
  failure       TEXT         NOT NULL DEFAULT '',
  updated_at    TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (link, source, target)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='cdcd layout 2';
"""
)


@pytest.fixture
def fresh(west):
    """Leave no table of cdcd that a test has changed to the next."""
    yield west
    west.sql("DROP DATABASE IF EXISTS cdcd")


@pytest.mark.parametrize("layout", [LAYOUT_1, LAYOUT_2], ids=["1", "2"])
async def test_rows_of_an_earlier_layout_are_gone_on_from(fresh, both, layout):
    """Two slots of one batch: what each has applied counts, and nothing is read again or left out."""
    fresh.sql(layout)
    both.both("CREATE TABLE t (n INT PRIMARY KEY)")
    link = both.link()
    for n in range(3):
        both.only_source(f"INSERT INTO t VALUES ({n})")
    domain, server, sequence = map(int, link.start.split(",")[0].split("-"))
    both.only_target("INSERT INTO t VALUES (1)")
    rows = [(0, b""), (1, f"{domain}-{server}:{sequence + 2}".encode())]
    for slot, applied in rows:
        fresh.sql(
            "INSERT INTO cdcd.checkpoint (link, slot, origin, position, applied, epoch, batch, session) VALUES"
            f" ('{link.name}', {slot}, 'east', '{link.start}', '{applied.decode()}', 1700000000000, 7, 0)"
        )
    async with running(link, both.source, both.target) as run:
        await run.caught_up()
        assert (2, 0, 0) == (run.runner.transactions, run.runner.conflicts, run.row_by_row)
    both.assert_equal("t")
    comments = fresh.sql("SELECT DISTINCT table_comment FROM information_schema.tables WHERE table_schema = 'cdcd'")
    assert [(f"cdcd layout {LAYOUT}",)] == comments
    [(_, definition)] = fresh.sql("SHOW CREATE TABLE cdcd.checkpoint")
    assert is_ours(definition.encode())
    assert "UNIQUE KEY `slot` (`link`,`slot`)" in definition


async def test_an_index_that_has_the_key_s_name_is_not_taken_for_it(fresh, both):
    """An upgrade adds the key where there is none of that name, and a server says no more than a note."""
    fresh.sql(LAYOUT_2)
    fresh.sql("ALTER TABLE cdcd.checkpoint ADD KEY slot (origin)")
    error = await stopped(both)
    assert isinstance(error, LayoutMismatch), error
    assert "lacks the unique keys (link, slot)" in str(error)
    fresh.sql(error.hint)
    async with running(both.link(), both.source, both.target) as run:
        await run.caught_up()


async def stopped(both):
    """Return what stops a new link."""
    async with running(both.link(), both.source, both.target) as run:
        return await run.stopped(20)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("COMMENT = 'cdcd layout 99'", "layout 99"),
        ("ENGINE = MyISAM", "cannot roll back"),
        ("ENGINE = Aria", "cannot roll back"),
        ("DROP COLUMN log_offset", "lacks the columns log_offset"),
        ("CHANGE epoch age BIGINT", "lacks the columns epoch"),
        ("DROP KEY slot", "lacks the unique keys (link, slot)"),
        ("DROP KEY slot, ADD KEY slot (link, slot)", "lacks the unique keys (link, slot)"),
        ("DROP KEY slot, ADD UNIQUE KEY slot (link, slot, batch)", "lacks the unique keys (link, slot)"),
        ("DROP PRIMARY KEY, ADD PRIMARY KEY (slot, link, epoch)", "lacks the unique keys (link, slot, epoch)"),
    ],
)
@pytest.mark.parametrize("table", ["checkpoint"])
async def test_a_table_that_cannot_be_relied_on_is_refused(fresh, both, table, change, said):
    """A newer layout may mean something else, and an engine that keeps what was rolled back makes no row exact."""
    async with running(both.link(), both.source, both.target):
        pass
    fresh.sql(f"ALTER TABLE cdcd.{table} {change}")
    error = await stopped(both)
    assert isinstance(error, LayoutMismatch), error
    assert said in str(error)
    if "keys" in said:
        fresh.sql(error.hint)
        async with running(both.link(), both.source, both.target) as run:
            await run.caught_up()


async def test_a_server_that_enforces_another_engine_is_refused(fresh, both):
    """It gives that engine to new tables too, with a note and no error."""
    fresh.sql("DROP DATABASE IF EXISTS cdcd; SET GLOBAL enforce_storage_engine = Aria, GLOBAL sql_mode = ''")
    try:
        assert isinstance(await stopped(both), LayoutMismatch)
    finally:
        fresh.sql("SET GLOBAL enforce_storage_engine = DEFAULT, GLOBAL sql_mode = DEFAULT")


async def test_a_table_that_is_swapped_while_a_link_runs_is_noticed_when_it_connects_again(fresh, both):
    """What was asked when the link began need not be so any more."""
    both.both("CREATE TABLE t (n INT PRIMARY KEY)")
    async with running(both.link(), both.source, both.target) as run:
        [writer, *_] = run.writers
        await asyncio.to_thread(fresh.sql, "ALTER TABLE cdcd.checkpoint ENGINE = MyISAM")
        fresh.sql(f"KILL {writer.session.thread_id}")
        both.only_source("INSERT INTO t VALUES (1)")
        assert isinstance(await run.stopped(20), LayoutMismatch)


async def test_all_slots_are_read_whatever_the_server_cuts_off(fresh, both):
    """With one slot of four, transactions that the others applied would be applied again."""
    both.both("CREATE TABLE t (n INT PRIMARY KEY, v INT DEFAULT 0)")
    link = both.link(writers=4)
    async with running(link, both.source, both.target):
        pass
    both.only_source("INSERT INTO t (n) VALUES (1)")
    [(gtid,)] = both.on_source("SELECT @@gtid_binlog_pos")
    both.only_target("INSERT INTO t (n) VALUES (1)")
    domain, server, sequence = gtid.split(",")[0].split("-")
    fresh.sql(
        f"UPDATE cdcd.checkpoint SET batch = 9, applied = IF(slot = 2, '{domain}-{server}:{sequence}', '')"
        f" WHERE link = '{link.name}'"
    )

    async def go_on(held: Held | None) -> Progress:
        assert held is not None
        return held.progress

    session = await Session.open(site(fresh, "west"), TargetLost, "SET sql_select_limit = 1")
    claim = await Checkpoint(link.name, "east", "west").claim(session, [1, 2, 3, 4], go_on, lambda _: b"DO 0")
    await session.close()
    assert 1 == len(claim.progress.applied)


async def test_a_claim_whose_answer_was_lost_is_this_runs_own(fresh, both, monkeypatch):
    """The epoch that it took is not another run's; another's that came between is."""
    both.both("CREATE TABLE t (n INT PRIMARY KEY)")
    link = both.link()
    execute, lost, armed = Session.execute, [], [False]

    async def lose(self, statement):
        answer = await execute(self, statement)
        if statement == "COMMIT" and armed[0]:
            armed[0] = False
            lost.append(statement)
            self.abort()
            raise TargetLost("the answer was lost")
        return answer

    async with running(link, both.source, both.target) as run:
        monkeypatch.setattr(Session, "execute", lose)
        for n in range(2):
            armed[0] = True
            [writer, *_] = run.writers
            fresh.sql(f"KILL {writer.session.thread_id}")
            both.only_source(f"INSERT INTO t VALUES ({n})")
            await wait_until(lambda n=n: len(lost) > n)
            await run.caught_up()
        both.assert_equal("t")
        fresh.sql(f"UPDATE cdcd.checkpoint SET epoch = epoch + 1 WHERE link = '{link.name}'")
        both.only_source("INSERT INTO t VALUES (9)")
        assert isinstance(await run.stopped(20), Fenced)
