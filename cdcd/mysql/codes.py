"""Numbers of errors by what they mean, the same on every server of the family (``include/mysqld_error.h``).

Where kinds of servers differ, a flavor says what means so there (``mysql.flavor.contract.Errors``).
"""

from __future__ import annotations

NO_SUCH_DATABASE, UNKNOWN_TABLE, NO_SUCH_TABLE, NO_SUCH_COLUMN = 1049, 1051, 1146, 1054
GONE = frozenset({NO_SUCH_DATABASE, NO_SUCH_TABLE})
DUPLICATE = 1062
NO_SUCH_THREAD = 1094
TOO_LONG, OUT_OF_COLUMN_RANGE, TRUNCATED, WRONG_VALUE, NO_DEFAULT = 1406, 1264, 1265, 1366, 1364  # for a column
PACKET_TOO_LARGE = 1153
SUBQUERY_OF_TWO_ROWS = 1242
NO_GEOMETRY = 1416  # of bytes that are no shape, and of none
OUT_OF_RANGE = 1690
FOREIGN_KEY = frozenset({1216, 1217, 1451, 1452})
STORAGE = 1030
LOCKED = frozenset({1205, 1213})
"""Another session holds what a statement waited for."""
