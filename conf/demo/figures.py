"""What the screen shows, worked out from the status page."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from conf.demo.daemon import Links
from conf.demo.writers import Written

RATE_SECONDS = 2.0
LAGS_KEPT = 48


@dataclass(frozen=True, slots=True)
class Moment:
    """One look at everything; times are of the monotonic clock."""

    seconds: float
    cpu_seconds: float
    written: Mapping[str, Written]
    links: Links


@dataclass
class Figures:
    """The looks of the last seconds, and what follows from them."""

    moments: deque[Moment] = field(default_factory=deque)
    lags: dict[str, deque[float]] = field(default_factory=dict)
    lag_worst: float = 0.0

    def add(self, moment: Moment) -> None:
        """Take a look in, and forget those that no rate needs any more."""
        self.moments.append(moment)
        while len(self.moments) > 2 and moment.seconds - self.moments[1].seconds >= RATE_SECONDS:
            self.moments.popleft()
        for name, link in moment.links.items():
            lag = link["lag_seconds"]
            if lag is not None:
                self.lags.setdefault(name, deque(maxlen=LAGS_KEPT)).append(lag)
                self.lag_worst = max(self.lag_worst, lag)

    @property
    def now(self) -> Moment:
        """The latest look."""
        return self.moments[-1]

    def written_a_second(self, site: str) -> float:
        """Transactions that the clients of a site commit."""
        first, now = self.moments[0].written[site], self.now.written[site]
        return self._a_second(now.transactions - first.transactions)

    def applied_a_second(self, link: str, key: str) -> float:
        """The rate of one of a link's counters."""
        return self._a_second(self.now.links[link][key] - self.moments[0].links[link][key])

    @property
    def cpu_share(self) -> float:
        """Processor seconds that the daemon uses in a second."""
        return self._a_second(self.now.cpu_seconds - self.moments[0].cpu_seconds)

    def _a_second(self, difference: float) -> float:
        seconds = self.now.seconds - self.moments[0].seconds
        return difference / seconds if seconds else 0.0
