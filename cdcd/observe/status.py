"""What a link shows of itself, and the status document that is made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from cdcd.model.states import State
from cdcd.observe import logs


class LinkView(Protocol):
    """A running link, read-only. Counts start at zero with the process."""

    @property
    def name(self) -> str:
        """The link's name in the file."""

    @property
    def state(self) -> str:
        """One of ``model.states``."""

    @property
    def lag_seconds(self) -> float | None:
        """How long ago the source committed what is not applied yet; None while that is not known."""

    @property
    def position(self) -> str:
        """The low watermark, in the text that ``start`` accepts."""

    @property
    def transactions(self) -> int:
        """Source transactions applied."""

    @property
    def rows(self) -> int:
        """Row changes applied."""

    @property
    def suppressed(self) -> int:
        """Transactions that the loop guard kept from going back."""

    @property
    def conflicts(self) -> int:
        """Changes that did not find the target's row as they expected it."""

    @property
    def error(self) -> str | None:
        """Why the link is not streaming, or None."""

    @property
    def blocked(self) -> str | None:
        """Why nothing moves although the link streams, or None."""

    @property
    def stages(self) -> Mapping[str, Mapping[str, float]]:
        """Each stage's own numbers, as ``{"source": {"seconds_busy": 1.2, "bytes_queued": 0}}``."""


def document(links: Iterable[LinkView]) -> dict[str, Any]:
    """Return the document of ``GET /status`` and ``cdcd status --json``."""
    return {"links": {link.name: _link(link) for link in links}, "log_lines_dropped": logs.lines_dropped()}


def healthy(links: Iterable[LinkView]) -> bool:
    """Return whether every link does what it should."""
    return not unhealthy(links)


def unhealthy(links: Iterable[LinkView]) -> list[str]:
    """Return a line for each link that is not streaming, or stands still, saying why."""
    return [
        f"{link.name}: {link.state}" + (f": {reason}" if (reason := link.error or link.blocked) else "")
        for link in links
        if link.state != State.STREAMING or link.blocked
    ]


def _link(link: LinkView) -> dict[str, Any]:
    return {
        "state": link.state,
        "lag_seconds": link.lag_seconds,
        "position": link.position,
        "transactions": link.transactions,
        "rows": link.rows,
        "suppressed": link.suppressed,
        "conflicts": link.conflicts,
        "error": link.error,
        "blocked": link.blocked,
        "stages": {stage: dict(numbers) for stage, numbers in link.stages.items()},
    }
