"""``cdcd check``: what must be fixed before a run, with the statements that fix it."""

from __future__ import annotations

from typing import TextIO

from cdcd.config import Config
from cdcd.precheck import precheck


async def run(config: Config, *, out: TextIO) -> bool:
    """Print every problem, errors first, and return whether there is an error."""
    problems = sorted(await precheck(config), key=lambda problem: not problem.is_error)
    for problem in problems:
        print(problem, file=out)
    errors = sum(problem.is_error for problem in problems)
    print(f"{len(config.links)} links checked: {errors} errors, {len(problems) - errors} warnings", file=out)
    return errors > 0
