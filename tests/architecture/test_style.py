"""One command, ``pytest``, also holds the style: what a linter refuses fails here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPILED = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "cdcd").rglob("*.p[yx][xd]"))


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["ruff", "check"], id="ruff-check"),
        pytest.param(["ruff", "format", "--check"], id="ruff-format"),
        pytest.param(["mypy"], id="mypy"),
        pytest.param(["cython_lint.cython_lint", "--max-line-length=120", *COMPILED], id="cython-lint"),
    ],
)
def test_style_is_kept(command: list[str]) -> None:
    """What a machine can check, no reader should have to."""
    # cython-lint starts pycodestyle by its name.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert 0 == done.returncode, done.stdout + done.stderr


def test_compiled_sources_are_found() -> None:
    """A linter that is given no files finds no mistakes."""
    assert {".pyx", ".pxd"} == {Path(path).suffix for path in COMPILED}
