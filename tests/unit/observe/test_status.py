"""The status document is a contract with every reader outside."""

import pytest

from cdcd.model.states import State
from cdcd.observe import logs, status


def test_the_document_has_the_promised_form(link, monkeypatch):
    """Outside readers rely on these names."""
    stages = {"source": {"seconds_busy": 1.5, "bytes_queued": 0}}
    monkeypatch.setattr(logs, "lines_dropped", lambda: 3)

    expected = {
        "links": {
            "forward": {
                "state": "streaming",
                "lag_seconds": 0.004,
                "position": "0-1-100",
                "transactions": 12,
                "rows": 40,
                "suppressed": 7,
                "conflicts": 1,
                "error": None,
                "blocked": None,
                "stages": stages,
            }
        },
        "log_lines_dropped": 3,
    }

    assert expected == status.document([link(stages=stages)])


def test_every_link_has_its_own_entry(link):
    """A pair shows both directions."""
    assert ["forward", "reverse"] == list(status.document([link(), link(name="reverse")])["links"])


def test_links_are_healthy_only_while_all_stream(link):
    """A single link that does not stream makes the daemon unhealthy."""
    assert status.healthy([link(), link(name="reverse")])
    assert not status.healthy([link(), link(name="reverse", state="reconnecting")])


@pytest.mark.parametrize("state", [state for state in State if state != "streaming"])
def test_every_other_state_is_unhealthy(link, state):
    """Nothing but streaming counts as doing what a link should."""
    assert not status.healthy([link(state=state)])


def test_an_unhealthy_link_says_why(link):
    """A reader of /healthz needs no second page to know what is wrong."""
    links = [
        link(),
        link(name="reverse", state="failed", error="connection lost"),
        link(name="c", state="starting"),
    ]

    assert ["reverse: failed: connection lost", "c: starting"] == status.unhealthy(links)


def test_a_link_that_stands_still_is_unhealthy(link):
    """A probe must see a target that does not answer before the users of the target do."""
    assert ["forward: streaming: no answer"] == status.unhealthy([link(blocked="no answer")])
