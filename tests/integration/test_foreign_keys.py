"""Foreign keys: what the source's log does not show, the target must do by itself, and nothing twice.

InnoDB cascades leave no trace in the log. So relatives are applied in source order with the checks on, and the
target cascades as the source did; where the source's session had its checks off, the target's are off too.
"""

from __future__ import annotations

import pytest

from cdcd.errors import ApplyFailed, Conflict
from tests.fixtures.links import Both

ROWS = "INSERT INTO parent VALUES (1, 'a'), (2, 'b'), (3, 'c'); INSERT INTO child VALUES (1, 1), (2, 1), (3, 2)"


def family(rule: str, nullable: bool = True) -> str:
    """Return a parent, its child and its grandchild."""
    null = "NULL" if nullable else "NOT NULL"
    return (
        "CREATE TABLE parent (id INT PRIMARY KEY, name VARCHAR(9));"
        f"CREATE TABLE child (id INT PRIMARY KEY, p INT {null}, FOREIGN KEY (p) REFERENCES parent (id) {rule});"
        "CREATE TABLE grandchild (id INT PRIMARY KEY, c INT, FOREIGN KEY (c) REFERENCES child (id)"
        " ON DELETE CASCADE ON UPDATE CASCADE);"
        f"{ROWS}; INSERT INTO grandchild VALUES (1, 1), (2, 2), (3, 3)"
    )


