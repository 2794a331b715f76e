"""Two links' rules have a table in common, or none: what a renamed link is known by."""

from __future__ import annotations

import pytest

from cdcd.route.rules import Rules


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"tables": ["shop.*"]}, {"tables": ["shop.orders"]}),
        ({"tables": ["shop.a*"]}, {"tables": ["shop.*z"]}),
        ({"tables": ["crm.x", "shop.?b"]}, {"tables": ["*.ab"]}),
        ({"tables": ["crm.cust_[a-m]*"]}, {"tables": ["crm.cust_[k-z]1"]}),
        ({"tables": ["crm.[!a]*"]}, {"tables": ["crm.[!b]*"]}),
        ({"tables": ["crm.[!a]"]}, {"tables": ["crm.[ab]"]}),
        ({"tables": ["shop.*"], "exclude": ["shop.tmp"]}, {"tables": ["shop.orders"]}),
    ],
    ids=str,
)
def test_rules_that_share_a_table_overlap(one, other):
    """Both ways round."""
    assert Rules(**one).overlaps(Rules(**other))
    assert Rules(**other).overlaps(Rules(**one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"tables": ["shop.*"]}, {"tables": ["crm.*"]}),
        ({"tables": ["shop.a*"]}, {"tables": ["shop.b*"]}),
        ({"tables": ["shop.?"]}, {"tables": ["shop.ab"]}),
        ({"tables": ["crm.cust_[a-m]*"]}, {"tables": ["crm.cust_[n-z]*"]}),
        ({"tables": ["crm.[!a-c]*"]}, {"tables": ["crm.[abc]x"]}),
        ({"tables": ["shop.*"], "exclude": ["shop.tmp"]}, {"tables": ["shop.tmp"]}),
    ],
    ids=str,
)
def test_rules_without_a_common_table_do_not(one, other):
    """A link that was split off must not be taken for the old one."""
    assert not Rules(**one).overlaps(Rules(**other))
    assert not Rules(**other).overlaps(Rules(**one))
