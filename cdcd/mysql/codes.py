"""Numbers of servers' errors by what they mean (MariaDB's ``include/mysqld_error.h`` and ``errmsg-utf8.txt``)."""

from __future__ import annotations

NO_SUCH_DATABASE, UNKNOWN_TABLE, NO_SUCH_TABLE, NO_SUCH_COLUMN = 1049, 1051, 1146, 1054
GONE = frozenset({NO_SUCH_DATABASE, NO_SUCH_TABLE})
DUPLICATE = 1062
NO_SUCH_THREAD = 1094
PACKET_TOO_LARGE = 1153
SUBQUERY_OF_TWO_ROWS = 1242
NO_GEOMETRY = 1416  # of bytes that are no shape, and of none
OUT_OF_RANGE = 1690
FOREIGN_KEY = frozenset({1216, 1217, 1451, 1452})

# 2059 and 2061: the driver's own, of an authentication plug-in that it does not have or that failed.
DENIED = frozenset({1044, 1045, 1142, 1143, 1227, 1251, 1370, 1410, 1698, 4151, 2059, 2061})
LOST = frozenset({0, 1040, 1047, 1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1226, 1317, 1927})
FULL = frozenset({1040, 1203, 1226})  # of connections
# 3, 1021, 1026 and 1114 are of a full disk, as InnoDB's 1030 may be.
BUSY = frozenset({3, 1020, 1021, 1026, 1114, 1205, 1213, 1290, 1637, 1792, 1836, 1969})
STORAGE = 1030