CASCADE, SET_NULL, RESTRICT = (f"ON DELETE {rule} ON UPDATE {rule}" for rule in ("CASCADE", "SET NULL", "RESTRICT"))


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        (CASCADE, "DELETE FROM parent WHERE id = 1"),
        (CASCADE, "UPDATE parent SET id = 9 WHERE id = 1; UPDATE child SET p = 2 WHERE p = 9"),
        (CASCADE, "DELETE FROM parent WHERE id=1; INSERT INTO parent VALUES (1, 'n'); INSERT INTO child VALUES (1, 1)"),
        (CASCADE, "INSERT INTO child VALUES (7, 3); DELETE FROM parent WHERE id=3; INSERT INTO parent VALUES (3, 'x')"),
        (CASCADE, "REPLACE INTO parent VALUES (1, 'replaced')"),
        (CASCADE, "DELETE FROM child WHERE p = 1; DELETE FROM parent; INSERT INTO parent VALUES (1, 'n')"),
        (CASCADE, "UPDATE child SET p = 2; DELETE FROM parent WHERE id <> 2; DELETE FROM child WHERE id = 1"),
        (SET_NULL, "DELETE FROM parent WHERE id = 1"),
        (SET_NULL, "UPDATE parent SET id = 9 WHERE id = 1; UPDATE child SET p = 9 WHERE p IS NULL"),
        (SET_NULL, "DELETE FROM parent WHERE id = 1; INSERT INTO parent VALUES (1, 'n'); UPDATE child SET p = 1"),
        (SET_NULL, "INSERT INTO child VALUES (7, 1); UPDATE child SET p = NULL WHERE p = 2; DELETE FROM parent"),
        (RESTRICT, "DELETE FROM child; DELETE FROM parent; INSERT INTO parent VALUES (1, 'n')"),
        (RESTRICT, "INSERT INTO parent VALUES (4, 'd'); INSERT INTO child VALUES (4, 4); UPDATE child SET p = 4"),
        (RESTRICT, "UPDATE child SET p = 3; DELETE FROM parent WHERE id < 3; INSERT INTO parent VALUES (2, 'n')"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("transactions", ["one", "several"])
async def test_the_target_cascades_as_the_source_did(both: Both, rule: str, changes: str, transactions: str) -> None:
    """A cascade that is missing, or happens to rows that came later, leaves the sides different for good."""
    both.both(family(rule))
    script = f"BEGIN; {changes}; COMMIT" if transactions == "one" else changes
    assert 0 == (await both.carry(script)).conflicts
    both.assert_equal("parent", "child", "grandchild")


@pytest.mark.parametrize(
    "changes",
    [
        "DELETE FROM node WHERE id = 1",
        "DELETE FROM node WHERE id = 5; DELETE FROM node WHERE id = 3; DELETE FROM node WHERE id = 1",
        "INSERT INTO node VALUES (6, 6), (7, 6), (8, 7); DELETE FROM node WHERE id = 6",
        "UPDATE node SET up = 4 WHERE up = 1; DELETE FROM node WHERE id = 1; INSERT INTO node VALUES (1, 3)",
        "DELETE FROM node WHERE id = 2; INSERT INTO node VALUES (2, 1), (4, 2)",
    ],
)
async def test_a_table_may_refer_to_itself(both: Both, changes: str) -> None:
    """A tree lives in one table: its rows refer to each other, so even one statement's order matters."""
    both.both(
        "CREATE TABLE node (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES node (id) ON DELETE CASCADE);"
        "INSERT INTO node VALUES (1, NULL), (2, 1), (3, 1), (4, 2), (5, 3)"
    )
    outcome = await both.carry(f"BEGIN; {changes}; COMMIT")
    assert (0, 0) == (outcome.conflicts, outcome.row_by_row)
    both.assert_equal("node")


async def test_rows_of_a_tree_are_deleted_leaves_first(both: Both) -> None:
    """A statement of many keys deletes in the order of its index, which RESTRICT refuses."""
    both.both(
        "CREATE TABLE node (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES node (id));"
        "INSERT INTO node VALUES (1, NULL), (2, 1), (3, 2)"
    )
    outcome = await both.carry("BEGIN; DELETE FROM node WHERE id = 3; DELETE FROM node WHERE id = 2; COMMIT")
    assert (0, 0) == (outcome.conflicts, outcome.row_by_row)
    both.assert_equal("node")


async def test_a_session_without_checks_is_followed_without_checks(both: Both) -> None:
    """Loading a dump turns the checks off: children come first, and nothing cascades."""
    both.both(family(CASCADE))
    outcome = await both.carry(
        "SET foreign_key_checks = 0; BEGIN; INSERT INTO child VALUES (10, 10); INSERT INTO parent VALUES (10, 'late');"
        "DELETE FROM parent WHERE id = 2; COMMIT; SET foreign_key_checks = 1; DELETE FROM parent WHERE id = 1"
    )
    assert (0, 0) == (outcome.conflicts, outcome.row_by_row)
    both.assert_equal("parent", "child", "grandchild")
    assert [(3, 2), (10, 10)] == both.on_target("SELECT * FROM child ORDER BY id")


async def test_checks_come_back_after_a_conflict_among_unchecked_rows(both: Both) -> None:
    """Checks that stayed off on the target would let the next delete leave orphans behind."""
    both.both(family(CASCADE))
    both.only_target("INSERT INTO parent VALUES (10, 'way')")
    outcome = await both.carry(
        "SET foreign_key_checks = 0; INSERT INTO parent VALUES (10, 'new')",
        "DELETE FROM parent WHERE id = 1",
        batch_transactions_max=1,
    )
    assert (1, 1) == (outcome.conflicts, outcome.row_by_row)
    both.assert_equal("parent", "child", "grandchild")


@pytest.mark.parametrize("rule", [CASCADE, SET_NULL])
async def test_a_parent_that_moves_onto_another_takes_no_child_along(both: Both, rule: str) -> None:
    """Nothing but a delete would make room for it, and its children, of which the change says nothing, would go too."""
    both.both(family(rule))
    both.only_target("INSERT INTO parent VALUES (9, 'there'); INSERT INTO child VALUES (9, 9)")
    query = (
        "SELECT p.id, name, c.id, g.id FROM parent p LEFT JOIN child c ON c.p = p.id LEFT JOIN grandchild g ON c = c.id"
    )
    before = sorted(map(repr, both.on_target(query)))
    with pytest.raises(Conflict, match=r"table \S+parent, row id = 1.*by hand"):
        await both.carry("UPDATE parent SET id = 9 WHERE id = 1")
    assert before == sorted(map(repr, both.on_target(query)))


async def test_a_parent_moves_onto_another_where_the_source_did_without_checks(both: Both) -> None:
    """Nothing cascades then, on either side."""
    both.both(family(CASCADE))
    both.only_target("INSERT INTO parent VALUES (9, 'there')")
    assert 1 == (await both.carry("SET foreign_key_checks = 0; UPDATE parent SET id = 9 WHERE id = 1")).conflicts
    both.assert_equal("parent", "child", "grandchild")


async def test_overwriting_a_parent_deletes_no_child(both: Both) -> None:
    """A REPLACE of a parent deletes it first, and its children with it: a row in the way is updated instead."""
    both.both(family(CASCADE))
    both.only_target("INSERT INTO parent VALUES (4, 'there'); INSERT INTO child VALUES (9, 4)")
    assert 1 == (await both.carry("INSERT INTO parent VALUES (4, 'new')")).conflicts
    both.assert_equal("parent")
    assert [(9, 4)] == both.on_target("SELECT * FROM child WHERE p = 4")


async def test_a_reference_to_nothing_stops_the_link(both: Both) -> None:
    """A child whose parent the target lacks cannot be written; passing it over would be silent loss."""
    both.both(family(RESTRICT))
    both.only_target("DELETE FROM parent WHERE id = 3")
    with pytest.raises(ApplyFailed, match=rf"table {both.database}.child, row id = 9.*compare the sites"):
        await both.carry("INSERT INTO child VALUES (9, 3); INSERT INTO parent VALUES (11, 'k')")
    assert [] == both.on_target("SELECT * FROM parent WHERE id = 11")
