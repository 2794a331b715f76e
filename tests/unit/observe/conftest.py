"""A link as observe sees it."""

from dataclasses import dataclass, field, replace

import pytest


@dataclass(frozen=True)
class Link:
    """Every attribute of LinkView, with the defaults of a healthy link."""

    name: str = "forward"
    state: str = "streaming"
    lag_seconds: float | None = 0.004
    position: str = "0-1-100"
    transactions: int = 12
    rows: int = 40
    suppressed: int = 7
    conflicts: int = 1
    error: str | None = None
    stages: dict = field(default_factory=dict)


@pytest.fixture
def link():
    """Return a factory of links: ``link(state="failed")``."""
    return lambda **changes: replace(Link(), **changes)
