"""A link begins anew only where nothing says that it has run; whatever else is found has one answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdcd.checkpoint.decision import Witnesses, decide
from cdcd.checkpoint.store import Held
from cdcd.checkpoint.witness import Witness
from cdcd.errors import CheckpointForeign, CheckpointLost
from cdcd.model.position import Position, Progress

SHOP = '{"tables":["shop.*"]}'
MINE = Witness("forward", "east", "west", "e:1", "w:1", SHOP, "")
SEEN = replace(MINE, position="0-1-100")
REVERSE = replace(SEEN, link="reverse", source="west", target="east", source_server="w:1", target_server="e:1")
FILE = {"forward": ("east", "west")}
PAIR = {**FILE, "reverse": ("west", "east")}


def held(position="0-1-100", *origins):
    """Return what a checkpoint's rows say."""
    return Held(frozenset(origins or ["east"]), Progress(Position.parse(position)))


def test_a_link_that_nothing_remembers_begins():
    """Witnesses of other links are no reason to stop."""
    others = [
        REVERSE,
        replace(SEEN, link="other", target="north", target_server="n:1"),
        # The same name in another file, for other sites and servers.
        replace(SEEN, source="left", target="right", source_server="l:1", target_server="r:1"),
    ]
    assert [] == decide(MINE, None, Witnesses(), names=FILE)
    assert [] == decide(MINE, None, Witnesses(others, others, others), names=PAIR)


@pytest.mark.parametrize("where", ["target", "files"])
@pytest.mark.parametrize(
    "seen",
    [
        SEEN,
        replace(SEEN, target_server="w:2"),  # a target that was rebuilt elsewhere
        replace(SEEN, source_server="e:2"),
        replace(SEEN, source="ost", target="west2"),  # sites that were given other names
    ],
    ids=["same", "another target", "another source", "other names"],
)
def test_a_checkpoint_that_is_gone_stops_the_link(seen, where):
    """Whichever place remembers: begun anew at `now`, it would lose what lies between."""
    with pytest.raises(CheckpointLost, match="has run before, at least to 0-1-100, and") as caught:
        decide(MINE, None, Witnesses(**{where: [seen]}))
    assert "cdcd position set --link forward" in caught.value.hint
    assert "cdcd link forget --link forward" in caught.value.hint


@pytest.mark.parametrize(
    ("seen", "error"),
    [
        (SEEN, CheckpointLost),
        (replace(SEEN, link="old"), CheckpointLost),
        (replace(REVERSE, link="forward"), CheckpointForeign),
    ],
    ids=["gone", "under another name", "exchanged"],
)
def test_how_far_a_link_came_is_said_as_the_least(seen, error):
    """A witness is older than the checkpoint that is gone: whoever took it for the end would apply rows twice."""
    with pytest.raises(error, match="at least to 0-1-100"):
        decide(MINE, None, Witnesses([seen]), names=FILE)
    with pytest.raises(error, match="from the beginning of the log on"):
        decide(MINE, None, Witnesses([replace(seen, position="")]), names=FILE)


def test_the_source_remembers_links_of_other_daemons_too():
    """Two files may use the same names for other targets; between the same servers it is the same link."""
    assert [] == decide(MINE, None, Witnesses(source=[replace(SEEN, target_server="w:2")]))
    with pytest.raises(CheckpointLost):
        decide(MINE, None, Witnesses(source=[SEEN]))


def test_a_link_under_a_new_name_stops():
    """Its checkpoint is there, under the old one."""
    with pytest.raises(CheckpointLost) as caught:
        decide(MINE, None, Witnesses([replace(SEEN, link="old")]), names=FILE)
    assert "cdcd link rename --link old forward" in caught.value.hint
    assert "cdcd link forget --link old" in caught.value.hint


@pytest.mark.parametrize(
    ("seen", "options"),
    [
        (replace(SEEN, link="old"), {"names": {**FILE, "old": ("east", "west")}}),
        (replace(SEEN, link="old"), {"names": FILE, "overlaps": lambda rules: rules != SHOP}),
        (replace(SEEN, link="old", target_server="w:2"), {"names": FILE}),
        (replace(SEEN, link="old"), {"names": None}),
    ],
    ids=["still in the file", "other tables", "other servers", "no file"],
)
def test_another_link_is_not_taken_for_a_renamed_one(seen, options):
    """Two links may well go the same way."""
    assert [] == decide(MINE, None, Witnesses([seen]), **options)


