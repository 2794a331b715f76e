"""The top level holds what a visitor looks for, and nothing else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP_LEVEL = {"pyproject.toml", "README.md", "cdcd", "conf", "systemd", "tests", "bench"}


def test_top_level_holds_exactly_its_seven_names() -> None:
    """Everything new has a place in one of them; hidden files belong to tools."""
    if not (ROOT / ".git").exists() and not os.environ.get("CI"):
        pytest.skip("not a git checkout")
    # The checkout may belong to another account, which git would otherwise refuse.
    command = ["git", "-c", "safe.directory=*", "ls-files"]
    tracked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = {line.strip('"').partition("/")[0] for line in tracked.splitlines()}

    assert TOP_LEVEL == {name for name in names if not name.startswith(".")}
