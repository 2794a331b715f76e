"""The life of a link, as a table of transitions."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """What a link is doing."""

    STARTING = "starting"  # Set by the supervisor before each run connects.
    STREAMING = "streaming"  # Set by the link once it holds its claim and reads.
    RECONNECTING = "reconnecting"  # Set when either side is lost; the run will be tried again.
    DRAINING = "draining"  # Set on SIGTERM; nothing new is read.
    STOPPED = "stopped"  # Set when drained: everything accepted is applied and durable.
    FAILED = "failed"  # Set on an error that needs a human; the daemon exits 1 in the end.


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
