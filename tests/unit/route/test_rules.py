"""What a link carries, and under which name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdcd.errors import ConfigError
from cdcd.model.table import SYSTEM_DATABASES
from cdcd.route.rules import Rules


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("shop.orders", ("shop", "orders"), True),
        ("shop.orders", ("shop", "orders2"), False),
        ("shop.*", ("shop", "orders"), True),
        ("shop.*", ("shop", ""), True),
        ("shop.*", ("shop2", "orders"), False),
        ("*.orders", ("shop", "orders"), True),
        ("*.*", ("shop", "a.b"), True),
        ("crm.cust_[a-m]*", ("crm", "cust_bob"), True),
        ("crm.cust_[a-m]*", ("crm", "cust_zoe"), False),
        ("crm.cust_[!a-m]*", ("crm", "cust_zoe"), True),
        ("crm.cust_[!a-m]*", ("crm", "cust_bob"), False),
        ("a.t[-_]x", ("a", "t-x"), True),
        ("a.t[^x]", ("a", "t^"), True),
        ("a.t[^x]", ("a", "ty"), False),
        ("a.t[\\d]", ("a", "t1"), False),
        ("a.t?", ("a", "t1"), True),
        ("a.t?", ("a", "t"), False),
        ("a.t+", ("a", "t+"), True),
        ("a.t+", ("a", "tt"), False),
        ("a[.]b.t", ("a.b", "t"), True),
        ("a?b.t", ("a.b", "t"), True),
        ("a.b.c", ("a", "b.c"), True),
        ("a.*", ("a", "new\nline"), True),
        ("Shop.*", ("shop", "t"), False),
    ],
)
def test_a_pattern_matches_each_part_of_a_name(pattern: str, name: tuple[str, str], expected: bool) -> None:
    """Wildcards stay within their part, every other character is itself, and case counts."""
    assert expected == Rules([pattern]).carries(name)


def test_a_star_never_crosses_the_dot() -> None:
    """``sh*`` is a mistake, and ``sh*.t`` does not reach into the table's name."""
    assert not Rules(["sh*.t"]).carries(("shop", "x.t"))
    assert Rules(["sh*.t"]).carries(("shop", "t"))


def test_exclude_takes_away_from_tables() -> None:
    """The result is ``tables`` minus ``exclude``, whatever the order in which names are asked for."""
    rules = Rules(["shop.*"], ["shop.tmp_*"])

    assert [True, False, True] == [rules.carries(("shop", name)) for name in ("orders", "tmp_1", "orders")]


@pytest.mark.parametrize("database", sorted(SYSTEM_DATABASES | {"MySQL"}))
def test_system_databases_are_never_carried(database: str) -> None:
    """Not even a rule that names one of them outright carries it."""
    assert not Rules(["*.*", f"{database}.*"]).carries((database, "user"))


def test_an_exact_rename_wins_over_its_database() -> None:
    """One table can leave a database that moves as a whole."""
    rules = Rules(["*.*"], rename={"old.*": "new", "old.a": "else.b"})

    assert ("else", "b") == rules.target_name(("old", "a"))
    assert ("new", "c") == rules.target_name(("old", "c"))
    assert ("new", "") == rules.target_name(("old", ""))
    assert ("shop", "a") == rules.target_name(("shop", "a"))


def test_all_mistakes_are_reported_at_once_with_their_place() -> None:
    """An operator fixes the rules in one round."""
    with pytest.raises(ConfigError) as caught:
        Rules(
            ["shop", "a.[", "a.[z-a]", "ok.*"],
            [".x"],
            {"a": "b.c", "a.b": "c", "a.*": "b.c", "a.b*": "c.d", "b.*": "", "c.d": "mysql.x", "d.e": "f.*"},
        )

    places = [problem.split(" ")[0:2] for problem in caught.value.problems]
    assert [
        ["tables[0]:", "'shop'"],
        ["tables[1]:", "'a.['"],
        ["tables[2]:", "'a.[z-a]'"],
        ["exclude[0]:", "'.x'"],
        *(["rename:", repr(key)] for key in ("a", "a.b", "a.*", "a.b*", "b.*", "c.d", "d.e")),
    ] == places


names = st.text(min_size=1, max_size=8).filter(lambda name: not set("*?[.") & set(name))


@given(names, names)
def test_a_name_without_wildcards_is_a_rule_for_itself(database: str, table: str) -> None:
    """No character of a name is taken for a part of a regular expression."""
    carried = Rules([f"{database}.{table}"]).carries

    assert (database.lower() not in SYSTEM_DATABASES) == carried((database, table))
    assert not carried((database, table + "x"))
