"""Row filters: what they accept, what they refuse, and what they can't know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdcd.errors import SchemaMismatch
from cdcd.model.table import Column
from cdcd.route.where import RowFilter, UndecidableFilter


def column(name: str, type_: str = "int(11)", collation: str = "") -> Column:
    """Describe a column as a server does."""
    charset = "binary" if collation == "binary" else collation.partition("_")[0]
    return Column(name, type_, type_.partition("(")[0].partition(" ")[0], charset, collation, True, False, False)


COLUMNS = [
    column("i"),
    column("u", "bigint(20) unsigned"),
    column("n", "decimal(12,3)"),
    column("deep", "decimal(40,28)"),
    column("f", "double"),
    column("fixed", "double(10,2)"),
    column("y", "year(4)"),
    column("ci", "varchar(20)", "utf8mb4_general_ci"),
    column("bin", "varchar(20)", "utf8mb4_bin"),
    column("czech", "varchar(20)", "utf8mb4_czech_ci"),
    column("latbin", "varchar(20)", "latin1_bin"),
    column("cs", "varchar(20)", "utf8mb4_0900_as_cs"),
    column("vb", "varbinary(20)"),
    column("d", "date"),
    replace(column("never", "datetime"), nullable=False),
    column("dt", "datetime(2)"),
    column("b", "bit(4)"),
    column("e", "enum('','a')", "utf8mb4_bin"),
    column("t", "time(6)"),
    column("j", "json"),
]


def passes(expression: str, **values: object) -> bool:
    """Bind to all the columns and decide one row; columns without a value are NULL."""
    return bound(expression)([values.get(column.name) for column in COLUMNS])


def bound(expression: str) -> Callable[[list[object]], bool]:
    """Bind to all the columns."""
    return RowFilter.parse(expression).bind(COLUMNS)


def test_columns_are_those_that_the_filter_names() -> None:
    """A caller knows what to decode before it has a table."""
    assert {"i", "region", "a b"} == RowFilter.parse("i = 1 AND (`region` = 'x' OR i IN (`a b`, 2))").columns


@pytest.mark.parametrize(
    ("expression", "complaint", "caret"),
    [
        ("", "missing", 0),
        ("i =", "missing", 3),
        ("i = 1 AND", "missing", 9),
        ("i = 1 i", "not expected", 6),
        ("upper(ci) = 'A'", "calls a function", 0),
        ("shop.i = 1", "table before its column", 0),
        ("i REGEXP 'x'", "not expected", 2),
        ("i DIV 2", "not expected", 2),
        ("i IN (SELECT 1)", "no column and no value", 6),
        ("i IN 1", r"should be '\('", 5),
        ("i BETWEEN 1 OR 2", "should be 'AND'", 12),
        ("CASE WHEN 1 THEN 1 END", "no column", 0),
        ("i IS 5", "must be NULL", 5),
        ("ci LIKE 'a' ESCAPE '!'", "not expected", 12),
        ("ci = _utf8'a'", "not expected", 10),
        ("d = DATE '2024-01-01'", "not expected", 9),
        ("i = @x", "no column", 4),
        ("i = ?", "no column", 4),
        ("i & 1", "not expected", 2),
        ("ci = 'a' 'b'", "not expected", 9),
    ],
)
def test_what_the_language_lacks_is_refused_with_a_caret(expression: str, complaint: str, caret: int) -> None:
    """The operator sees which word of the filter is the trouble."""
    with pytest.raises(ValueError, match=complaint) as caught:
        RowFilter.parse(expression)

    assert f"  {' ' * caret}^" == str(caught.value).splitlines()[-1]


@pytest.mark.parametrize("expression", ["(" * 500 + "i" + ")" * 500, "NOT " * 500 + "i", "+".join("i" * 500)])
def test_nesting_is_limited(expression: str) -> None:
    """A filter never exhausts the stack."""
    with pytest.raises(ValueError, match="nests deeper"):
        RowFilter.parse(expression)


def test_a_long_chain_is_not_deep() -> None:
    """Thousands of conditions side by side are fine."""
    assert passes(" OR ".join(f"i = {number}" for number in range(2000)), i=1999)


@pytest.mark.parametrize(
    "expression",
    [
        *("nothing = 1", "ci", "'a'", "NOT ci", "ci AND i", "ci + 1 = 2", "d", "d IS TRUE"),
        *(
            "ci = 5",
            "i = 'x'",
            "i = '1234567890.123456'",
            "i = ''",
            "i = ci",
            "ci = bin",
            "ci < 'a'",
            "ci > 'a'",
        ),
        *("ci BETWEEN 'a' AND 'b'", "cs < 'a'", "cs LIKE 'a%'", "czech = 'a'", "czech LIKE 'a'"),
        *("ci LIKE 'é%'", r"ci LIKE 'a\\'", "ci LIKE i", "i LIKE '1%'", "d LIKE '2024%'"),
        *(
            "d = '2024-1-1'",
            "d = '2024-02-30'",
            "d = 20240101",
            "d = '2024-00-00'",
            "d = '24-01-01'",
            "d = 'x'",
        ),
        *(
            "t = '10:00:00'",
            "t > '2024-01-01'",
            "j = '{}'",
            "fixed = 1.5",
            "y = 99",
            "y = '1999'",
            "y = i",
            "y < 0",
        ),
        *(
            "vb = 'é'",
            "vb LIKE 'é'",
            "ci = 0x41",
            "i = X'41'",
            "n = 0x41",
            "f = 0x41",
            "d = 0x41",
            "0x41 + i",
        ),
        *("latbin < 'b'", "latbin BETWEEN 'a' AND 'b'"),
        *("'a' = 'a'", "'a' IN (1, 2)", "deep * deep = 1", "deep / 2 = 1", "n XOR i", "f XOR i"),
        *("never IS NULL", "never IS NOT NULL", "NOT (never IS NOT NULL)", "i = 1.5", "n IN (0.0001)", "n <=> 1e-9"),
        *("d = '2024-01-01 00:00:01.5'", "dt = '2024-01-01 00:00:00.123'", "e = ' '", "b > '5'", "b IN (1, '5')"),
        "d NOT BETWEEN '2024-01-01 12:00:00' AND '2024-01-02'",
        *("(bin LIKE 'a') = (bin NOT LIKE 'a')",),
        *("i BETWEEN 1 AND 2e0", "i BETWEEN 1 AND '2'", "i = 1" + "0" * 70, "i = 0." + "1" * 31),
    ],
)
def test_what_only_a_server_can_compare_is_refused_when_bound(expression: str) -> None:
    """Implicit conversions and unknown collations stop a link before it carries a row."""
    parsed = RowFilter.parse(expression)
    with pytest.raises(UndecidableFilter, match="\\^"):
        parsed.bind(COLUMNS)


@pytest.mark.parametrize("expression", ["ci IS NULL", "t IS NULL", "j IS NOT NULL", "j <=> NULL", "fixed IS NULL"])
def test_any_column_can_be_asked_for_null(expression: str) -> None:
    """NULL needs no comparison of values."""
    assert passes(expression) == ("NOT" not in expression)


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("ci = 'eu'", {"ci": "ëu"}),
        ("ci = 'eu'", {"ci": "eu\t"}),
        ("ci = 'ëu'", {"ci": "eu"}),
        ("ci IN ('a', 'b')", {"ci": "é"}),
        ("ci LIKE '%'", {"ci": "é"}),
        ("cs = 'eu'", {"cs": "ëu"}),
        ("i + 9223372036854775807 > 0", {"i": 1}),
        ("u - 2 > 0", {"u": 1}),
        ("n / 3 > 1", {"n": Decimal("10.000")}),
        ("n % 0.5 = 0", {"n": Decimal("-1.500")}),
        ("f * 1e300 > 0", {"f": 1e300}),
        ("deep = '0.1'", {"deep": Decimal("0.1000000000000000000000000001")}),
        ("u = 9007199254740992e0", {"u": 9007199254740993}),
    ],
)
def test_what_only_a_server_can_say_of_a_value_is_not_guessed(expression: str, values: dict[str, object]) -> None:
    """The row stops the link, and the error names the filter."""
    with pytest.raises(SchemaMismatch) as caught:
        passes(expression, **values)

    assert expression == caught.value.where["filter"]
    assert caught.value.hint


def test_a_date_that_is_not_null_is_asked_for_the_zero_date() -> None:
    """The error says what to write instead, with the column's name."""
    with pytest.raises(UndecidableFilter) as caught:
        bound("i = 1 AND never IS NULL")

    assert "write `never` = '0000-00-00'" in caught.value.hint
    assert passes("never = '0000-00-00'", never="0000-00-00 00:00:00")
    assert not passes("never = '0000-00-00'", never="2024-01-01 00:00:00")


