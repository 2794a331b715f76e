"""What net changes become: few statements, each with the number of rows that it is expected to match."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cdcd.apply.sql.statement import Statement, describe, render
from cdcd.batch.net import Batch
from cdcd.model.table import ForeignKey, Key
from tests.fixtures.binlog_bytes import Log, LoggedTable

PRIMARY = Key("PRIMARY", ("id",), (0,))
UNIQUE = Key("u", ("u",), (0,))


def a_table(**facts: Any) -> LoggedTable:
    """Return a table with one key."""
    return LoggedTable(**{"columns": {"id": "int", "u": "int", "v": "varchar"}, "keys": (PRIMARY,), **facts})


def statements(table: LoggedTable, *events: bytes, **target: Any) -> list[Statement]:
    """Return what one transaction of these events becomes."""
    log = Log()
    batch = Batch(log.plans)
    log.commit(*events)
    [transaction] = log.read(table, targets=[replace(table.table, **target)])
    batch.add(transaction)
    [partition] = batch.partitions(1)
    return [statement for step in partition.steps for statement in render(step)]


def texts(table: LoggedTable, *events: bytes, **target: Any) -> list[str]:
    """Return the statements' SQL."""
    return [statement.sql.decode() for statement in statements(table, *events, **target)]


def test_changes_to_one_row_become_one() -> None:
    """However often a row changes in a batch, it is written once."""
    table = a_table()
    [statement] = statements(
        table,
        table.insert((1, 1, "a")),
        table.update(((1, 1, "a"), (1, 2, "b")), ((1, 2, "b"), (1, 3, "it's"))),
    )
    assert (
        "INSERT INTO `shop`.`t` (`id`,`u`,`v`) VALUES (1,3,_utf8mb4'it\\'s')"
        " ON DUPLICATE KEY UPDATE `u`=VALUES(`u`),`v`=VALUES(`v`)"
    ) == statement.sql.decode()
    assert (1, 1) == (statement.rows, statement.matched)


def test_what_nets_to_nothing_is_not_written() -> None:
    """A row that comes and goes within a batch leaves no statement."""
    table = a_table()
    assert [] == texts(table, table.insert((1, 1, "a")), table.delete((1, 1, "a")))


def test_a_row_that_is_replaced_is_updated() -> None:
    """A delete and an insert of one key leave the row in place: no child of it is touched."""
    table = a_table()
    [statement] = statements(table, table.delete((1, 1, "a")), table.insert((1, 2, "b")))
    assert statement.sql.startswith(b"INSERT INTO")
    assert 2 == statement.matched


def test_deletes_come_first_and_inserts_last() -> None:
    """A value is free before it is taken, whatever the source's order was."""
    table = a_table(keys=(PRIMARY, UNIQUE))
    kinds = [
        statement.kind
        for statement in statements(
            table,
            table.insert((9, 9, "n")),
            table.update(((1, 1, "a"), (1, 1, "b"))),
            table.delete((2, 2, "c")),
        )
    ]
    assert [2, 1, 0] == kinds


def test_an_update_that_moves_a_unique_value_becomes_a_delete_and_an_insert() -> None:
    """Two rows that exchange a unique value could not be updated one after the other."""
    table = a_table(keys=(PRIMARY, UNIQUE))
    assert [
        "DELETE `shop`.`t` FROM `shop`.`t` FORCE INDEX (`PRIMARY`) WHERE `id` IN (1,2)",
        "INSERT INTO `shop`.`t` (`id`,`u`,`v`) VALUES (1,2,_utf8mb4'a'),(2,1,_utf8mb4'b')",
    ] == texts(table, table.update(((1, 1, "a"), (1, 2, "a")), ((2, 2, "b"), (2, 1, "b"))))


