"""The checksum of events, against the library's."""

from __future__ import annotations

import zlib

from hypothesis import example, given
from hypothesis import strategies as st

from cdcd.binlog import checksum


@given(content=st.binary(max_size=600), folding=st.booleans())
@example(content=bytes(range(256)) * 40, folding=True)
@example(content=b"", folding=True)
def test_the_checksum_is_crc32(content: bytes, folding: bool) -> None:
    """A wrong one would stop a link at a sound event, or let a damaged one pass."""
    assert zlib.crc32(content) == checksum.of(content, folding=folding)
