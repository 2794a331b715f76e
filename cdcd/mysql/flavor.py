"""What differs between MySQL-protocol servers, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_SQL_MODE = "STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION"


@dataclass(frozen=True, slots=True)
class Flavor:
    """One kind of server.

    ``position`` asks for where its log ends, ``end`` for the same as a file and an offset, and ``position_of`` turns
    these into the same kind of position; ``written`` asks for the last GTID of each domain and server.
    ``session_settings`` open every session: all that our statements depend on, whatever the server's defaults are and
    whatever ``init_connect`` did before; ``log_settings`` are variables with the values that they must have, which
    only a privileged account may set. ``writer_settings`` make a session store exactly the values that it is given.
    """

    name: str
    position: str
    position_of: str
    end: str
    written: str
    earliest: str
    session_settings: tuple[str, ...]
    log_settings: Mapping[str, str]
    writer_settings: tuple[str, ...]


MARIADB = Flavor(
    name="mariadb",
    position="SELECT @@global.gtid_binlog_pos",
    position_of="SELECT BINLOG_GTID_POS({file}, {offset})",
    end="SHOW MASTER STATUS",
    written="SELECT @@global.gtid_binlog_state",
    earliest="SHOW BINARY LOGS",
    session_settings=(
        # Whatever completion_type is: no transaction and no lock is left, and none of this is a part of one.
        "ROLLBACK AND NO CHAIN NO RELEASE",
        "UNLOCK TABLES",
        f"SET NAMES utf8mb4, sql_mode = '{_SQL_MODE}', old_mode = @@global.old_mode, time_zone = '+00:00',"
        " timestamp = DEFAULT, lc_messages = 'en_US', lc_time_names = 'en_US', sql_quote_show_create = 1,"
        # Every row of an answer, and every row that a statement names.
        " sql_select_limit = 18446744073709551615, max_join_size = 18446744073709551615, sql_big_selects = 1,"
        " sql_safe_updates = 0, sql_auto_is_null = 0, sql_if_exists = 0, group_concat_max_len = 1048576,"
        " max_sort_length = 4096, div_precision_increment = 4, system_versioning_asof = DEFAULT,"
        " in_predicate_conversion_threshold = 0,"
        # A statement that names keys must lock those rows and no gaps between them.
        " completion_type = 'NO_CHAIN', tx_isolation = 'READ-COMMITTED', tx_read_only = 0, autocommit = 1,"
        # Waits end by our own deadlines, and an open transaction may wait for the rest of it.
        " max_statement_time = 0, idle_transaction_timeout = 0, idle_write_transaction_timeout = 0,"
        " idle_readonly_transaction_timeout = 0, wait_timeout = 31536000, net_read_timeout = 600,"
        " net_write_timeout = 600, lock_wait_timeout = @@global.lock_wait_timeout,"
        " innodb_lock_wait_timeout = @@global.innodb_lock_wait_timeout,"
        " skip_replication = 0, skip_parallel_replication = 0",
    ),
    log_settings={
        "sql_log_bin": "1",
        "binlog_format": "@@global.binlog_format",
        "binlog_row_image": "@@global.binlog_row_image",
        "gtid_domain_id": "@@global.gtid_domain_id",
        "gtid_seq_no": "0",
        "server_id": "@@global.server_id",
    },
    writer_settings=(
        f"SET NAMES binary, sql_mode = '{_SQL_MODE}', time_zone = '+00:00', foreign_key_checks = 1,"
        " unique_checks = 1, check_constraint_checks = 0, explicit_defaults_for_timestamp = 1, autocommit = 1",
    ),
)
