"""One table of 60 columns of every type; inserts, deletes, and updates of three columns each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from random import Random

from pymysql.converters import escape_string

from bench.catchup import benchmark
from bench.clients import Clients, Transaction, values

COLUMNS = 60
ROWS = 16_000
CLIENTS = 8
NULLS = 0.05
LETTERS = "abcdefghij ABCDEFGHIJ 0123456789 '\\\"%"

Value = Callable[[Random], str]


def _whole(bits: int, *, signed: bool) -> Value:
    low = -(2 ** (bits - 1)) if signed else 0
    return lambda random: str(random.randint(low, low + 2**bits - 1))


def _decimal(digits: int, places: int) -> Value:
    return lambda random: f"{random.randrange(-(10**digits), 10**digits)}E-{places}"


def _text(length: int, letters: str = LETTERS) -> Value:
    def value(random: Random) -> str:
        return f"'{escape_string(''.join(random.choices(letters, k=random.randint(0, length))))}'"

    return value


def _bytes(length: int) -> Value:
    return lambda random: f"x'{random.randbytes(random.randint(0, length)).hex()}'"


def _date(random: Random) -> str:
    return f"{random.randint(1971, 2037)}-{random.randint(1, 12):02}-{random.randint(1, 28):02}"


def _time(random: Random, hours: int = 23) -> str:
    # Nowhere are clocks put forward after four in the morning, so every TIMESTAMP exists.
    return f"{random.randint(4, hours):02}:{random.randint(0, 59):02}:{random.random() * 59:09.6f}"


def _json(random: Random) -> str:
    return f"""'{{"n": {random.randint(-99, 99)}, "list": [true, null, {random.random()}], "text": "é€"}}'"""


INTS = {"TINYINT": 8, "SMALLINT": 16, "MEDIUMINT": 24, "INT": 32, "BIGINT": 64}
SIZES = ("small", "middle", "large")
TYPES: dict[str, Value] = {
    **{name: _whole(bits, signed=True) for name, bits in INTS.items()},
    **{f"{name} UNSIGNED": _whole(bits, signed=False) for name, bits in INTS.items()},
    "DECIMAL(10,2)": _decimal(10, 2),
    "DECIMAL(30,9)": _decimal(30, 9),
    "FLOAT": lambda random: f"{random.gauss(0, 1e6):.7g}",
    "DOUBLE": lambda random: repr(random.gauss(0, 1e9)),
    "VARCHAR(40) CHARACTER SET utf8mb4": _text(40, LETTERS + "éß€語😀"),
    "VARCHAR(40) CHARACTER SET latin1": _text(40, LETTERS + "éß€ÿ"),
    "CHAR(12)": _text(12),
    "TEXT": _text(120, LETTERS + "é語\n"),
    "BLOB": _bytes(80),
    "VARBINARY(32)": _bytes(32),
    "DATETIME(6)": lambda random: f"'{_date(random)} {_time(random)}'",
    "TIMESTAMP": lambda random: f"'{_date(random)} {_time(random)}'",
    "DATE": lambda random: f"'{_date(random)}'",
    "TIME(3)": lambda random: f"'{random.choice(('', '-'))}{_time(random, 838)}'",
    "YEAR": lambda random: str(random.randint(1901, 2155)),
    f"ENUM{SIZES}": lambda random: f"'{random.choice(SIZES)}'",
    f"SET{SIZES}": lambda random: str(random.randrange(8)),
    "BIT(17)": lambda random: str(random.getrandbits(17)),
    "JSON": _json,
}
KINDS = [list(TYPES)[number % len(TYPES)] for number in range(COLUMNS - 1)]
"""The types of c1, c2, and so on; ``id`` is the sixtieth column."""


def rows() -> Iterator[str]:
    """Create the table and fill it."""
    columns = ",".join(f"c{number} {kind} NULL" for number, kind in enumerate(KINDS, 1))
    yield f"CREATE TABLE wide (id INT PRIMARY KEY, {columns}) CHARACTER SET utf8mb4"
    random = Random(0)
    yield from values((_row(random, id) for id in range(ROWS)), "wide", rows_each=200)


def changes(random: Random, number: int) -> Iterator[Transaction]:
    """Yield transactions of one change: of ten, two inserts, two deletes, six updates. Clients share no row."""
    first, end = number, ROWS + number
    for _ in count():
        kind = random.random()
        if kind < 0.2:
            yield [f"INSERT INTO wide VALUES {_row(random, end)}"]
            end += CLIENTS
        elif kind < 0.4:
            yield [f"DELETE FROM wide WHERE id = {first}"]
            first += CLIENTS
        else:
            columns = random.sample(range(1, COLUMNS), 3)
            changed = ",".join(f"c{column} = {_value(random, KINDS[column - 1])}" for column in columns)
            yield [f"UPDATE wide SET {changed} WHERE id = {random.randrange(first, end, CLIENTS)}"]


def _row(random: Random, id: int) -> str:
    return f"({id},{','.join(_value(random, kind) for kind in KINDS)})"


def _value(random: Random, kind: str) -> str:
    return "NULL" if random.random() < NULLS else TYPES[kind](random)


WORKLOAD = Clients(rows, changes, transactions=100_000, clients=CLIENTS)

run, describe = benchmark(WORKLOAD)
