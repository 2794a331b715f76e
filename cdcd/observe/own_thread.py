"""Work that may hang, as reading from a disk: the loop's own threads, were they used up by it, would be missed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")


async def in_own_thread(work: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs) -> Result:
    """Return what ``work`` returns; when cancelled, leave it to its thread."""
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=work.__name__)
    try:
        return await asyncio.wrap_future(executor.submit(work, *args, **kwargs))
    finally:
        executor.shutdown(wait=False)
