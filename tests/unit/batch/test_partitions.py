"""How a batch splits: by keys, into partitions that hold whole transactions in source order."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdcd.batch.net import Batch, Partition
from cdcd.model.position import Gtid
from cdcd.model.table import ForeignKey, Key
from tests.fixtures.binlog_bytes import Log, LoggedTable, Row

PRIMARY = Key("PRIMARY", ("id",), (0,))
UNIQUE = Key("u", ("u",), (0,))


def a_table(**facts: Any) -> LoggedTable:
    """Return a table of an id, a further unique value, and a plain one."""
    return LoggedTable(**{"columns": {"id": "int", "u": "int", "v": "int"}, "keys": (PRIMARY, UNIQUE), **facts})


def a_text_table(**facts: Any) -> LoggedTable:
    """Return a table whose key is text."""
    return LoggedTable(**{"columns": {"id": "varchar", "v": "int"}, **facts})


def split(log: Log, *tables: LoggedTable, writers: int = 8) -> list[Partition]:
    """Batch the transactions of a log of these tables and split them."""
    batch = Batch(log.plans)
    for transaction in log.read(*tables):
        batch.add(transaction)
    return batch.partitions(writers)


def sequences(partitions: list[Partition]) -> list[list[int]]:
    """Return each partition's transactions by number, partitions in the order of their first."""
    return sorted([gtid.sequence for gtid in partition.gtids] for partition in partitions)


def inserted(table: LoggedTable, *transactions: Row) -> list[list[int]]:
    """Insert one row in each transaction, and return how they split."""
    log = Log()
    for row in transactions:
        log.commit(table.insert(row))
    return sequences(split(log, table))


values = st.integers(1, 12)
rows = st.tuples(values, st.none() | values, values)
changes = st.one_of(
    st.tuples(st.just("insert"), rows),
    st.tuples(st.just("delete"), rows),
    st.tuples(st.just("update"), st.tuples(rows, rows)),
)
batches = st.lists(st.lists(st.tuples(st.booleans(), changes), min_size=1, max_size=4), min_size=1, max_size=25)


def keys_of(change: tuple[bool, tuple[str, Any]]) -> set[tuple[bool, str, int]]:
    """Return the unique values that a change touches, before and after."""
    table, (kind, row) = change
    images = row if kind == "update" else [row]
    primary = {(table, "id", image[0]) for image in images}
    return primary | {(table, "u", image[1]) for image in images if image[1] is not None}


def components(batch: list[list[tuple[bool, tuple[str, Any]]]]) -> list[set[int]]:
    """Return which transactions are bound together by shared keys: the plain way to say it."""
    groups: list[tuple[set[int], set[object]]] = []
    for number, transaction in enumerate(batch, 1):
        keys = set().union(*map(keys_of, transaction))
        touched = [group for group in groups if group[1] & keys]
        groups = [group for group in groups if not group[1] & keys]
        numbers = {number}.union(*(group[0] for group in touched))
        groups.append((numbers, keys.union(*(group[1] for group in touched))))
    return [group[0] for group in groups]


@given(batch=batches, writers=st.integers(1, 6))
def test_transactions_that_share_a_key_share_a_writer_in_order(
    batch: list[list[tuple[bool, tuple[str, Any]]]], writers: int
) -> None:
    """Order only matters between transactions that touch one key, so those, and only those, are kept together."""
    tables = {True: a_table(name=("shop", "a"), table_id=1), False: a_table(name=("shop", "b"), table_id=2)}
    log = Log()
    for transaction in batch:
        log.commit(*(getattr(tables[which], kind)(row) for which, (kind, row) in transaction))
    partitions = split(log, *tables.values(), writers=writers)

    numbers = [[gtid.sequence for gtid in partition.gtids] for partition in partitions]
    assert list(range(1, len(batch) + 1)) == sorted(chain.from_iterable(numbers))
    assert [sorted(partition) for partition in numbers] == numbers
    for component in components(batch):
        assert [partition for partition in numbers if component & set(partition)] == [
            partition for partition in numbers if component <= set(partition)
        ]
    assert min(writers, len(components(batch))) == len(partitions)


def test_every_transaction_is_whole_in_its_share() -> None:
    """A source transaction must commit with one target transaction, whatever tables it touches."""
    a, b = a_table(name=("shop", "a"), table_id=1), a_table(name=("shop", "b"), table_id=2)
    log = Log()
    log.commit(a.insert((1, 1, 1)), b.insert((1, 1, 1)))
    log.commit(b.insert((2, 2, 2)))
    partitions = split(log, a, b)
    assert [[Gtid(0, 1, 1)], [Gtid(0, 1, 2)]] == [partition.gtids for partition in partitions]
    assert [2, 1] == [partition.row_count for partition in partitions]


def test_a_null_collides_with_nothing() -> None:
    """Unique keys admit any number of NULLs, so rows with a NULL need not wait for each other."""
    assert [[1], [2]] == inserted(a_table(), (1, None, 1), (2, None, 1))


