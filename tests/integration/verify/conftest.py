"""The pair of servers that `verify` compares."""

from __future__ import annotations

import pytest

from tests.fixtures.mariadb import MariaDB
from tests.fixtures.pair import Pair


@pytest.fixture
def pair(east: MariaDB, west: MariaDB, database: str) -> Pair:
    """The shared servers with an empty database."""
    return Pair(east, west, database)
