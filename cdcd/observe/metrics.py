"""Prometheus text, collected from the links when it is asked for: the hot path holds no metric code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cdcd.model.states import State
from cdcd.observe import logs
from cdcd.observe.status import LinkView

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_COUNTERS: tuple[tuple[str, str, Callable[[LinkView], float]], ...] = (
    ("transactions", "Source transactions applied.", lambda link: link.transactions),
    ("rows", "Row changes applied.", lambda link: link.rows),
    ("suppressed", "Transactions that the loop guard kept from going back.", lambda link: link.suppressed),
    ("conflicts", "Changes that did not find the row they expected.", lambda link: link.conflicts),
)

# What a stage reports besides these only grows.
STAGE_LEVELS = frozenset({"bytes_queued", "rows_queued", "bytes_held", "rows_open", "writers", "connected"})


class Metrics:
    """The text of ``GET /metrics``, on a registry of its own: no process-wide state."""

    def __init__(self, links: Callable[[], Iterable[LinkView]]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_LinkCollector(links))

    def text(self) -> bytes:
        """Render what the links show now."""
        return generate_latest(self._registry)


class _LinkCollector(Collector):
    def __init__(self, links: Callable[[], Iterable[LinkView]]) -> None:
        self._links = links

    def describe(self) -> list[Metric]:
        """Name nothing ahead: registering must not ask the links, which do not run yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        links = list(self._links())
        yield from _counters(links)
        yield from _gauges(links)
        yield from _stage_metrics(links)
        yield CounterMetricFamily("cdcd_log_lines_dropped", "Log lines that nobody will read.", logs.lines_dropped())


def _counters(links: list[LinkView]) -> Iterator[Metric]:
    for name, text, read in _COUNTERS:
        family = CounterMetricFamily(f"cdcd_{name}", text, labels=["link"])
        for link in links:
            family.add_metric([link.name], read(link))
        yield family


def _gauges(links: list[LinkView]) -> Iterator[Metric]:
    lag = GaugeMetricFamily("cdcd_lag_seconds", "Age of the oldest source commit that is not applied.", labels=["link"])
    up = GaugeMetricFamily("cdcd_up", "1 while the link is streaming.", labels=["link"])
    state = GaugeMetricFamily("cdcd_state", "1 for the state that the link is in.", labels=["link", "state"])
    blocked = GaugeMetricFamily("cdcd_blocked", "1 while the target lets a writer wait.", labels=["link"])
    for link in links:
        blocked.add_metric([link.name], link.blocked is not None)
        # An unknown lag has no sample: a zero would be a lie.
        if link.lag_seconds is not None:
            lag.add_metric([link.name], link.lag_seconds)
        up.add_metric([link.name], link.state == State.STREAMING)
        for name in State:
            state.add_metric([link.name, name], link.state == name)
    yield from (lag, up, state, blocked)


def _stage_metrics(links: list[LinkView]) -> Iterator[Metric]:
    families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
    for link in links:
        for stage, numbers in link.stages.items():
            for name, value in numbers.items():
                family = families.setdefault(name, _stage_family(name))
                family.add_metric([link.name, stage], value)
    yield from families.values()


def _stage_family(name: str) -> CounterMetricFamily | GaugeMetricFamily:
    kind = GaugeMetricFamily if name in STAGE_LEVELS else CounterMetricFamily
    return kind(f"cdcd_stage_{name}", f"{name} of a stage.", labels=["link", "stage"])