def test_only_true_passes() -> None:
    """Unknown is not enough, and neither is its opposite."""
    assert not passes("i = 1")
    assert not passes("NOT i = 1")
    assert not passes("i = 1 OR i <> 1")
    assert passes("i = 1 OR i IS NULL")


def test_identical_text_is_equal_in_every_collation() -> None:
    """Beyond ASCII, only that much is certain."""
    assert passes("ci = 'ëu' AND ci <=> 'ëu  ' AND cs = 'ëu'", ci="ëu ", cs="ëu")


def test_a_decided_part_spares_the_rest() -> None:
    """AND and OR stop where they are decided, as the server's do."""
    assert not passes("i = 2 AND ci = 'eu'", i=1, ci="ë")
    assert passes("i = 1 OR ci = 'eu'", i=1, ci="ë")


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1))
def test_integers_compare_as_integers(left: int, right: int) -> None:
    """Every comparison of two integers is Python's, whichever way it is written."""
    values = {"i": left}

    assert (left == right) == passes(f"i = {right}", **values) == passes(f"{right} <=> i", **values)
    assert (left < right) == passes(f"i < {right}", **values) == passes(f"{right} > i", **values)
    assert (left >= right) == passes(f"i >= {right}", **values) == passes(f"NOT i < {right}", **values)
    assert (left != right) == passes(f"i <> {right}", **values) == passes(f"i NOT IN ({right})", **values)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=10))
def test_any_text_can_be_written_as_a_literal(value: str) -> None:
    """Quoting doubles quotes and backslashes; every character is then itself."""
    literal = "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"

    assert passes(f"bin = {literal}", bin=value)
    assert passes(f"ci = {literal}", ci=value)
