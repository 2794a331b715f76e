"""How long to wait before something is tried again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Waits that grow with each failure that follows the last, and begin anew after a time that went well."""

    seconds: tuple[float, ...]  # the first after what went well, then one step further each time, the last again
    _step: int = 0

    def after(self, *, went_well: bool) -> float:
        """Return how long to wait after a failure, in seconds; ``went_well``: what failed had got somewhere before."""
        self._step = 0 if went_well else min(self._step + 1, len(self.seconds) - 1)
        return self.seconds[self._step]
