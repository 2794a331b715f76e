"""The daemon is killed at random moments, under load on both sides, and nothing is lost, doubled or sent back."""

from __future__ import annotations

import random
import time

import pytest

from tests.fixtures.daemon import until
from tests.system import ledger
from tests.system.conftest import equal, quiet

# Where one writer is held up, nearly every crash falls between two commits of a batch; else it is a matter of luck.
HELD_KILLS_MAX = 20
BACKLOG = 300
HELD_SECONDS_MAX = 5


@pytest.mark.parametrize("writers", [1, 4])
def test_every_transaction_is_applied_once_over_kills_of_the_daemon(pair, both, east, west, database, writers):
    """The marker commits with the data, so a crash at any moment neither repeats nor forgets a transaction."""
    kill_at_random_moments(pair, both, east, west, database, writers=writers, kills=5, seed=writers)


@pytest.mark.storm
@pytest.mark.parametrize("seed", range(4))
def test_every_transaction_is_applied_once_over_hundreds_of_kills(pair, both, east, west, database, seed):
    """A storm meets the moments that a short run is unlikely to meet."""
    kill_at_random_moments(pair, both, east, west, database, writers=4 if seed % 2 else 1, kills=100, seed=seed)


def kill_at_random_moments(pair, both, east, west, database, *, writers, kills, seed):
    """Kill under load; with several writers, at last between the commits of one batch."""
    chance = random.Random(seed)
    both(ledger.TABLES)
    # Small batches of many rows: so every batch of a backlog is shared by all writers.
    daemon = pair(writers=writers, batch_transactions_max=600)
    daemon.start()
    daemon.streams()
    clients = [ledger.Clients(server, database, site, 6) for server, site in ((east, "east"), (west, "west"))]
    try:
        for killed in range(kills + HELD_KILLS_MAX):
            if killed < kills:
                applied = [ledger.count(west, database), ledger.count(east, database)]
                reach(applied, chance, 600, lambda: [ledger.count(west, database), ledger.count(east, database)])
                daemon.kill()
            elif writers > 1 and not between_commits(daemon):
                kill_between_commits(daemon, clients[0], west, database)
            else:
                break
            # A backlog, so that the next run applies full batches.
            committed = [client.count for client in clients]
            reach(committed, chance, 1500, lambda: [client.count for client in clients])
            claims = len(daemon.events("link_claimed"))
            daemon.start()
            if killed >= kills - 1:
                until(lambda claims=claims: len(daemon.events("link_claimed")) >= claims + 2)
    finally:
        for client in clients:
            client.stop()
    until(lambda: equal(east, west, database))
    assert ledger.is_consistent(east, database)
    assert ledger.is_consistent(west, database)
    assert sum(client.count for client in clients) == ledger.count(east, database)
    assert [] == daemon.events("share_contradicted")
    assert writers == 1 or between_commits(daemon)
    quiet(daemon, east, west)


def reach(before, chance, most, numbers):
    """Wait until each number has grown by something random."""
    goals = [number + chance.randrange(most) for number in before]
    until(lambda: all(number >= goal for number, goal in zip(numbers(), goals, strict=True)))


def kill_between_commits(daemon, source, target, database):
    """Kill while one writer waits to begin what the others commit: its share of a batch that fills by a backlog.

    Where the backlog was read too late, no batch is shared; then the next kill may be luckier.
    """
    slots = f"SELECT slot FROM cdcd.checkpoint WHERE link = '{database}_f'"
    with target.connect(database=database) as stopping, target.connect(autocommit=False) as holding:
        stopping.cursor().execute("LOCK TABLES ledger WRITE")
        goal = source.count + BACKLOG
        until(lambda: source.count >= goal)
        holding.cursor().execute(f"{slots} ORDER BY slot DESC LIMIT 1 FOR UPDATE SKIP LOCKED")
        stopping.cursor().execute("UNLOCK TABLES")
        waits = "SHOW GLOBAL STATUS WHERE Variable_name = 'Innodb_row_lock_current_waits' AND Value"
        end = time.monotonic() + HELD_SECONDS_MAX
        until(lambda: target.sql(waits) or time.monotonic() > end)
        daemon.kill()
        holding.rollback()


def between_commits(daemon):
    """Return the claims that found a batch committed by some writers only."""
    return [event for event in daemon.events("link_claimed") if event["applied_after"]]
