"""What differs between MySQL-protocol servers, as data."""

from __future__ import annotations

from dataclasses import dataclass

_SQL_MODE = "STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION"


@dataclass(frozen=True, slots=True)
class Flavor:
    """One kind of server.

    ``position`` asks for where its log ends, ``end`` for the same as a file and an offset, and ``position_of`` turns
    these into the same kind of position; ``written`` asks for the last GTID of each domain and server;
    ``writer_settings`` make a session store exactly the values that it is given.
    """

    name: str
    position: str
    position_of: str
    end: str
    written: str
    earliest: str
    writer_settings: tuple[str, ...]


MARIADB = Flavor(
    name="mariadb",
    position="SELECT @@global.gtid_binlog_pos",
    position_of="SELECT BINLOG_GTID_POS({file}, {offset})",
    end="SHOW MASTER STATUS",
    written="SELECT @@global.gtid_binlog_state",
    earliest="SHOW BINARY LOGS",
    writer_settings=(
        f"SET NAMES binary, sql_mode = '{_SQL_MODE}', time_zone = '+00:00', foreign_key_checks = 1,"
        " unique_checks = 1, check_constraint_checks = 0, sql_safe_updates = 0, max_statement_time = 0,"
        " autocommit = 1, explicit_defaults_for_timestamp = 1, in_predicate_conversion_threshold = 0,"
        # A statement that names keys must lock those rows and no gaps between them.
        " tx_isolation = 'READ-COMMITTED', wait_timeout = 31536000, net_read_timeout = 600",
    ),
)