def test_an_update_that_moves_none_is_guarded() -> None:
    """An upsert that meets another row through another key must fail, not overwrite it."""
    table = a_table(keys=(PRIMARY, UNIQUE))
    [text] = texts(table, table.update(((1, 1, "a"), (1, 1, "b"))))
    assert "`id`=IF(`id`=VALUES(`id`) OR 18446744073709551615+" in text


def test_an_update_that_returns_to_its_start_says_whether_the_row_is_there() -> None:
    """An upsert counts a missing row as it counts an unchanged one; an update does not."""
    table = a_table()
    [statement] = statements(table, table.update(((1, 1, "a"), (1, 2, "a"))), table.update(((1, 2, "a"), (1, 1, "a"))))
    assert statement.sql.startswith(b"UPDATE")
    assert (1, True) == (statement.matched, statement.is_exact)


def test_composite_keys_are_spelled_out() -> None:
    """Row constructors in an IN list are no index ranges on every server."""
    table = a_table(keys=(Key("PRIMARY", ("id", "u"), (0, 0)),))
    assert [
        "DELETE `shop`.`t` FROM `shop`.`t` FORCE INDEX (`PRIMARY`) WHERE (`id`=1 AND `u`=2) OR (`id`=3 AND `u`=4)"
    ] == texts(table, table.delete((1, 2, "a"), (3, 4, "b")))


def test_a_key_that_may_only_compare_equal_is_written_too() -> None:
    """Under a collation the row in the way may be spelled otherwise: the source's letters win."""
    table = LoggedTable({"id": "varchar", "v": "int"})
    [text] = texts(table, table.insert(("a", 1)))
    assert text.endswith("ON DUPLICATE KEY UPDATE `id`=VALUES(`id`),`v`=VALUES(`v`)")


def test_a_table_of_its_key_alone_has_an_upsert_that_changes_nothing() -> None:
    """The clause needs an assignment, even where there is nothing to assign."""
    table = LoggedTable({"id": "int"})
    assert ["INSERT INTO `shop`.`t` (`id`) VALUES (1) ON DUPLICATE KEY UPDATE `id`=`id`"] == texts(
        table, table.insert((1,))
    )


@pytest.mark.parametrize(
    "reference",
    [
        ForeignKey("f", ("u",), ("shop", "parent"), ("id",), "CASCADE", "CASCADE"),
        ForeignKey("f", ("u",), ("shop", "t"), ("id",), "CASCADE", "CASCADE"),
    ],
)
def test_relatives_are_written_in_source_order(reference: ForeignKey) -> None:
    """Nothing merges where one row's change moves another's; a tree's rows are deleted one by one."""
    table = a_table(foreign_keys=(reference,))
    found = statements(table, table.insert((1, 1, "a"), (2, 1, "b")), table.delete((2, 1, "b"), (1, 1, "a")))
    own = reference.parent == table.name
    assert [0, 2, 2] if own else [0, 2] == [statement.kind for statement in found]
    assert all(statement.is_exact for statement in found if statement.kind == 2)


def test_a_long_row_is_a_statement_of_its_own() -> None:
    """What fits the target's max_allowed_packet alone is not pushed over it by its neighbours."""
    table = LoggedTable({"id": "int", **{f"v{i}": "varchar" for i in range(7)}})
    row: list[int | str | None] = ["x" * 200] * 7
    found = statements(table, *(table.insert(*((i * 100 + k, *row) for k in range(100))) for i in range(8)))
    assert 800 == sum(statement.rows for statement in found)
    assert 2 < len(found)
    assert all(len(statement.sql) < 520 * 1024 for statement in found)


def test_a_row_is_described_by_its_key() -> None:
    """A message names the row without spilling what it holds."""
    table, log = a_table(), Log()
    batch = Batch(log.plans)
    log.commit(table.insert((1, 2, "secret")))
    batch.add(log.read(table)[0])
    [step] = batch.partitions(1)[0].steps
    assert {"table": "shop.t", "change": "insert", "row": "id = 1"} == describe(step, 0)
