"""What a schema change does to rows is read from its words, not from how it is written."""

from __future__ import annotations

import pytest

from cdcd.sql.ddl import parse
from cdcd.sql.effect import Effect


def effect(statement: str) -> Effect:
    """Read a statement about tables of one database."""
    change = parse(statement, "shop")
    assert change is not None
    return change.effect


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE t ADD c INT NOT NULL DEFAULT 5, ADD INDEX (v), COMMENT 'DROP COLUMN x'",
        "ALTER TABLE t WAIT 5 ADD COLUMN c ENUM('a','b') DEFAULT 'a' AFTER id",
        "ALTER TABLE t DROP INDEX i, RENAME INDEX a TO b, ALTER v SET DEFAULT (UUID())",
        "ALTER TABLE t ENGINE = InnoDB ROW_FORMAT = DYNAMIC, AUTO_INCREMENT = 7",
        "ALTER TABLE t ADD PARTITION (PARTITION p VALUES LESS THAN (5))",
        "CREATE TABLE t (id INT, u UUID DEFAULT UUID())",
        "CREATE INDEX i ON t (v)",
        "ALTER TABLE t ADD c INT DEFAULT NULL, ADD d CHAR(9) DEFAULT (CONCAT('a', 'b')), ADD e CHAR DEFAULT _latin1'x'",
        "ALTER TABLE t ADD g INT AS (v + 1) STORED",
        "ALTER TABLE t ADD CONSTRAINT k CHECK (v > 1)",
    ],
)
def test_rows_stay_as_they_are(statement):
    """Rows of either definition may come before or after these."""
    assert effect(statement).keeps_rows
    assert not effect(statement).unequal


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE t",
        "DROP TABLE a",
        "RENAME TABLE a TO b",
        "CREATE OR REPLACE TABLE t (id INT)",
        "DROP DATABASE shop",
        "ALTER TABLE t DROP v",
        "ALTER TABLE t ADD c INT, MODIFY v TEXT",
        "ALTER TABLE t ADD c DATETIME DEFAULT NOW()",
        "ALTER TABLE t ADD c INT DEFAULT (v + 1)",
        "ALTER TABLE t ADD (b INT, c INT DEFAULT (1 + abs(`v`)))",
        "ALTER TABLE t DROP FOREIGN KEY f",
        "ALTER TABLE t DROP CONSTRAINT IF EXISTS f",
        "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (v) REFERENCES p (id) ON DELETE CASCADE",
        "ALTER TABLE t ADD c INT REFERENCES p (id)",
        "ALTER TABLE t ADD c DATETIME ON UPDATE CURRENT_TIMESTAMP",
        "ALTER TABLE t ADD c TIMESTAMP NOT NULL",
        "ALTER TABLE t ADD (a TIMESTAMP, b INT DEFAULT 4)",
        "ALTER TABLE t ADD n INT AUTO_INCREMENT UNIQUE",
        "ALTER TABLE t DROP PARTITION p",
        "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE u",
        "ALTER TABLE t ADD SYSTEM VERSIONING",
        "ALTER IGNORE TABLE t ADD UNIQUE (v)",
        "ALTER TABLE t SOMETHING NEW",
    ],
)
def test_rows_do_not_stay_as_they_are(statement):
    """Rows that come after these are not what they would have become before."""
    assert not effect(statement).keeps_rows


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE TABLE t",
        "/* swap */ RENAME TABLE a TO b",
        "-- now\nRENAME TABLE a TO b",
        "SET STATEMENT lock_wait_timeout = 5 FOR TRUNCATE t",
        "/*!50000 CREATE OR REPLACE */ TABLE t LIKE u",
        "/* x */ ALTER TABLE t TRUNCATE PARTITION p",
    ],
)
def test_comments_and_settings_hide_no_renewal(statement):
    """A crash must be told from none by more than the definition."""
    assert effect(statement).renews


def test_a_word_in_a_string_or_a_name_is_no_renewal():
    """Only keywords count."""
    assert not effect("ALTER TABLE `PARTITION` ADD `OR` INT COMMENT 'OR REPLACE PARTITION'").renews


@pytest.mark.parametrize(
    ("statement", "hides"),
    [
        ("ALTER TABLE t DROP b, ADD b INT", True),
        ("ALTER TABLE t DROP COLUMN b, ADD COLUMN (c INT, B INT)", True),
        ("ALTER TABLE t CHANGE a b INT, CHANGE b a INT FIRST", True),
        ("ALTER TABLE t RENAME COLUMN a TO b, RENAME COLUMN b TO a", True),
        ("ALTER TABLE t DROP b, ADD c INT", False),
        ("ALTER TABLE t CHANGE a a BIGINT, CHANGE b c INT", False),
    ],
)
def test_a_name_that_goes_and_comes_may_leave_no_trace(statement, hides):
    """The definition may be the same after, with other values."""
    assert hides is effect(statement).hides


@pytest.mark.parametrize(
    ("default", "found"),
    [
        ("(UUID())", "UUID"),
        ("uuid_short()", "UUID_SHORT"),
        ("(CONCAT('a', RAND()))", "RAND"),
        ("(sys_guid())", "SYS_GUID"),
        ("CONNECTION_ID()", "CONNECTION_ID"),
        ("CURRENT_USER", "CURRENT_USER"),
        ("(@@server_id)", "a variable"),
        ("(SYSDATE())", "SYSDATE"),
        ("(a_new_function())", "A_NEW_FUNCTION"),
        ("NEXTVAL(s)", "NEXTVAL"),
        ("(v / 3)", "a division"),
        ("5", ""),
        ("-5 CHECK (uuid_short() > 1)", ""),
        ("'UUID()'", ""),
        ("CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)", ""),
        ("(CURDATE() + INTERVAL 1 DAY)", ""),
        ("(CONCAT(v, LOWER('X')))", ""),
    ],
)
def test_a_default_that_each_server_answers_in_its_own_way_is_found(default, found):
    """What is not known to be the same on both sides is not guessed to be."""
    assert found == effect(f"ALTER TABLE t ADD INDEX (v), ADD COLUMN c VARCHAR(99) DEFAULT {default}").unequal