@pytest.mark.parametrize("other", ["A", "a ", "A  "])
def test_text_that_the_target_calls_equal_stays_together(other: str) -> None:
    """Case and trailing spaces do not tell rows apart in the target's index."""
    assert [[1, 2]] == inserted(a_text_table(), ("a", 1), (other, 1))


def test_plain_text_splits() -> None:
    """Letters, digits and punctuation that differ are different under every common collation."""
    assert [[1], [2], [3]] == inserted(a_text_table(), ("a", 1), ("b", 1), ("a-b", 1))


def test_text_whose_equality_is_not_proven_keeps_its_table_together() -> None:
    """Whether 'é' equals 'e' is the target's affair: nothing of the table is split while it is in the batch."""
    assert [[1, 2, 3]] == inserted(a_text_table(), ("e", 1), ("é", 1), ("x", 1))


def test_a_collation_that_is_not_known_keeps_its_table_together() -> None:
    """Danish sorts 'aa' with 'å': such rules are not guessed."""
    assert [[1, 2]] == inserted(a_text_table(collation="utf8mb4_danish_ci"), ("a", 1), ("b", 1))


def test_a_prefix_index_compares_only_its_prefix() -> None:
    """UNIQUE (u(2)) makes 'aax' and 'aay' collide."""
    table = LoggedTable(
        columns={"id": "int", "u": "varchar"}, keys=(PRIMARY, Key("u", ("u",), (2,))), name=("shop", "t")
    )
    assert [[1, 2], [3]] == inserted(table, (1, "aax"), (2, "AAy"), (3, "abx"))


def test_tables_bound_by_foreign_keys_stay_together() -> None:
    """A cascade touches rows that no log shows, so relatives are applied by one writer in source order."""
    reference = ForeignKey("f", ("v",), ("shop", "parent"), ("id",), "CASCADE", "CASCADE")
    assert [[1, 2]] == inserted(a_table(foreign_keys=(reference,)), (1, 1, 1), (2, 2, 2))


@pytest.mark.parametrize("flags", [1, 3])
def test_rows_of_a_bound_table_are_one_step_while_nothing_comes_between(flags: int) -> None:
    """A restored dump switches the checks off, and each row would be a statement of its own."""
    reference = ForeignKey("f", ("v",), ("shop", "parent"), ("id",), "CASCADE", "CASCADE")
    bound = a_table(foreign_keys=(reference,), flags=flags)
    log = Log()
    log.commit(*(bound.insert((n, n, n)) for n in range(10)))
    [partition] = split(log, bound, writers=1)
    assert [(10, flags == 3)] == [(len(step), step.foreign_keys_off) for step in partition.steps]


def test_a_table_that_was_reopened_keeps_its_rows_together() -> None:
    """The log gives a table a new id when the server reopens it, which must not look like another table."""
    first, second = a_table(table_id=1), a_table(table_id=2)
    log = Log()
    log.commit(first.insert((1, 1, 1)))
    log.commit(second.delete((1, 1, 1)))
    log.commit(first.insert((1, 2, 3)))
    [partition] = split(log, first)
    assert [1, 2, 3] == [gtid.sequence for gtid in partition.gtids]
    assert [0, 2, 0] == [step.kind for step in partition.steps]


def test_images_in_part_keep_their_table_together_and_in_order() -> None:
    """Without whole rows there are no net changes: every change goes out as it is, in source order."""
    table = a_table()
    log = Log()
    log.commit(table.insert((1, 1, 1)))
    log.commit(table.update_in_part((1, 1, 1), (1, 1, 2), 0b101))
    log.commit(table.delete((1, 1, 2)))
    [partition] = split(log, table)
    assert [0, 1, 2] == [step.kind for step in partition.steps]


def test_a_batch_without_changes_is_one_empty_share() -> None:
    """What nets to nothing still moves the position, so there is a partition to commit."""
    table = a_table()
    log = Log()
    log.commit(table.insert((1, 1, 1)), table.delete((1, 1, 1)))
    [partition] = split(log, table)
    assert ([], 0) == (partition.steps, partition.row_count)


def test_a_batch_is_split_once_and_takes_no_more() -> None:
    """It may be split while the writers are busy: what came later would be in no partition."""
    log = Log()
    for i in range(6):
        log.commit(a_table().insert((i, i, i)))
    *earlier, last = log.read(a_table())
    batch = Batch(log.plans)
    for transaction in earlier:
        batch.add(transaction)
    assert not batch.is_split
    partitions = batch.partitions(3)
    assert batch.is_split
    assert partitions is batch.partitions(2)
    with pytest.raises(RuntimeError, match="takes no more"):
        batch.add(last)
    assert [transaction.gtid for transaction in earlier] == sorted(chain.from_iterable(s.gtids for s in partitions))
