"""A link as observe sees it, and the loop that the daemon has."""

from dataclasses import replace

import pytest
import uvloop

from tests.fixtures.link_view import Link


def pytest_asyncio_loop_factories():
    """Run tests on the daemon's loop: others differ in what they tell protocols, and in how they accept."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def link():
    """Return a factory of links: ``link(state="failed")``."""
    return lambda **changes: replace(Link(), **changes)
