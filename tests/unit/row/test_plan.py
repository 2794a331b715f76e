"""A link's plans are found by table as the log describes it, and forgotten when the schema changes."""

from __future__ import annotations

import pytest

from cdcd.batch.net import Batch
from cdcd.row.plan import Plan, Plans, Route
from cdcd.row.transaction import TableMap, Transaction
from tests.fixtures.binlog_bytes import Log, LoggedTable

LEFT_OUT = Plan(Route(("shop", "t"), None))


def transactions(count: int) -> list[Transaction]:
    """Return so many, each of a table of its own."""
    log = Log()
    for number in range(count):
        table = LoggedTable({"id": "int"}, table_id=number + 1)
        log.commit(table.insert((1,)))
    return log.unplanned()


def tables(count: int) -> list[TableMap]:
    """Return so many tables as a log describes them."""
    return [transaction.tables[0] for transaction in transactions(count)]


def test_each_table_has_its_own_plan() -> None:
    """Many more tables than are asked about at a time: what one was found by does not find another."""
    plans, found = Plans(), tables(300)
    made = [Plan(Route(("shop", str(number)), None)) for number in range(len(found))]
    for table, plan in zip(found, made, strict=True):
        assert plans.find(table) is None
        plans.keep(table, plan)
    for _ in range(2):
        assert made == [plans.find(table) for table in found]


def test_a_schema_change_forgets_every_plan() -> None:
    """A plan is of one version of the schema."""
    plans, [a, b] = Plans(), tables(2)
    plans.keep(a, LEFT_OUT)
    assert plans.find(a) is LEFT_OUT
    before = plans.version
    plans.advance()
    assert before < plans.version
    assert plans.find(a) is None
    plans.keep(b, LEFT_OUT)
    assert plans.find(b) is LEFT_OUT
    assert plans.find(a) is None


def test_a_plan_may_be_replaced() -> None:
    """What is found is what was kept last."""
    plans, [table] = Plans(), tables(1)
    for plan in (LEFT_OUT, Plan(Route(("shop", "t"), None))):
        plans.keep(table, plan)
        assert plans.find(table) is plan


def test_plans_are_bounded() -> None:
    """A log may call one table by another number again and again."""
    plans, found = Plans(), transactions(10_050)
    for transaction in found:
        plans.make_room(transaction)
        plans.keep(transaction.tables[0], LEFT_OUT)
    assert len(plans) <= 10_000
    assert plans.find(found[0].tables[0]) is None
    assert plans.find(found[-1].tables[0]) is LEFT_OUT


def test_a_transaction_of_very_many_tables_keeps_the_plans_of_all() -> None:
    """Were one forgotten while another is made, it could never be applied."""
    plans, log = Plans(), Log()
    log.commit(*(LoggedTable({"id": "int"}, table_id=number).insert((1,)) for number in range(1, 10_051)))
    [transaction] = log.unplanned()
    for _ in range(2):
        plans.make_room(transaction)
        for table in transaction.tables:
            plans.keep(table, LEFT_OUT)
    assert 10_050 == len(plans) == len(transaction.tables)
    assert not plans.carries(transaction)


def test_a_batch_keeps_the_plans_of_what_is_in_it() -> None:
    """The schema may change while it is applied: its rows are those of before."""
    table, log = LoggedTable({"id": "int", "v": "int"}), Log()
    log.commit(table.insert((1, 2)), table.update(((1, 2), (1, 3))))
    batch = Batch(log.plans)
    [transaction] = log.read(table)
    batch.add(transaction)
    log.plans.advance()
    [partition] = batch.partitions(1)
    assert [1] == [len(step) for step in partition.steps]
    assert [1, 1] == [len(step) for step in partition.ordered_steps()]


def test_a_batch_refuses_a_table_without_a_plan() -> None:
    """Its rows would be left out without a word."""
    table, log = LoggedTable({"id": "int"}), Log()
    log.commit(table.insert((1,)))
    [transaction] = log.read(table)
    with pytest.raises(RuntimeError, match=r"shop\.t has no plan"):
        Batch(Plans()).add(transaction)


def test_a_plan_has_all_its_parts_or_only_the_route_of_a_table_left_out() -> None:
    """Rows of a table that is carried must have a layout and a target."""
    with pytest.raises(ValueError, match="all its parts"):
        Plan(Route(("shop", "t"), ("shop", "t")))
