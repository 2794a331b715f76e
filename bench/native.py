"""MariaDB's own replication, as the contender."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.fixtures.daemon import Address
from tests.fixtures.mariadb import PASSWORD, USER, MariaDB

SECONDS_MAX = 600


@contextmanager
def replicating(source: Address, replica: MariaDB, start: str) -> Iterator[None]:
    """Let the replica follow the source (serial, as it comes) from a GTID position; end that afterwards."""
    replica.sql(
        f"SET GLOBAL gtid_slave_pos = '{start}';"
        f" CHANGE MASTER TO master_host='{source.host}', master_port={source.port},"
        f" master_user='{USER}', master_password='{PASSWORD}', master_use_gtid=slave_pos; START SLAVE"
    )
    try:
        yield
    finally:
        replica.sql("STOP SLAVE; RESET SLAVE ALL")


def wait_until_applied(replica: MariaDB, end: str) -> None:
    """Return once the replica's position is the given one."""
    deadline = time.monotonic() + SECONDS_MAX
    connection = replica.connect()
    with connection, connection.cursor() as cursor:
        while True:
            cursor.execute("SELECT @@gtid_slave_pos")
            if cursor.fetchone()[0] == end:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"native replication is stuck: {replica.sql('SHOW SLAVE STATUS')}")
            time.sleep(0.01)
