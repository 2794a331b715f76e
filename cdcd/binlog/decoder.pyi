from collections.abc import Container, Set

from typing_extensions import Buffer

from cdcd.errors import CdcdError
from cdcd.model.position import Coordinates, Gtid, Position
from cdcd.row.transaction import Transaction

class Decoder:
    transaction_bytes_max: int
    def __init__(
        self,
        position: Position,
        *,
        relay_except: Container[str] | None = None,
        applied: Set[Gtid] = ...,
        transaction_bytes_max: int = ...,
        server: str = "",
        at: Coordinates = ...,
        target_id: int = -1,
        passed: dict[int, Gtid] | None = None,
    ) -> None: ...
    @property
    def position(self) -> Position: ...
    @property
    def at(self) -> Coordinates: ...
    @property
    def suppressed(self) -> int: ...
    @property
    def suppressed_outside(self) -> int: ...
    @property
    def bytes_read(self) -> int: ...
    @property
    def passed(self) -> dict[int, Gtid]: ...
    @property
    def open_parts(self) -> bool: ...
    @property
    def bytes_behind(self) -> int: ...
    @property
    def failure(self) -> CdcdError | None: ...
    @property
    def file(self) -> str: ...
    def feed(self, chunk: Buffer, received: float = 0) -> list[Transaction]: ...
