"""The bearer token that clients of the listener show (RFC 6750)."""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import Sequence
from pathlib import Path

import structlog

from cdcd.config.token import read_token
from cdcd.observe.own_thread import in_own_thread

log = structlog.get_logger()

FOLLOW_SECONDS = 5


class Token:
    """What requests must carry, ``text``; while it is empty, nothing."""

    def __init__(self, text: str = "") -> None:
        self.text = text

    def admits(self, authorization: Sequence[str]) -> bool:
        """Return whether the values of a request's Authorization headers let it in."""
        if not self.text:
            return True
        if len(authorization) != 1:
            return False
        scheme, _, given = authorization[0].partition(" ")
        # Strangers may measure how long this takes.
        is_ours = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self.text.encode())
        return is_ours and scheme.lower() == "bearer"

    async def follow(self, file: Path) -> None:
        """Take what the file holds from now on, until cancelled; what is no token is told once, and changes nothing."""
        told = ""
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            try:
                text, problem = await in_own_thread(read_token, file, os.environ), ""
            except ValueError as error:
                text, problem = self.text, str(error)
            if problem and problem != told:
                log.error("token_refused", path="daemon.token_file", problem=problem)
            if text != self.text:
                self.text = text
                log.info("token_changed")
            told = problem
