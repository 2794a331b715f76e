"""systemd accepts the unit as it is, and it keeps the daemon in a sandbox."""

import os
import re
from pathlib import Path
from shutil import which
from subprocess import PIPE, STDOUT, run

import pytest

UNIT = Path(__file__).parents[2] / "systemd" / "cdcd@.service"
EXPOSURE_MAX = 1.5


@pytest.fixture
def analyze():
    """Run systemd-analyze; skip where it is not installed, except in CI."""
    if not (program := which("systemd-analyze")):
        missing = "systemd-analyze is not installed (Debian package systemd)"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return lambda *arguments, program=program: run(
        [program, *arguments], stdout=PIPE, stderr=STDOUT, text=True, check=False
    )


@pytest.fixture
def unit(tmp_path):
    """Return an instance of the unit whose program is on every machine."""
    path = tmp_path / "cdcd@shop.service"
    path.write_text(re.sub(r"^ExecStart=\S+.*$", "ExecStart=/bin/true", UNIT.read_text(), flags=re.MULTILINE))
    return path


def test_systemd_has_nothing_to_complain_about(analyze, unit):
    """An unknown or mistyped setting would be ignored in silence, and a wall of the sandbox with it."""
    done = analyze("verify", "--man=no", str(unit))

    assert (0, "") == (done.returncode, done.stdout)


def test_a_mistyped_setting_would_be_found(analyze, unit):
    """The test before this one can fail."""
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHomes="))

    assert "ProtectHomes" in analyze("verify", "--man=no", str(unit)).stdout


def test_the_sandbox_stays_tight(analyze, unit):
    """systemd's own score, 0 to 10, where less is exposed; a setting that goes missing raises it."""
    done = analyze("security", "--offline=yes", "--no-pager", f"--threshold={EXPOSURE_MAX * 10:.0f}", str(unit))

    assert (0, True) == (done.returncode, "Overall exposure level" in done.stdout), done.stdout


def test_an_end_that_needs_a_human_is_not_restarted():
    """1 a link failed, 2 the file is wrong, 3 the precheck failed: all would only fail again."""
    assert "RestartPreventExitStatus=1 2 3\n" in UNIT.read_text()
