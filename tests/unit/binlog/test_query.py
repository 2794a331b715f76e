"""A statement is read with every setting that the log gives it."""

from __future__ import annotations

import struct

import pytest

from cdcd.binlog.query import parse
from cdcd.errors import MalformedEvent

FLAGS = bytes([0]) + struct.pack("<I", 1 << 15 | 1 << 26 | 1 << 28)
MODE = bytes([1]) + struct.pack("<Q", 4)
CATALOG = b"\x06\x03std"
NUMBERS = bytes([3]) + struct.pack("<HH", 5, 3)
ZONE = b"\x05\x06SYSTEM"
MONTHS = b"\x07\x04\x00"
INVOKER = b"\x0b\x04root\x09localhost"
NOW = bytes([128]) + (123456).to_bytes(3, "little")
XID = bytes([129]) + bytes(8)


def query(*variables, error=0, statement=b"TRUNCATE t"):
    """Read an event of database ``shop``."""
    block = b"".join(variables)
    header = struct.pack("<IIBHH", 7, 0, 4, error, len(block))
    return parse(header + block + b"shop\0" + statement, compressed=False)


def test_all_settings_are_read():
    """Each of them decides what the statement does to rows."""
    found = query(FLAGS, MODE, CATALOG, NUMBERS, ZONE, MONTHS, INVOKER, NOW, XID)
    assert ("shop", "TRUNCATE t", 7, 4) == (found.database, found.statement, found.thread_id, found.sql_mode)
    assert (False, True, False) == (found.foreign_key_checks, found.unique_checks, found.check_constraint_checks)
    assert (True, False) == (found.if_exists, found.explicit_defaults_for_timestamp)
    assert ((5, 3), 4, 123456, "SYSTEM") == (
        found.auto_increment,
        found.lc_time_names,
        found.microseconds,
        found.time_zone,
    )
    assert found.unknown is None


def test_what_is_not_there_has_its_default():
    """The server leaves out what the statement does not depend on."""
    found = query()
    assert ((1, 1), 0, None, "") == (found.auto_increment, found.lc_time_names, found.microseconds, found.time_zone)
    assert (True, True, False) == (found.unique_checks, found.check_constraint_checks, found.if_exists)


def test_the_answer_that_the_source_gave_is_read():
    """A statement may be logged although its client was told of an error."""
    assert 1317 == query(error=1317).error


def test_a_name_that_is_not_utf8_is_refused():
    """Servers keep names in UTF-8: another reading of damaged bytes could be another database, or another zone."""
    with pytest.raises(MalformedEvent, match="name that is not UTF-8"):
        query(b"\x05\x01\xe9")


def test_a_setting_that_is_not_known_is_named():
    """What came before it is read, and nothing behind it."""
    found = query(NUMBERS, b"\xfa\x01\x02", NOW)
    assert (250, (5, 3), None) == (found.unknown, found.auto_increment, found.microseconds)


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("CREATE TABLE `t'` (a INT) CONNECTION='mysql://u:SECRET@h'", "CREATE TABLE `t'` (a INT) CONNECTION='?'"),
        ('ALTER USER u IDENTIFIED BY "SECRET"', "ALTER USER u IDENTIFIED BY '?'"),
        (r"ALTER TABLE t COMMENT 'it\'s SECRET', ADD b INT", "ALTER TABLE t COMMENT '?', ADD b INT"),
        ("ALTER TABLE t COMMENT 'it''SECRET'", "ALTER TABLE t COMMENT '?''?'"),
        ("ALTER TABLE t /* don't SECRET */ COMMENT 'SECRET'", "ALTER TABLE t /**/ COMMENT '?'"),
        ("ALTER TABLE t -- don't\n COMMENT 'SECRET'", "ALTER TABLE t /**/\n COMMENT '?'"),
        ("ALTER TABLE t /*!50000 COMMENT 'SECRET' */", "ALTER TABLE t /*!50000 COMMENT '?' */"),
        ("ALTER TABLE t COMMENT 'SECRET", "ALTER TABLE t COMMENT '?'"),
        ("ALTER TABLE t COMMENT '\udc8c\\', x 'SECRET'", "ALTER TABLE t COMMENT ?"),
        ("ALTER TABLE t ADD v VARCHAR(9) DEFAULT 7", "ALTER TABLE t ADD v VARCHAR(9) DEFAULT 7"),
    ],
)
def test_a_statement_is_shown_without_what_may_be_secret(statement, shown):
    """Passwords of servers and accounts are in schema changes, and logs go to many places."""
    found = query(statement=statement.encode("utf-8", "surrogateescape"))
    assert shown == str(found)


def test_a_statement_is_shown_as_its_sql_mode_reads_it():
    """A name in quotes is no text, and a backslash may be a letter like any other."""
    ansi = query(bytes([1]) + struct.pack("<Q", 1 << 2), statement=b"""ALTER TABLE "don't" COMMENT 'SECRET'""")
    assert """ALTER TABLE "don't" COMMENT '?'""" == str(ansi)
    plain = query(
        bytes([1]) + struct.pack("<Q", 1 << 20), statement=rb"ALTER TABLE t COMMENT 'x\', ADD b INT COMMENT 'SECRET'"
    )
    assert "ALTER TABLE t COMMENT '?', ADD b INT COMMENT '?'" == str(plain)
