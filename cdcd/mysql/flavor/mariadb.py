"""MariaDB, from 10.6 on.

Sources: MariaDB Knowledge Base, "Server System Variables", "GRANT", "COM_BINLOG_DUMP" and "BINLOG"; numbers of errors:
``errmsg-utf8.txt``; what a primary reads from a replica: ``sql/sql_repl.cc``, ``get_slave_*`` and
``mysql_binlog_send``; names of events: ``sql/log_event.cc``, ``get_type_str``.
"""

from __future__ import annotations

import re
import struct

from cdcd.mysql.flavor.contract import (
    Advice,
    Catalog,
    Errors,
    Flavor,
    Log,
    Privileges,
    RowEvents,
    SchemaChanges,
    Variables,
)

_FAMILY = Errors()
_SQL_MODE = "STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION"
_COM_BINLOG_DUMP = 0x12


def _dump(_position: str, server_id: int) -> tuple[int, bytes]:
    """Ask for the log after the position that the session has set (``@slave_connect_state``)."""
    return _COM_BINLOG_DUMP, struct.pack("<IHI", 4, 0, server_id)


_ERRORS = Errors(
    denied=_FAMILY.denied | {4151},
    lost=_FAMILY.lost | {1927},
    busy=_FAMILY.busy | {1969},
    cut_off=_FAMILY.cut_off | {1927, 1969},
    names_only=frozenset({1901, 1903, 1906, 1907, 1910, 4025, 4091, 4092}),
)

_LOG = Log(
    position="SELECT @@global.gtid_binlog_pos",
    position_of="SELECT BINLOG_GTID_POS({file}, {offset})",
    end="SHOW MASTER STATUS",
    written="SELECT @@global.gtid_binlog_state",
    written_here="SELECT @@GLOBAL.gtid_binlog_pos, @@SESSION.gtid_domain_id",
    earliest="SHOW BINARY LOGS",
    between=frozenset({"Gtid", "Gtid_list", "Format_desc", "Binlog_checkpoint", "Rotate", "Stop", "Start_encryption"}),
    # Before 10.6 there was only the second.
    kept={"binlog_expire_logs_seconds": 1, "expire_logs_days": 86400},
    replica_settings=(
        "SET @master_binlog_checksum = @@global.binlog_checksum, @mariadb_slave_capability = 4,"
        " @master_heartbeat_period = {heartbeat_nanoseconds}, @slave_connect_state = {position},"
        # A log that lacks the position and holds later transactions is not followed as if nothing lay between.
        " @slave_gtid_strict_mode = 1, @slave_gtid_ignore_duplicates = 0",
        # The source drops a replica that does not read for this long; a stalled target is no reason to.
        "SET net_write_timeout = 86400, max_statement_time = 0",
    ),
    dump=_dump,
)

_CATALOG = Catalog(
    # Alone none of them tells servers apart: server_uid comes from a machine's address and the port.
    identity=("server_uid", "hostname", "port", "datadir"),
    status_value="(SELECT variable_value FROM information_schema.global_status WHERE variable_name = '{name}')",
    definition="SET STATEMENT sql_mode = '' FOR SHOW CREATE TABLE {table}",
    foreign_keys="information_schema.innodb_sys_foreign",
    tables="information_schema.innodb_sys_tables",
    not_generated="is_generated = 'NEVER'",
    # Servers before 10.10 have none, and no such column.
    contextual_collations="SELECT id, character_set_name, full_collation_name"
    " FROM information_schema.collation_character_set_applicability",
    replication_threads="SELECT 1 FROM information_schema.processlist WHERE user = 'system user'"
    " AND command IN ('Slave_IO', 'Slave_SQL', 'Slave_worker') LIMIT 1",
)

_VARIABLES = Variables(
    logs_replicated="log_slave_updates",
    strict_order="gtid_strict_mode",
    replicated="gtid_slave_pos",
    takes_some=("replicate_do_db", "replicate_do_table", "replicate_wild_do_table"),
    logs_text="binlog_annotate_row_events",
    skipped_errors="slave_skip_errors",
)

_PRIVILEGES = Privileges(
    read_log=("REPLICATION SLAVE", "BINLOG MONITOR"),
    replay="BINLOG REPLAY",
    leave_out_text="BINLOG ADMIN",
    write_read_only="READ ONLY ADMIN",
    synonyms={"REPLICATION CLIENT": "BINLOG MONITOR", "READ_ONLY ADMIN": "READ ONLY ADMIN"},
)

_SCHEMA_CHANGES = SchemaChanges(
    logged={
        "foreign_key_checks": "foreign_key_checks",
        "unique_checks": "unique_checks",
        "check_constraint_checks": "check_constraint_checks",
        "sql_if_exists": "if_exists",
        "explicit_defaults_for_timestamp": "explicit_defaults_for_timestamp",
    },
    unlogged=("default_storage_engine", "old_mode", "alter_algorithm", "div_precision_increment"),
    in_system_zone="SET STATEMENT time_zone = 'SYSTEM' FOR {query}",
)

MARIADB = Flavor(
    name="MariaDB",
    answers_to=re.compile("mariadb", re.IGNORECASE),
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
    leniently=b"SET STATEMENT sql_mode='ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION' FOR ",
    without_text="SET binlog_annotate_row_events = 0",
    errors=_ERRORS,
    log=_LOG,
    catalog=_CATALOG,
    variables=_VARIABLES,
    privileges=_PRIVILEGES,
    advice=Advice(option_group="[mariadbd]", dump="mariadb-dump", end_replication="STOP ALL SLAVES; RESET SLAVE ALL;"),
    schema_changes=_SCHEMA_CHANGES,
    row_events_as_statements=RowEvents(
        version="10.6.0-MariaDB",
        event_types=171,
        # In one statement, a value that is out of range unless both are so costs less than a statement before it.
        strictly=b"SET STATEMENT max_sort_length=4096+0*(18446744073709551614+IF("
        b"@@GLOBAL.slave_exec_mode='STRICT' AND @@GLOBAL.slave_type_conversions='',1,2)) FOR ",
    ),
)
