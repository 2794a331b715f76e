"""Run one benchmark alone: ``python -m bench.NAME [--quick] [--json FILE]``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Figures = dict[str, Any]


def alone(run: Callable[[bool], Figures], describe: Callable[[Figures], list[str]], about: str | None) -> None:
    """Run a benchmark as the command line asks, and print what it found."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it works, measures nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    arguments = parser.parse_args()
    result = run(arguments.quick)
    print("\n".join(describe(result)))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
