"""Relaying links may form stars, chains and rings, and nothing by which a row comes to a site twice."""

from __future__ import annotations

from itertools import permutations

import pytest

from cdcd.config import load
from cdcd.config.ways import Carrier, may_meet, two_ways
from cdcd.errors import ConfigError


def links(text, tables=("t.*",), **others):
    """Make links of words as "a>b" and, where they relay, "a>>b"; ``others`` gives a link's tables by its ends."""
    made = []
    for word in text.split():
        source, target = word.replace(">>", ">").split(">")
        relay = ">>" in word
        made.append(Carrier(word, source, target, relay, others.get(source + target, tables), renames=False))
    return made


@pytest.mark.parametrize(
    "text",
    [
        "a>b b>a",
        "a>b b>>c",
        "a>b b>>c c>>d",
        "a>b b>>c c>b b>>a",
        "a>>b b>>c c>>a",
        "a>h h>>a b>h h>>b c>h h>>c",
        "a>b b>a b>c c>b a>c c>a",
    ],
    ids=["pair", "chain", "longer chain", "chain both ways", "ring", "star", "mesh without relay"],
)
def test_one_way_for_each_row_is_fine(text):
    """What relay is there for."""
    assert [] == list(two_ways(links(text)))


@pytest.mark.parametrize(
    ("text", "ways"),
    [
        ("a>b b>>c a>c", {"a to b to c", "a to c"}),
        ("a>>b b>>a b>>c c>>b a>>c c>>a", {"a to b", "a to c to b"}),
        ("a>b b>>c c>>b", {"a to b", "a to b to c to b"}),
        ("a>h h>>a b>>h h>>b", {"a to h", "a to h to b to h"}),
        ("a>b a>c b>>d c>>d", {"a to b to d", "a to c to d"}),
    ],
    ids=["shortcut", "mesh", "back to a relay", "spoke that relays", "diamond"],
)
def test_two_ways_are_found(text, ways):
    """The older of two changes would arrive last on one of them, or a row go round for ever."""
    assert ways in [{str(one), str(other)} for one, other in two_ways(links(text))]


def test_ways_of_different_tables_do_not_meet():
    """Each table still has one way."""
    given = links("a>b b>>c a>c", ab=("t.*",), bc=("t.*",), ac=("shop.*", "crm.orders"))
    assert [] == list(two_ways(given))


def test_a_renamed_table_may_be_any():
    """What is another table here may have the same name there."""
    given = links("a>b b>>c a>c", ac=("shop.*",))
    assert list(two_ways([given[0]._replace(renames=True), *given[1:]]))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("shop.*", "crm.*", False),
        ("shop.*", "SHOP.t", True),
        ("shop.orders", "shop.order", False),
        ("shop.order", "shop.order*", True),
        ("shop.a*", "shop.b*", False),
        ("shop.[ab]*", "shop.b*", True),
        ("*.t", "shop.u", False),
        ("shop.a*z", "shop.a*y", False),
        ("shop.a*z", "shop.[!A]*z", True),
        ("*.t", "shop.T", True),
    ],
)
def test_rules_overlap_unless_it_is_sure_that_they_do_not(one, other, expected):
    """A doubt must not end in two ways."""
    assert expected == may_meet((one,), (other,)) == may_meet((other,), (one,))


SITES = ("east", "west", "north")


def mesh(folder, relay):
    """Write a file that links every site with every other, both ways, and load it."""
    path = folder / "cdcd.toml"
    sites = "".join(f'[sites.{site}]\nhost = "10.0.0.{at}"\nuser = "cdcd"\n' for at, site in enumerate(SITES, 1))
    links = "".join(
        f'[links.{source}_{target}]\nsource = "{source}"\ntarget = "{target}"\ntables = ["shop.*"]\nrelay = {relay}\n'
        for source, target in permutations(SITES, 2)
    )
    path.write_text(sites + links)
    return load(path, {})


def test_a_file_with_two_ways_is_refused_and_both_are_named(tmp_path):
    """Rows would go round for ever, and end different."""
    with pytest.raises(ConfigError) as refused:
        mesh(tmp_path, "true")
    told = "rows born at east would reach west by two ways, east to west and east to north to west"
    assert any(told in problem for problem in refused.value.problems)


def test_a_rule_that_is_wrong_is_told_beside_all_else(tmp_path):
    """A mistake elsewhere in the file must not end in a traceback."""
    path = tmp_path / "cdcd.toml"
    sites = "".join(f'[sites.{site}]\nuser = "cdcd"\nport = {at}\n' for at, site in enumerate(SITES, 1))
    link = '[links.{}_{}]\nsource = "{}"\ntarget = "{}"\ntables = ["shop"]\nrelay = true\n'
    path.write_text(sites + "".join(link.format(*ends, *ends) for ends in permutations(SITES, 2)))
    with pytest.raises(ConfigError) as refused:
        load(path, {})
    assert all('must be of the form "database.table"' in problem for problem in refused.value.problems)


def test_a_file_with_one_way_is_fine(tmp_path):
    """Without relay, every row of a mesh has one step to go."""
    assert 6 == len(mesh(tmp_path, "false").links)
