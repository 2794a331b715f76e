"""What is collected is merged whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cdcd.config.schema import Link
from cdcd.errors import CdcdError, SchemaMismatch
from cdcd.model.change import OPERATIONS
from cdcd.model.position import Gtid, Position, Progress
from cdcd.route.plan import build
from cdcd.row.transaction import Transaction
from cdcd.runtime.backlog import Backlog
from tests.fixtures.binlog_bytes import COLLATIONS, Log, LoggedTable

TABLE = LoggedTable({"id": "int"})
LINK = Link("forward", "east", "west", ("shop.*",))


def met(error: Exception) -> tuple[Backlog, list[Transaction]]:
    """Return a backlog, and two transactions of which the second meets an error at its last row."""

    def row_filter(values: Sequence[object]) -> bool:
        if values[0] == 3:
            raise error
        return True

    log = Log()
    log.commit(TABLE.insert((1,)))
    log.commit(TABLE.insert((2,)), TABLE.insert((3,)))
    found = log.unplanned()
    backlog = Backlog(LINK, Progress(Position()), log.plans)
    for table in dict.fromkeys(table for transaction in found for table in transaction.tables):
        plan = build(
            table.description, TABLE.table, TABLE.table, COLLATIONS, operations=OPERATIONS, row_filter=row_filter
        )
        log.plans.keep(table, plan)
    return backlog, found


def test_what_came_before_a_transaction_that_cannot_be_merged_is_applied() -> None:
    """The error is the transaction's, and says which it is."""
    backlog, found = met(SchemaMismatch("no"))
    with pytest.raises(CdcdError, match="no") as raised:
        backlog.extend(found, 0)
    assert {"transaction": "0-1-2"}.items() <= {key: str(value) for key, value in raised.value.where.items()}.items()
    assert backlog.is_ready
    assert [Gtid(0, 1, 1)] == backlog.seen == [each.gtid for each in backlog.batch.transactions]


def test_a_batch_that_holds_a_transaction_in_part_is_never_applied() -> None:
    """An error of our own may come in the middle of its rows, and the writers may be faster than the end of the run."""
    backlog, found = met(TypeError("a defect"))
    with pytest.raises(TypeError):
        backlog.extend(found, 0)
    assert not backlog.is_ready
    assert backlog.is_busy
    assert not backlog.seen