def test_a_checkpoint_goes_on():
    """With or without a witness: one of an earlier cdcd has none."""
    for witnesses in (Witnesses(), Witnesses([SEEN], [SEEN], [replace(SEEN, position="0-1-7")])):
        assert [] == decide(MINE, held(), witnesses)


def test_a_checkpoint_of_another_source_stops_the_link():
    """A changed `source` under the same name would reuse a position of the old one's log."""
    with pytest.raises(CheckpointForeign, match="from north to west"):
        decide(MINE, held(), Witnesses([replace(SEEN, source="north", source_server="n:1")]))
    with pytest.raises(CheckpointForeign, match="from north"):
        decide(MINE, held("0-1-100", "north"), Witnesses())


def test_origins_do_not_tell_the_source_of_a_link_that_relays_or_has_relayed():
    """Such a link writes the origin that it met."""
    assert [] == decide(MINE, held("0-1-100", "north", "east"), Witnesses(), relays=True)
    assert [] == decide(MINE, held("0-1-100", "north"), Witnesses([SEEN]))


def test_a_target_that_moved_to_another_server_is_told():
    """A failover is no reason to stop, and never silent."""
    [warned] = decide(MINE, held(), Witnesses([replace(SEEN, target_server="w:0")]))
    assert ("target_server_changed", {"before": "w:0", "now": "w:1"}) == (warned.event, warned.facts)


def test_tables_that_were_not_carried_before_are_told():
    """Their changes up to the checkpoint were passed over, and nothing else would say so."""
    before = '{"tables":["shop.b"]}'
    [warned] = decide(MINE, held(), Witnesses([replace(SEEN, rules=before)]))
    assert ("tables_changed", {"before": before, "now": SHOP}) == (warned.event, warned.facts)
    assert [] == decide(MINE, held(), Witnesses([replace(SEEN, link="other", rules=before), SEEN]))


def test_a_checkpoint_older_than_what_was_noted_beside_it_stops_the_link():
    """A restored target has both of one time: rows are gone, and what they said would be applied twice."""
    with pytest.raises(CheckpointLost, match=r"0-1-90.*0-1-100") as caught:
        decide(MINE, held("0-1-90"), Witnesses([SEEN]))
    assert "cdcd position set --link forward" in caught.value.hint


def test_a_damaged_witness_is_told():
    """It would otherwise be an error without a way out."""
    with pytest.raises(CheckpointLost, match="damaged"):
        decide(MINE, held(), Witnesses([replace(SEEN, position="rubbish")]))


@pytest.mark.parametrize("where", ["source", "files"])
def test_a_checkpoint_older_than_what_was_seen_is_told(where):
    """A target that was restored from a copy goes on from its own position."""
    [warned] = decide(MINE, held("0-1-90"), Witnesses(**{where: [SEEN]}))
    assert "checkpoint_older_than_seen" == warned.event
    assert {"position": "0-1-90", "seen": "0-1-100"} == warned.facts


@pytest.mark.parametrize("where", ["target", "source", "files"])
@pytest.mark.parametrize(
    ("seen", "names"),
    [
        # The names of a pair were exchanged: "reverse" is now what goes from west to east, and was the other.
        (replace(SEEN, link="reverse"), PAIR),
        # The ends of one link were.
        (replace(REVERSE, link="forward"), FILE),
        (replace(REVERSE, link="forward"), None),
    ],
    ids=["names exchanged", "ends exchanged", "no file"],
)
def test_links_that_were_exchanged_in_the_file_stop(seen, names, where):
    """Both would begin anew at `now`, and lose what came since."""
    with pytest.raises(CheckpointForeign, match=f"{seen.link} has run from {seen.source} to") as caught:
        decide(MINE, None, Witnesses(**{where: [seen]}), names=names)
    assert "cdcd position set --link forward" in caught.value.hint


def test_links_of_one_direction_and_other_tables_are_not_exchanged_ones():
    """A second link may begin beside a first, in either direction."""
    beside = replace(SEEN, link="beside")
    names = {**PAIR, "beside": ("west", "east")}
    assert [] == decide(MINE, None, Witnesses([beside, REVERSE]), names=names, overlaps=lambda _: False)


@pytest.mark.parametrize("where", ["target", "files"])
def test_a_name_that_had_one_other_end_stops(where):
    """A link that was turned to another site has no place there."""
    seen = replace(SEEN, source="north", source_server="n:1")
    with pytest.raises(CheckpointForeign):
        decide(MINE, None, Witnesses(**{where: [seen]}))
    assert [] == decide(MINE, None, Witnesses(source=[seen]))
