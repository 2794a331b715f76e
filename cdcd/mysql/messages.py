"""What a server's error message may say in a log: names, never the values of rows.

Texts and their parts: MariaDB's ``sql/share/errmsg-utf8.txt``.
"""

from __future__ import annotations

import re

# Numbers, the same in the whole family, whose messages hold names, types, sizes and settings only.
_NAMES_ONLY = frozenset({
    1005, 1006, 1007, 1008, 1009, 1010, 1022, 1025, 1026, 1030, 1031, 1032, 1033, 1034, 1035, 1036, 1037, 1038, 1041,
    1046, 1048, 1049, 1050, 1051, 1052, 1054, 1059, 1060, 1061, 1066, 1068, 1069, 1070, 1071, 1072, 1073, 1074, 1075,
    1089, 1090, 1091, 1094, 1101, 1103, 1104, 1109, 1110, 1113, 1114, 1117, 1118, 1121, 1135, 1136, 1137, 1146, 1153,
    1161, 1163, 1165, 1168, 1170, 1171, 1176, 1193, 1194, 1195, 1196, 1214, 1215, 1216, 1217, 1221, 1229, 1233, 1235,
    1238, 1239, 1248, 1264, 1265, 1267, 1270, 1271, 1273, 1286, 1291, 1293, 1294, 1305, 1323, 1347, 1348, 1359, 1360,
    1363, 1364, 1365, 1390, 1406, 1419, 1423, 1426, 1427, 1436, 1438, 1439, 1442, 1451, 1452, 1470, 1471, 1478, 1553,
    1557, 1568, 1614, 1629, 1665, 1671, 1701, 1709, 1713, 1727, 1748, 1785, 1790, 1805, 1813, 1814, 1815, 1822, 1823,
    1824, 1825, 1826, 1828, 1829, 1830, 1832, 1833, 1834, 1845, 1846,
})  # fmt: skip
_HIDDEN = "..."
# What is said after a value: the name of a key or of a column, at the very end.
_AFTER_VALUE = {
    1062: re.compile(r"(Duplicate entry )'.*'( for key '[^']*')", re.DOTALL),
    1292: re.compile(r"([\w ]+: )'.*'( for column `[^']*` at row \d+)", re.DOTALL),
    1366: re.compile(r"([\w ]+: )'.*'( for column `[^']*` at row \d+)", re.DOTALL),
    1411: re.compile(r"([\w ]+: )'.*'( for function \w+)", re.DOTALL),
}
# What the server says by itself before it comes to a value.
_BEFORE_VALUE = re.compile(r"[^'\"`:(\d]*")
_SIGNAL = frozenset({1105, 1642, 1643, 1644, 1645})  # Whatever a trigger or routine says.


def without_values(code: int, message: str, names_only: frozenset[int] = frozenset()) -> str:
    """Return a server's message without what may be a row's value: only texts that are known not to hold one stay.

    ``names_only`` are numbers that mean so on this kind of server (``flavor.contract.Errors``).
    """
    if code in _NAMES_ONLY or code in names_only:
        return message
    if (pattern := _AFTER_VALUE.get(code)) and (match := pattern.fullmatch(message)):
        return f"{match[1]}{_HIDDEN}{match[2]}"
    known = "" if code in _SIGNAL else _BEFORE_VALUE.match(message)[0]  # type: ignore[index]  # It matches always.
    return message if known == message else f"{known.strip()} {_HIDDEN}".strip()
