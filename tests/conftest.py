"""Plug-ins, the ``--storm`` option, and a header that says what is under test."""

from __future__ import annotations

import platform
import uuid
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.fixtures import mariadb, search

pytest_plugins = ["tests.fixtures.servers", "tests.fixtures.links", "tests.fixtures.interrupted"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--storm``."""
    parser.addoption("--storm", action="store_true", help="run the long randomized runs too")


def pytest_configure(config: pytest.Config) -> None:
    """Let randomized tests search further in a storm."""
    search.load_profile(storm=config.getoption("--storm"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the storms out unless they were asked for."""
    if config.getoption("--storm"):
        return
    storms = [item for item in items if item.get_closest_marker("storm")]
    if storms:
        config.hook.pytest_deselected(items=storms)
        items[:] = [item for item in items if item not in storms]


def pytest_report_header() -> list[str]:
    """Name the versions that decide a result."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("asyncmy", "aiomysql", "PyMySQL", "msgspec"))
    return [f"cdcd: {packages}, {platform.machine()}", f"server: {mariadb.version() or 'no mariadbd'}"]


@pytest.fixture(scope="session")
def state_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder under which each test's daemons keep their state."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(autouse=True)
def _own_state(state_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test, and the processes that it starts, a state folder of its own: servers' ports come back."""
    monkeypatch.setenv("STATE_DIRECTORY", str(state_root / uuid.uuid4().hex))
