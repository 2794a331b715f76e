"""Who fails again and again waits longer, and no longer than that; who got somewhere begins anew."""

from __future__ import annotations

from cdcd.model.backoff import Backoff


def test_waits_grow_while_nothing_goes_well() -> None:
    """A server that is down for hours must not be asked a hundred times a second."""
    backoff = Backoff((0.1, 1, 5))
    assert [0.1, 1, 5, 5] == [backoff.after(went_well=first) for first in (True, False, False, False)]
    assert 0.1 == backoff.after(went_well=True)
    assert 1 == backoff.after(went_well=False)


def test_a_first_failure_without_any_success_is_no_hiccup() -> None:
    """What has never worked gets the second wait."""
    assert 1 == Backoff((0.1, 1, 5)).after(went_well=False)
