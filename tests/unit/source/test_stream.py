"""How a link presents itself to its source."""

from __future__ import annotations

from itertools import combinations

from cdcd.config.schema import Link
from cdcd.source.stream import replica_server_id


def a_link(name, source="east", target="west"):
    """Describe a link."""
    return Link(name=name, source=source, target=target, tables=("shop.*",))


def test_every_run_of_a_link_has_the_same_server_id():
    """So a source ends the dump of a run that hangs."""
    assert replica_server_id(a_link("forward"), "w:1") == replica_server_id(a_link("forward"), "w:1")


def test_links_have_server_ids_of_their_own_above_those_of_servers():
    """Two dumps of one id would end each other forever."""
    links = [a_link("forward"), a_link("other"), a_link("forward", "west", "east"), a_link("forward", "east", "north")]
    ids = [replica_server_id(link, "w:1") for link in links]
    # Two files may use the same names for different servers.
    ids.append(replica_server_id(a_link("forward"), "w:2"))
    assert all(one != other for one, other in combinations(ids, 2))
    assert all(0x80000000 <= number <= 0xFFFFFFFF for number in ids)
