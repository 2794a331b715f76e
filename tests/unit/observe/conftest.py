"""A link as observe sees it."""

from dataclasses import replace

import pytest

from tests.fixtures.link_view import Link


@pytest.fixture
def link():
    """Return a factory of links: ``link(state="failed")``."""
    return lambda **changes: replace(Link(), **changes)
