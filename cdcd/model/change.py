"""What a change does to a row. Compiled code has the same numbers as constants (``row/rows.pxd``)."""

from __future__ import annotations

from typing import Literal, get_args

Operation = Literal["insert", "update", "delete"]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)
"""Their names, each at its number; rows events are numbered in the same order (``sql/log_event.h``)."""
INSERT, UPDATE, DELETE = range(3)
