"""Which key tells rows apart."""

from __future__ import annotations

from cdcd.model.table import Column, Key, Table


def a_column(name: str, *, nullable: bool = False) -> Column:
    """Return an INT column."""
    return Column(name, "int(11)", "int", "", "", nullable, False, False)


def a_table(*keys: Key, nullable: str = "") -> Table:
    """Return a table of three columns."""
    columns = tuple(a_column(name, nullable=name in nullable) for name in "abc")
    return Table(("shop", "t"), columns, keys, (), False, (), False)


def test_the_primary_key_comes_first() -> None:
    """It is there for that."""
    primary, other = Key("PRIMARY", ("b",), (0,)), Key("a", ("a",), (0,))
    assert primary == a_table(other, primary).row_key


def test_a_unique_key_serves_without_null_and_prefix() -> None:
    """Rows with a NULL may repeat, and a prefix is not the value."""
    prefixed, nullable, plain = Key("p", ("b",), (3,)), Key("n", ("c",), (0,)), Key("u", ("a", "b"), (0, 0))
    assert plain == a_table(prefixed, nullable, plain, nullable="c").row_key
    assert (plain,) == a_table(prefixed, nullable, plain, nullable="c").row_keys
    assert a_table(prefixed, nullable, nullable="c").row_key is None


def test_names_compare_as_servers_compare_them() -> None:
    """Column names do not depend on case."""
    table = a_table(Key("PRIMARY", ("A",), (0,)))
    assert a_column("a") == table.column("A")
    assert table.row_key is not None
    assert table.column("d") is None
