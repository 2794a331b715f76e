"""What remembers that a link has run, besides its checkpoint: so that a checkpoint that is gone is noticed.

Three places keep a witness: ``cdcd.link`` on the target, the same table on the source where another link has made it
there, and a file in the daemon's state folder. A witness is never read to find a position to go on from: it only says
that there was one, and which.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote as quoted_for_file

import msgspec
import structlog

from cdcd.errors import AccessDenied, CdcdError, LayoutMismatch, ServerError
from cdcd.mysql import codes
from cdcd.mysql.session import Session
from cdcd.sql import quote

log = structlog.get_logger()

FILE_LAYOUT = 1
_COLUMNS = ("link", "source", "target", "source_server", "target_server", "rules", "position")


@dataclass(frozen=True, slots=True)
class Witness:
    """That a link has run between two sites, on which servers, and the last position that was noted."""

    link: str
    source: str  # the site
    target: str
    source_server: str  # its identity, as ``source.identity`` gives it
    target_server: str
    rules: str  # JSON: tables, exclude, rename
    position: str


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    layout: int
    witness: Witness


def row_of(link: str, source: str, target: str) -> str:
    """Return the condition for a link's row in ``cdcd.link``."""
    return f"link = {quote.text(link)} AND source = {quote.text(source)} AND target = {quote.text(target)}"


async def read(session: Session) -> list[Witness]:
    """Return what ``cdcd.link`` of a server holds; nothing where the table is not there or not ours to see."""
    try:
        rows = await session.fetch(f"SELECT {','.join(_COLUMNS)} FROM cdcd.link ORDER BY link, source, target")
    except AccessDenied:
        return []
    except ServerError as error:
        if error.code not in codes.GONE:
            raise
        return []
    return [
        Witness(*(value.decode(errors="replace") if isinstance(value, bytes) else value for value in row))
        for row in rows
    ]


async def write(session: Session, witness: Witness) -> bool:
    """Note it in ``cdcd.link``; return whether the server has that table and lets the account write to it."""
    try:
        await session.execute(statement(witness))
    except AccessDenied:
        return False
    except ServerError as error:
        if error.code not in codes.GONE:
            raise
        return False
    return True


def statement(witness: Witness) -> bytes:
    """Return the statement that notes it, for any session's charset and sql_mode."""
    values = ",".join(
        quote.binary(value.encode()) if name == "position" else quote.any_text(value)
        for name, value in zip(_COLUMNS, _values(witness), strict=True)
    )
    updates = ",".join(f"{name}=VALUES({name})" for name in _COLUMNS)
    return (
        f"INSERT INTO cdcd.link ({','.join(_COLUMNS)}) VALUES ({values})"
        f" ON DUPLICATE KEY UPDATE {updates},updated_at=NOW(6)"
    ).encode()


def _values(witness: Witness) -> list[str]:
    return [getattr(witness, name) for name in _COLUMNS]


def state_folder(config: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """Return where the daemon of a configuration file keeps its state: systemd's folder, root's or the user's."""
    if given := environment.get("STATE_DIRECTORY", "").split(":")[0]:
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/lib/cdcd") / config.stem
    home = environment.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    return Path(home) / "cdcd" / config.stem


class StateFiles:
    """Witnesses as files, one a link and pair of servers. Writing and renaming are atomic."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._warned = False

    def read(self) -> list[Witness]:
        """Return what the files say; raise LayoutMismatch or CdcdError with the name of one that cannot be used."""
        return [witness for _, witness in self._files()]

    def write(self, witness: Witness) -> None:
        """Write one's file. A folder that cannot be written is warned of once: there are other witnesses."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._replace(self._path(witness), msgspec.json.encode(_Content(FILE_LAYOUT, witness)))
        except OSError as error:
            if not self._warned:
                self._warned = True
                log.warning("state_not_written", folder=str(self.folder), error=str(error))

    def remove(self, link: str, keep: Callable[[Witness], bool] = lambda _: False) -> list[Witness]:
        """Remove a link's files, except those to keep; return what they said. Raises CdcdError."""
        gone = [(path, witness) for path, witness in self._files() if witness.link == link and not keep(witness)]
        for path, _ in gone:
            self._change(path.unlink)
        return [witness for _, witness in gone]

    def rename(self, old: str, new: str) -> list[Witness]:
        """Give a link's files another link's name; return what they say now. Raises CdcdError."""
        renamed = []
        for path, witness in self._files():
            if witness.link == old:
                named = replace(witness, link=new)
                content = msgspec.json.encode(_Content(FILE_LAYOUT, named))
                self._change(lambda named=named, content=content: self._replace(self._path(named), content))  # type: ignore[misc]
                self._change(path.unlink)
                renamed.append(named)
        return renamed

    def _path(self, witness: Witness) -> Path:
        key = "\0".join((witness.link, witness.source_server, witness.target_server))
        # A name may have 64 characters of any alphabet, a file's 255 bytes.
        name = quoted_for_file(witness.link, safe="")[:100]
        return self.folder / f"{name}.{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"

    def _files(self) -> list[tuple[Path, Witness]]:
        try:
            paths = sorted(self.folder.glob("*.json"))
            return [(path, _parse(path, path.read_bytes())) for path in paths]
        except OSError as error:
            raise CdcdError(f"a state file cannot be read: {error}", hint="see its owner and its mode") from error

    def _change(self, change: Callable[[], object]) -> None:
        try:
            change()
        except OSError as error:
            raise CdcdError(f"a state file cannot be changed: {error}", hint="see its owner and its mode") from error

    def _replace(self, path: Path, content: bytes) -> None:
        """Write beside the file, make it durable, and only then let it take the file's place."""
        written = path.with_suffix(".new")
        with written.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        written.replace(path)
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _parse(path: Path, content: bytes) -> Witness:
    hint = "it says that a link has run: put it right, or remove it if no link of this daemon may lose its place"
    try:
        found = msgspec.json.decode(content, type=_Content)
    except msgspec.MsgspecError as error:
        raise CdcdError(f"{path} is not a state file of cdcd: {error}", hint=hint) from error
    if found.layout > FILE_LAYOUT:
        raise LayoutMismatch(
            f"{path} is of layout {found.layout}, and this cdcd knows layouts up to {FILE_LAYOUT}",
            hint="run the cdcd that wrote it, or a later one",
        )
    return found.witness
