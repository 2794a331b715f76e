"""What a change does is numbered once, for Python and for compiled code."""

from __future__ import annotations

from cdcd.model.change import DELETE, INSERT, OPERATIONS, UPDATE


def test_a_number_is_the_place_of_its_name() -> None:
    """A configuration names operations, and events number them: a shift would carry deletes for updates."""
    assert ("insert", "update", "delete") == (OPERATIONS[INSERT], OPERATIONS[UPDATE], OPERATIONS[DELETE])
