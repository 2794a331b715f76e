"""Run the demo: ``python -m conf.demo [--seconds N]``; ``conf/demo/run`` installs first."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event

from conf.demo import shop, verdict
from conf.demo.daemon import Daemon, DaemonFailed
from conf.demo.figures import Figures, Moment
from conf.demo.report import Outcome
from conf.demo.screen import Screen
from conf.demo.writers import Writers, WritersFailed, sequence
from tests.fixtures.mariadb import MariaDB, ServerFailed

SITES = ("east", "west")
LINKS = {"forward": "east", "reverse": "west"}
"""The links of pair.toml, each with its source."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EQUAL_AND_QUIET, FAILED, INTERRUPTED = 0, 1, 130


class Demo:
    """Everything that runs, once it runs."""

    def __init__(self, servers: Mapping[str, MariaDB], daemon: Daemon, writers: Mapping[str, Writers]) -> None:
        self._servers = servers
        self._daemon = daemon
        self._writers = writers
        self._figures = Figures()
        self._began = time.monotonic()
        self.screen = Screen(servers)

    def write(self, seconds: float) -> None:
        """Show the writing until the time is over or the user ends it."""
        end = time.monotonic() + seconds
        with _ended_by_user() as ended:
            while (left := end - time.monotonic()) > 0 and not ended.is_set():
                self._show(f"writing, {seconds - left:.0f} of {seconds:g} s")
                ended.wait(min(left, self.screen.wait_seconds))

    def finish(self) -> Outcome:
        """Stop the clients, wait until both logs are quiet, compare, and stop cdcd."""
        written = {site: writers.stop() for site, writers in self._writers.items()}
        is_quiet = verdict.wait_until_quiet(self._servers, self._is_caught_up)
        self._show("comparing both sides")
        ends = verdict.log_ends(self._servers)
        tables = verdict.compare(self._servers)
        complaints = self._daemon.verify(LINKS)
        links = self._daemon.links()
        return Outcome(
            seconds=time.monotonic() - self._began,
            written=written,
            sources=LINKS,
            links=links,
            tables=tables,
            complaints=complaints,
            is_quiet=is_quiet and ends == verdict.log_ends(self._servers),
            cpu_seconds=self._daemon.cpu_seconds,
            memory_peak_mib=self._daemon.memory_peak_mib,
            lag_worst_seconds=self._figures.lag_worst,
            exit_status=self._daemon.stop(),
        )

    def _show(self, phase: str) -> None:
        links = self._daemon.links()
        written = {site: writers.look() for site, writers in self._writers.items()}
        self._figures.add(Moment(time.monotonic(), self._daemon.cpu_seconds, written, links))
        self.screen.show(phase, self._figures)

    def _is_caught_up(self) -> bool:
        """Look, and return whether each link has applied the last transaction of its source's clients."""
        time.sleep(self.screen.wait_seconds / 2)
        self._show("waiting until both logs are quiet")
        links = self._figures.now.links
        return all(
            sequence(links[link]["position"]) >= sequence(self._writers[site].written.last_gtid)
            for link, site in LINKS.items()
        )


def main() -> int:
    """Run the demo and return its exit status."""
    options = _options()
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    try:
        with ExitStack() as stack:
            try:
                outcome = _run(stack, options)
            finally:
                _ignore_signals()  # Nothing may keep the servers from ending and the folder from going.
        print(outcome)
        return EQUAL_AND_QUIET if outcome.is_good else FAILED
    except (ServerFailed, DaemonFailed, WritersFailed) as error:
        print(f"the demo failed: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("interrupted; nothing was compared", file=sys.stderr)
        return INTERRUPTED


def _run(stack: ExitStack, options: argparse.Namespace) -> Outcome:
    folder = Path(tempfile.mkdtemp(prefix="cdcd-demo-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    tempfile.tempdir = str(folder)  # The servers' folders go there too.
    print(f"starting two private servers in {folder}", flush=True)
    servers = {site: _start_server(stack, number) for number, site in enumerate(SITES, 1)}
    print("starting cdcd on conf/demo/pair.toml", flush=True)
    daemon = Daemon(folder, servers)
    stack.callback(daemon.close)
    daemon.wait_until_streaming()
    rate = {"clients": options.clients, "rate": options.rate}
    writers = {site: Writers(servers[site], number, **rate) for number, site in enumerate(SITES, 1)}
    for clients in writers.values():
        stack.callback(clients.close)
    demo = Demo(servers, daemon, writers)
    stack.callback(demo.screen.close)
    demo.write(options.seconds)
    return demo.finish()


def _start_server(stack: ExitStack, number: int) -> MariaDB:
    """Start a durable server that gives out its own half of the ids, with the shop's first rows."""
    server = MariaDB({"auto-increment-increment": str(shop.SITES), "auto-increment-offset": str(number)})
    stack.callback(server.close)
    server.start()
    print(f"{SITES[number - 1]} {server.host}:{server.port}", flush=True)
    server.sql(shop.SCHEMA)
    server.sql(shop.FIRST_ROWS)
    return server


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="conf/demo/run", description="Show an active-active pair at work. Exit status 0: equal and quiet."
    )
    parser.add_argument("--seconds", type=float, default=30, help="how long to write (30); Ctrl-C ends it earlier")
    parser.add_argument("--rate", type=float, default=300, help="transactions a second at each site (300)")
    parser.add_argument("--clients", type=int, default=4, help="clients at each site (4)")
    return parser.parse_args()


@contextmanager
def _ended_by_user() -> Iterator[Event]:
    """Let Ctrl-C, or a signal to end, set an event for a while instead of interrupting."""
    ended = Event()
    for number in SIGNALS:
        signal.signal(number, lambda *_: ended.set())
    try:
        yield ended
    finally:
        for number in SIGNALS:
            signal.signal(number, _interrupt)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    raise SystemExit(main())
