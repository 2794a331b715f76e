"""``cdcd link``: give what is kept of a link another name, or remove it.

The target's part is locked first and committed last, so that no run begins in between: where the command ends early,
the link is what it was, and giving the command again finishes it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cdcd.checkpoint import layout, offline, witness
from cdcd.checkpoint.trace import Trace, own_transaction
from cdcd.checkpoint.witness import StateFiles, Witness, state_folder
from cdcd.cli.asking import Answer, session_at
from cdcd.config import Config
from cdcd.config.values import NAME_RULE, is_name
from cdcd.errors import CdcdError, ConfigError, SourceLost, TargetLost
from cdcd.mysql.session import Session
from cdcd.sql import quote

DONE, NOT_DONE = 0, 1


@dataclass(frozen=True, slots=True)
class Kept:
    """What the servers and the state folder keep of a link."""

    trace: Trace
    target: Session
    source: Session | None  # None where the file no longer has the site
    files: StateFiles
    state: offline.State
    on_target: tuple[Witness, ...]
    on_source: tuple[Witness, ...]
    in_files: tuple[Witness, ...]
    schema_changes: int
    skipped: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        found = self.state.progress or self.state.damage or self.on_target or self.on_source or self.in_files
        return not (found or self.schema_changes or self.skipped)

    def __str__(self) -> str:
        """Return a line for each place."""
        trace, progress = self.trace, self.state.progress
        position = f"at {progress.position}" if progress else "damaged" if self.state.damage else "none"
        lines = [
            f"{trace.link}, from {trace.source} to {trace.target}:",
            f"  on {trace.target}: checkpoint {position}, {len(self.on_target)} witnesses,"
            f" {self.schema_changes} announced schema changes, {self.skipped} transactions left out",
            f"  on {trace.source}: {len(self.on_source)} witnesses"
            + ("" if self.source else " looked for: the file has no such site"),
            f"  in {self.files.folder}: {len(self.in_files)} state files",
        ]
        return "\n".join(lines)


async def forget(config: Config, path: Path, name: str, answer: Answer) -> int:
    """Remove all that is kept of a link; return the exit status. Raises CdcdError, LinkRuns, ConfigError."""
    trace = await _find(config, path, name)
    async with _kept(config, path, trace) as kept:
        if kept.is_empty:
            raise _unknown(name)
        answer.show(f"{kept}\nAll of that will be gone: a link of this name begins at its `start`.")
        if not answer.agreed(f"Forget {name}?"):
            return NOT_DONE
        async with offline.hold(kept.target, name) as held:
            await held.forget()
            await trace.forget_on(kept.target)
            if kept.source is not None and kept.on_source:
                async with own_transaction(kept.source):
                    await trace.forget_on(kept.source)
            kept.files.remove(name, keep=lambda found: not trace.is_of(found))
    answer.give(f"{name} is forgotten", link=name, source=trace.source, target=trace.target)
    return DONE


async def rename(config: Config, path: Path, old: str, new: str, answer: Answer) -> int:
    """Give all that is kept of a link another name; return the exit status. Raises CdcdError, LinkRuns, ConfigError."""
    if not is_name(new):
        raise ConfigError([f"NEW: {new!r} must be {NAME_RULE}"])
    if new == old:
        raise ConfigError([f"NEW: the link is named {old} already"])
    trace = await _find(config, path, old, new)
    await _check_free(config, path, trace, new)
    async with _kept(config, path, trace) as kept:
        kept.state.check()
        if kept.is_empty:
            raise _unknown(old)
        answer.show(f"{kept}\nAll of that will be kept under the name {new}.")
        if not answer.agreed(f"Rename {old} to {new}?"):
            return NOT_DONE
        async with offline.hold(kept.target, old) as held:
            await held.rename(new)
            await trace.rename_on(kept.target, new)
            if kept.source is not None and kept.on_source:
                async with own_transaction(kept.source):
                    await trace.rename_on(kept.source, new)
            kept.files.rename(old, new)
    renamed = replace(trace, link=new)
    answer.give(f"{old} is now {new}", link=new, was=old, source=renamed.source, target=renamed.target)
    return DONE


async def _check_free(config: Config, path: Path, trace: Trace, new: str) -> None:
    """Raise CdcdError where a name is another link's: what is kept of the two would be mixed.

    What an earlier attempt left on the source and in the files gives way.
    """
    link = config.links.get(new)
    if link is not None and (link.source, link.target) != (trace.source, trace.target):
        raise CdcdError(
            f"the file's link {new} goes from {link.source} to {link.target}, and {trace.link} has run from"
            f" {trace.source} to {trace.target}",
            hint="rename it to a link of the same sites",
        )
    left = replace(trace, link=new)
    taken = [each for each in StateFiles(state_folder(path)).read() if each.link == new and not left.is_of(each)]
    for site in config.sites.values():
        async with session_at(site, TargetLost) as session:
            if not await offline.present(session):
                continue
            state = await offline.settled(session, new)
            offline.refuse_running(state, new, site.name)
            state.check()
            if state.progress:
                raise CdcdError(
                    f"{new} has a checkpoint on {site.name}{' too' if site.name == trace.target else ''}, at"
                    f" {state.progress.position}",
                    hint=f"forget the one that is not to go on: `cdcd link forget --link {new}`",
                )
            found = [each for each in await witness.read(session) if each.link == new]
            taken += [each for each in found if site.name == trace.target or not left.is_of(each)]
    if taken:
        raise CdcdError(
            f"{new} has run from {taken[0].source} to {taken[0].target}, and that is remembered",
            hint=f"give another name, or forget that link: `cdcd link forget --link {new}`",
        )


async def _find(config: Config, path: Path, name: str, new: str = "") -> Trace:
    """Return between which sites a link runs, or ran: as the file says, else as whatever remembers it says."""
    if (link := config.links.get(name)) is not None:
        return Trace(name, link.source, link.target)
    found = {Trace.of(w) for w in StateFiles(state_folder(path)).read() if w.link == name}
    for site in config.sites.values():
        async with session_at(site, TargetLost) as session:
            if await offline.present(session):
                found |= {Trace.of(w) for w in await witness.read(session) if w.link == name}
                state = await offline.look(session, name)
                if state.progress and not any(trace.target == site.name for trace in found):
                    found.add(Trace(name, state.origin, site.name))
    if len(found) > 1 and (link := config.links.get(new)) is not None:
        found &= {Trace(name, link.source, link.target)}
    if not found:
        raise _unknown(name)
    if len(found) > 1:
        ways = "; ".join(sorted(f"{trace.source} to {trace.target}" for trace in found))
        raise CdcdError(
            f"{name} has run between several sites: {ways}",
            hint="put the link that is meant into the file, with its source and target",
        )
    [trace] = found
    if trace.target not in config.sites:
        raise CdcdError(
            f"{name} ran from {trace.source} to {trace.target}, which the file does not name",
            hint="put that site into the file",
        )
    return trace


@asynccontextmanager
async def _kept(config: Config, path: Path, trace: Trace) -> AsyncIterator[Kept]:
    """Give what is kept of a link, with sessions to change it."""
    async with session_at(config.sites[trace.target], TargetLost) as target:
        if trace.source not in config.sites:
            yield await _look(path, trace, target, None)
            return
        async with session_at(config.sites[trace.source], SourceLost) as source:
            yield await _look(path, trace, target, source)


async def _look(path: Path, trace: Trace, target: Session, source: Session | None) -> Kept:
    files = StateFiles(state_folder(path))
    state, counts = offline.State(None), [0, 0]
    if await offline.present(target):
        state = await offline.settled(target, trace.link)
        offline.refuse_running(state, trace.link, trace.target)
        tables = await layout.look(target)
        counts = [await _count(target, table, trace.link) if table in tables else 0 for table in ("ddl", "skipped")]
    return Kept(
        trace,
        target,
        source,
        files,
        state,
        tuple(filter(trace.is_of, await witness.read(target))),
        tuple(filter(trace.is_of, await witness.read(source))) if source is not None else (),
        tuple(filter(trace.is_of, files.read())),
        *counts,
    )


async def _count(session: Session, table: str, link: str) -> int:
    row = await session.fetch_one(f"SELECT COUNT(*) FROM cdcd.{table} WHERE link = {quote.text(link)}")
    return int(row[0]) if row else 0


def _unknown(name: str) -> CdcdError:
    return CdcdError(
        f"nothing is kept of a link {name}", hint="neither on the sites of the file nor in the state folder"
    )
