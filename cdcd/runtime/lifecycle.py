"""The life of a link, as a table of transitions."""

from __future__ import annotations

from cdcd.model.states import State

NEXT: dict[State, frozenset[State]] = {
    State.STARTING: frozenset({State.STREAMING, State.RECONNECTING, State.DRAINING, State.FAILED}),
    State.STREAMING: frozenset({State.RECONNECTING, State.DRAINING, State.FAILED}),
    State.RECONNECTING: frozenset({State.STARTING, State.STREAMING, State.DRAINING, State.FAILED}),
    State.DRAINING: frozenset({State.STOPPED, State.FAILED}),
    State.STOPPED: frozenset(),
    State.FAILED: frozenset(),
}


def check(state: State, following: State) -> State:
    """Return ``following``; raise AssertionError when the table does not allow it."""
    assert following in NEXT[state], f"{state} -> {following}"
    return following
