"""The listener's token is what its file holds, as long as that is one."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from cdcd.config.token import read_token
from cdcd.observe import token
from cdcd.observe.token import Token


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A token's file, which is looked at often."""
    monkeypatch.setattr(token, "FOLLOW_SECONDS", 0.01)
    path = tmp_path / "token"
    keep(path, "old\n")
    return path


def keep(file, text):
    """Put another file in its place, as tools do that hand out secrets: at no moment it is empty."""
    (other := file.with_name("other")).touch(mode=0o600)
    other.write_text(text)
    other.rename(file)


@pytest.fixture
def looks(monkeypatch):
    """The times at which the file was looked at."""
    begun = []

    def look(*given):
        begun.append(time.monotonic())
        return read_token(*given)

    monkeypatch.setattr(token, "read_token", look)
    return begun


@asynccontextmanager
async def following(file):
    """Have a token follow its file."""
    followed = Token("old")
    task = asyncio.create_task(followed.follow(file))
    try:
        yield followed
    finally:
        task.cancel()


async def until(condition):
    """Return once it holds; fail the test when it does not in time."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
def logged():
    """The events so far."""
    with capture_logs() as events:
        yield events


async def test_a_new_token_is_taken(file, logged):
    """Whoever changes it must not have to restart what replicates."""
    async with following(file) as followed:
        keep(file, "new\n")
        await until(lambda: followed.text == "new")

    assert ["token_changed"] == [line["event"] for line in logged]


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (os.unlink, "No such file or directory"),
        (lambda file: file.write_text(""), "is empty"),
        (lambda file: file.chmod(0o644), "others may read"),
    ],
    ids=["gone", "empty", "readable"],
)
async def test_what_is_no_token_is_told_once_and_changes_nothing(file, logged, looks, spoil, problem):
    """The daemon must neither let everyone in nor lock out its operator, nor fill the log."""
    async with following(file) as followed:
        spoil(file)
        await until(lambda: logged)
        assert ("token_refused", True) == (logged[0]["event"], problem in logged[0]["problem"])
        assert "old" == followed.text
        before = len(looks)
        await until(lambda: len(looks) > before + 1)
        assert 1 == len(logged)
        keep(file, "new")
        await until(lambda: followed.text == "new")
    assert "token_changed" == logged[-1]["event"]


async def test_a_disk_that_hangs_holds_up_nobody(file, looks):
    """The links share the loop with the listener, and other work the loop's threads."""
    os.mkfifo(pipe := file.with_name("pipe"), 0o600)
    hanging = os.open(pipe, os.O_RDWR)
    async with following(file) as followed:
        pipe.rename(file)
        before = len(looks)
        await until(lambda: len(looks) > before)
        assert "old" == followed.text
        keep(file, "new")
        os.close(hanging)
        await until(lambda: followed.text == "new")
