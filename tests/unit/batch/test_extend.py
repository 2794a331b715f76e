"""A batch takes what may join it from a chunk at once, and stops before the first that may not, with the reason."""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import Any

import pytest

from cdcd.batch.admission import Admission
from cdcd.batch.net import Batch
from cdcd.binlog.decoder import Decoder
from cdcd.model.position import Gtid, Position
from cdcd.row.plan import Plan, Plans, Route
from cdcd.row.transaction import Transaction
from tests.fixtures.binlog_bytes import Log, LoggedTable, event, format_description

TABLE = LoggedTable({"id": "int", "v": "int"})
WIDE = LoggedTable({"id": "int", "body": "varchar"}, name=("shop", "wide"))
PLANS = Plans()
STOP = 2
"""The place of the transaction that is not ordinary, among five."""


def ordinary(count: int = 5) -> list[Transaction]:
    """Return transactions of one row each, planned."""
    log = Log(plans=PLANS)
    for i in range(count):
        log.commit(TABLE.insert((i, i)))
    return log.read(TABLE)


def unplanned() -> Transaction:
    """Return one whose table has no plan yet."""
    log = Log()
    log.commit(TABLE.insert((9, 9)))
    return Decoder(Position()).feed(log.written)[0]


def not_carried() -> Transaction:
    """Return one of a table that the link leaves out."""
    transaction = unplanned()
    PLANS.keep(transaction.tables[0], Plan(Route(("shop", "t"), None)))
    return transaction


def a_statement() -> Transaction:
    """Return a schema change."""
    text = b"shop\0ALTER TABLE t ADD c INT"
    head = event(162, struct.pack("<QIB6x", 9, 0, 33))
    [transaction] = Decoder(Position()).feed(
        format_description() + head + event(2, struct.pack("<IIBHH", 7, 0, 4, 0, 0) + text)
    )
    assert transaction.query
    return transaction


def a_part(number: int) -> Transaction:
    """Return a part of a transaction that is not complete."""
    return Transaction(Gtid(0, 1, 9), 0, None, number)


def extend(batch: Batch, found: list[Transaction], at: int = 0, **changes: Any) -> tuple[int, Admission]:
    """Extend a batch that has room for everything, unless ``changes`` say otherwise."""
    applied: Collection[Gtid] = frozenset()
    given = {"origin": None, "applied": applied, "transactions_max": 100, "bytes_max": 1 << 20}
    return batch.extend(found, at, **{**given, **changes})


def test_a_batch_takes_all_that_is_ordinary() -> None:
    """From where it is told to, to the end."""
    batch, found = Batch(PLANS), ordinary()
    assert (5, Admission.JOINS) == extend(batch, found, 2)
    assert found[2:] == batch.transactions
    assert 3 == batch.row_count
    assert (5, Admission.JOINS) == extend(batch, found, 5)
    assert 3 == len(batch)


def an_announcement() -> Transaction:
    """Return one that tells of a schema change of a link."""
    log = Log()
    log.commit(LoggedTable({"link": "varchar"}, name=("cdcd", "ddl")).insert(("forward",)))
    return log.unplanned()[0]


def returned(transaction: Transaction) -> Transaction:
    """Return one that the target has executed itself."""
    transaction.has_returned = True
    return transaction


def rolled_back() -> Transaction:
    """Return one that ends in ROLLBACK."""
    transaction = ordinary(1)[0]
    transaction.undo()
    return transaction


def judged(transaction: Transaction) -> Transaction:
    """Return one of which the link's rules let pass what it holds."""
    transaction.is_judged = True
    return transaction


@pytest.mark.parametrize(
    ("special", "why"),
    [
        (unplanned, Admission.UNPLANNED),
        (not_carried, Admission.NOT_CARRIED),
        (a_statement, Admission.STATEMENT),
        (lambda: a_part(0), Admission.PART),
        (lambda: a_part(3), Admission.PART),
        (an_announcement, Admission.ANNOUNCES),
        (rolled_back, Admission.UNJUDGED),
        (lambda: judged(rolled_back()), Admission.UNDONE),
        (lambda: returned(ordinary(1)[0]), Admission.UNJUDGED),
        (lambda: returned(a_statement()), Admission.UNJUDGED),
        (lambda: judged(returned(a_statement())), Admission.STATEMENT),
        (lambda: returned(a_part(1)), Admission.UNJUDGED),
    ],
)
def test_it_stops_before_what_needs_more(special: Any, why: Admission) -> None:
    """What must be planned, passed over, or applied alone, is not for a batch; what follows waits behind it."""
    batch, found = Batch(PLANS), ordinary()
    found[STOP] = special()
    assert (STOP, why) == extend(batch, found) == extend(batch, found, STOP)
    assert found[:STOP] == batch.transactions
    assert (5, Admission.JOINS) == extend(batch, found, STOP + 1)


def test_what_was_judged_joins() -> None:
    """The rules are asked once."""
    batch, found = Batch(PLANS), ordinary()
    found[STOP] = judged(returned(found[STOP]))
    assert (5, Admission.JOINS) == extend(batch, found)


def test_it_stops_before_what_is_applied_already() -> None:
    """A transaction that another writer committed before a crash must not be applied again."""
    batch, found = Batch(PLANS), ordinary()
    assert (STOP, Admission.APPLIED) == extend(batch, found, applied=frozenset([found[STOP].gtid, found[4].gtid]))
    assert found[:STOP] == batch.transactions


def test_it_stops_before_another_origin() -> None:
    """A marker names one origin, so a batch has one."""
    batch, found = Batch(PLANS), ordinary()
    assert (0, Admission.OTHER_ORIGIN) == extend(batch, found, origin="north")
    assert [] == batch.transactions


@pytest.mark.parametrize("most", [1, 4])
def test_it_stops_when_it_is_full_by_count(most: int) -> None:
    """The cap is of the batch, whatever came before."""
    batch, found = Batch(PLANS), ordinary()
    full = (most, Admission.FULL)
    assert full == extend(batch, found, transactions_max=most) == extend(batch, found, most, transactions_max=most)
    assert most == len(batch)


def wide(count: int = 5) -> list[Transaction]:
    """Return transactions of one row of ordinary width each, planned."""
    log = Log(plans=PLANS)
    for i in range(count):
        log.commit(WIDE.insert((i, "x" * 190)))
    return log.read(WIDE)


def test_it_stops_when_it_is_full_by_bytes() -> None:
    """A transaction that would pass the cap waits; one that is larger than the cap still fits alone."""
    batch, found = Batch(PLANS), wide()
    size = found[0].size
    assert (2, Admission.FULL) == extend(batch, found, bytes_max=2 * size + 1)
    assert 2 * size == batch.size
    assert (2, Admission.FULL) == extend(batch, found, 2, bytes_max=2 * size + 1)
    assert (1, Admission.FULL) == extend(Batch(PLANS), found, bytes_max=1)


def test_narrow_rows_fill_it_by_what_it_keeps_of_them() -> None:
    """Each takes far more than its few bytes there: references, a net row, hashes of its keys."""
    batch, log = Batch(PLANS), Log(plans=PLANS)
    for at in range(0, 50, 10):
        log.commit(TABLE.insert(*((n, n) for n in range(at, at + 10))))
    found = log.read(TABLE)
    assert (2, Admission.FULL) == extend(batch, found, bytes_max=29 * 128)
    assert 20 * 128 == batch.size
    assert (3, Admission.FULL) == extend(batch, found, 2, bytes_max=30 * 128)
