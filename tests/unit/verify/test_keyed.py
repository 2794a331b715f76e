"""When a suspect is let go."""

from __future__ import annotations

import pytest

from cdcd.verify.keyed import Suspect

Look = tuple[str | None, str | None]


@pytest.mark.parametrize(
    ("looks", "agreed", "in_flight"),
    [
        ([("b", "a"), ("b", "b")], True, False),
        ([("b", None), ("b", None)], False, False),
        ([("b", "a"), ("c", "a"), ("d", "a")], False, False),
        ([("b", "a"), ("c", "b"), ("d", "c")], False, True),
        ([("a", "b"), ("b", "c"), ("c", "d")], False, True),
        ([("b", "a"), ("b", "x"), ("b", "y")], False, False),
        ([("b", "a"), ("c", "x"), ("d", "y")], False, False),
    ],
    ids=[
        "arrived",
        "stays missing",
        "the target stands still",
        "the target follows",
        "the source follows, as when the reverse link writes it",
        "only the target moves",
        "both move apart",
    ],
)
def test_a_suspect_is_in_flight_only_if_one_side_follows_the_other(
    looks: list[Look], agreed: bool, in_flight: bool
) -> None:
    """Agreement settles it; without, both sides must move, and one be where the other was."""
    suspect = Suspect((looks[0][0],), (looks[0][1],))

    assert [False] * (len(looks) - 2) + [agreed] == [suspect.see(*look) for look in looks[1:]]
    assert in_flight == (suspect.is_in_flight and not agreed)
