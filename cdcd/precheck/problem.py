"""What is wrong, where, and what fixes it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal, Self


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. ``path`` is a path in the file; ``fix`` is what to run or to write, if anything helps.

    A ``transient`` problem may end by itself (a server that is down), so a running link waits instead.
    """

    path: str
    level: Literal["error", "warning"]
    text: str
    fix: str = ""
    transient: bool = False

    @classmethod
    def error(cls, path: str, text: str, fix: str = "", *, transient: bool = False) -> Self:
        """Make a problem that must be fixed first."""
        return cls(path, "error", text, fix, transient)

    @classmethod
    def warning(cls, path: str, text: str, fix: str = "") -> Self:
        """Make a problem that the operator may accept."""
        return cls(path, "warning", text, fix)

    def on(self, site: str) -> Self:
        """Return the same problem, each statement of its fix with the site to run it on."""
        lines = [
            re.sub(r";(?:\s+-- (.+))?$", lambda note: f";  -- on {site}" + (f"; {note[1]}" if note[1] else ""), line)
            for line in self.fix.splitlines()
        ]
        return replace(self, fix="\n".join(lines))

    def mended_by_log(self) -> Self:
        """Return the problem as a warning: the log ahead may hold the statement that ends it."""
        if not self.is_error:
            return self
        return replace(
            self, level="warning", text=f"{self.text} (unless the log that the link has yet to read mends it)"
        )

    @property
    def is_error(self) -> bool:
        """Whether this stops the start."""
        return self.level == "error"

    def __str__(self) -> str:
        """Return the finding, and the fix on lines of its own that can be copied."""
        return "\n    ".join([f"{self.level}: {self.path}: {self.text}", *self.fix.splitlines()])
