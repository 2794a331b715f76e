"""cdcd as its user starts it: the installed command, a configuration file, and signals."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.fixtures.mariadb import HOST, MariaDB, free_port

TEMPLATE = Path(__file__).with_name("pair.toml")
COMMAND = Path(sys.executable).with_name("cdcd")
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 60
ANSWER_SECONDS_MAX = 5
LOG_LINES_SHOWN = 12
LOG_LINE_CHARACTERS_MAX = 400

Links = dict[str, dict[str, Any]]


class DaemonFailed(RuntimeError):
    """The daemon did not do what it should; the message ends with its log."""


class NoAnswer(DaemonFailed):
    """The daemon's status page does not answer: it has not started, or has ended."""


class Daemon:
    """``cdcd run`` on a filled-in copy of pair.toml. Ends with this process at the latest."""

    def __init__(self, folder: Path, servers: Mapping[str, MariaDB]) -> None:
        self.config = folder / "pair.toml"
        self._log = folder / "cdcd.log"
        self._port = free_port()
        ports = {f"{name}_port": server.port for name, server in servers.items()}
        _write_private(self.config, _fill(status_port=self._port, password=MariaDB.password, **ports))
        command = ["setpriv", "--pdeathsig", "TERM", "--", str(COMMAND), "run", "-c", str(self.config)]
        with self._log.open("wb") as log:
            # In a session of its own, a Ctrl-C in the terminal does not reach it.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "STATE_DIRECTORY": str(folder / "state")},
            )

    def wait_until_streaming(self) -> None:
        """Return once every link streams; raise DaemonFailed when that does not happen."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._is_streaming():
            if time.monotonic() > deadline:
                raise DaemonFailed(f"not every link is streaming after {START_SECONDS_MAX} s{self._log_tail()}")
            time.sleep(0.05)

    def links(self) -> Links:
        """Return the links of ``GET /status``; raise NoAnswer, or DaemonFailed when a link has failed."""
        connection = http.client.HTTPConnection(HOST, self._port, timeout=ANSWER_SECONDS_MAX)
        try:
            connection.request("GET", "/status")
            links: Links = json.load(connection.getresponse())["links"]
        except OSError as error:
            raise NoAnswer(f"no answer from cdcd's status page: {error}{self._log_tail()}") from None
        finally:
            connection.close()
        for name, link in links.items():
            if link["state"] == "failed":
                raise DaemonFailed(f"link {name} failed: {link['error']}{self._log_tail()}")
        return links

    def verify(self, links: Iterable[str]) -> dict[str, str]:
        """Run ``cdcd verify`` on links, side by side; return what it printed for those that it finds different."""
        running = {link: self._start_verify(link) for link in links}
        printed = {link: process.communicate()[0].strip() for link, process in running.items()}
        return {link: printed[link] for link, process in running.items() if process.returncode}

    def _start_verify(self, link: str) -> subprocess.Popen[str]:
        command = [str(COMMAND), "verify", "-c", str(self.config), "--link", link]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    @property
    def cpu_seconds(self) -> float:
        """Processor time used since the start (proc_pid_stat(5), fields 14 and 15)."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory_peak_mib(self) -> float:
        """The most memory that was resident at any time."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1024

    def stop(self) -> int:
        """Send SIGTERM, as systemd would, and return the exit status."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise DaemonFailed(f"cdcd did not stop within {STOP_SECONDS_MAX} s{self._log_tail()}") from None

    def close(self) -> None:
        """End the process if it still runs."""
        self._process.kill()
        self._process.wait()

    def _is_streaming(self) -> bool:
        try:
            return all(link["state"] == "streaming" for link in self.links().values())
        except NoAnswer:
            if self._process.poll() is not None:
                raise DaemonFailed(
                    f"cdcd ended with exit status {self._process.returncode}{self._log_tail()}"
                ) from None
            return False

    def _log_tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        return "".join(f"\n{line[:LOG_LINE_CHARACTERS_MAX]}" for line in lines)


def _fill(**values: object) -> str:
    text = TEMPLATE.read_text()
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
