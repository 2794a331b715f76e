"""The command line as an operator has it: a file, arguments, stdout, stderr, an exit status."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import DEVNULL, CompletedProcess, run

import pytest

RUN_SECONDS_MAX = 60


class Commands:
    """Runs ``cdcd`` with a file of the test's making."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, east, west, tables, *, daemon="", link="", paired=False, account=None):
        """Write a file with one link from east to west, and the opposite one when ``paired``."""
        account = account or {"user": "cdcd", "password": "secret"}
        lines = ["[daemon]", daemon or 'listen = ""']
        for name, server in (("east", east), ("west", west)):
            lines += [f"[sites.{name}]", f'host = "{server.host}"', f"port = {server.port}"]
            lines += [f'{key} = "{value}"' for key, value in account.items()]
        ends = {"forward": ("east", "west"), "reverse": ("west", "east")}
        for name in ["forward", "reverse"] if paired else ["forward"]:
            source, target = ends[name]
            lines += [f"[links.{name}]", f'source = "{source}"', f'target = "{target}"', f'tables = ["{tables}"]', link]
        self.write_text("\n".join(lines))

    def write_text(self, text):
        """Write the file as given, readable by its owner alone."""
        self.path.touch(mode=0o600)
        self.path.write_text(text)

    def __call__(self, command: str, *arguments: str) -> CompletedProcess[str]:
        """Run ``cdcd COMMAND -c FILE …`` to its end."""
        program = [sys.executable, "-m", "cdcd", command, "-c", str(self.path), *arguments]
        return run(program, stdin=DEVNULL, capture_output=True, text=True, timeout=RUN_SECONDS_MAX)


@pytest.fixture
def cdcd(tmp_path):
    """Return the command line with a file of its own."""
    return Commands(tmp_path / "cdcd.toml")
