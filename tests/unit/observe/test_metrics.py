"""Metrics are named for Prometheus and computed when they are asked for."""

from prometheus_client.parser import text_string_to_metric_families

from cdcd.observe import logs
from cdcd.observe.metrics import Metrics


def samples(*links):
    """Return every sample of the text as {(name, labels…): value}."""
    text = Metrics(lambda: links).text().decode()
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counts_of_a_link_are_counters(link):
    """Rates are computed from them, so they carry the _total that Prometheus expects."""
    found = samples(link())

    assert (12, 40, 7, 1) == tuple(
        found[f"cdcd_{name}_total", "forward"] for name in ("transactions", "rows", "suppressed", "conflicts")
    )


def test_up_and_state_tell_a_streaming_link(link):
    """One alert rule on cdcd_up covers every way to not stream."""
    found = samples(link(), link(name="reverse", state="failed"))

    assert (1, 0) == (found["cdcd_up", "forward"], found["cdcd_up", "reverse"])
    assert (1, 0) == (found["cdcd_state", "failed", "reverse"], found["cdcd_state", "reverse", "streaming"])


def test_an_unknown_lag_has_no_sample(link):
    """A zero would claim that the link is in step."""
    found = samples(link(lag_seconds=1.5), link(name="reverse", lag_seconds=None))

    assert 1.5 == found["cdcd_lag_seconds", "forward"]
    assert ("cdcd_lag_seconds", "reverse") not in found


def test_stage_numbers_carry_their_stage(link):
    """A stalled stage can be named from the metrics alone."""
    stages = {"source": {"seconds_busy": 1.5, "bytes_queued": 64}, "apply": {"seconds_busy": 3}}
    found = samples(link(stages=stages))

    assert 1.5 == found["cdcd_stage_seconds_busy_total", "forward", "source"]
    assert 3 == found["cdcd_stage_seconds_busy_total", "apply", "forward"]
    assert 64 == found["cdcd_stage_bytes_queued", "forward", "source"]


def test_each_text_shows_the_links_of_the_moment(link):
    """Nothing is kept between two readings."""
    links = [link(rows=1)]
    metrics = Metrics(lambda: links)
    before = metrics.text()
    links[0] = link(rows=2)

    assert b'cdcd_rows_total{link="forward"} 1.0' in before
    assert b'cdcd_rows_total{link="forward"} 2.0' in metrics.text()


def test_dropped_log_lines_are_a_counter(monkeypatch):
    """Whoever watches the metrics learns that the log has holes."""
    monkeypatch.setattr(logs, "lines_dropped", lambda: 3)

    assert 3 == samples()[("cdcd_log_lines_dropped_total",)]
