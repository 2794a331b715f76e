"""``cdcd check``: what must be fixed before a run, with the statements that fix it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TextIO

from cdcd.apply.sql.target import SqlTarget
from cdcd.checkpoint.store import Checkpoint
from cdcd.checkpoint.witness import StateFiles, state_folder
from cdcd.cli.asking import session_at
from cdcd.config import Config, Link
from cdcd.errors import CdcdError, SourceLost
from cdcd.precheck import Problem, precheck
from cdcd.runtime.resume import Resumption


async def run(config: Config, path: Path, *, out: TextIO) -> bool:
    """Print every problem, errors first, and return whether there is an error. Nothing is written or locked."""
    problems = await precheck(config)
    unfit = {problem.path for problem in problems if problem.is_error}
    for link in config.links.values():
        # Where a server has an error of its own, that is what stands in the way.
        if not unfit & {f"sites.{link.source}", f"sites.{link.target}"}:
            problems += await _check_place(config, path, link)
    problems.sort(key=lambda problem: not problem.is_error)
    for problem in problems:
        print(problem, file=out)
    errors = sum(problem.is_error for problem in problems)
    print(f"{len(config.links)} links checked: {errors} errors, {len(problems) - errors} warnings", file=out)
    return errors > 0


async def _check_place(config: Config, path: Path, link: Link) -> Iterable[Problem]:
    """Return what a run would say of the place where the link goes on, or begins."""
    source, target = config.sites[link.source], config.sites[link.target]
    checkpoint = Checkpoint(link.name, link.source, link.target)
    resumption = Resumption(link, source, target, config.ends, StateFiles(state_folder(path)))
    try:
        async with session_at(source, SourceLost) as asked:
            with closing(await SqlTarget.open(target, checkpoint)) as looked_at:
                warned = await resumption.look(looked_at, asked)
    except CdcdError as error:
        error.hint, hint = "", error.hint.replace("--link NAME", f"--link {link.name}")
        return [Problem.error(f"links.{link.name}", str(error), hint)]
    return [Problem.warning(f"links.{link.name}", str(each)) for each in warned]
