# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Whether a transaction may join a batch: decided here alone, and told as the reason why it may not."""

from enum import IntEnum

from cdcd.row.plan cimport Plan, Plans
from cdcd.row.transaction cimport TableMap, Transaction


# What a batch says to a transaction; of several reasons that keep it out, the one to be met first.
Admission = IntEnum("Admission", {
    "JOINS": JOINS, "FULL": FULL, "OTHER_ORIGIN": OTHER_ORIGIN, "NOT_CARRIED": NOT_CARRIED, "UNPLANNED": UNPLANNED,
    "PART": PART, "UNDONE": UNDONE, "STATEMENT": STATEMENT, "UNJUDGED": UNJUDGED, "ANNOUNCES": ANNOUNCES,
    "APPLIED": APPLIED,
}, module=__name__)


cdef int admit(Transaction transaction, Plans plans, origin, applied) except -1:
    cdef bint is_carried = False
    cdef Plan plan
    if applied and transaction.gtid in applied:
        return APPLIED
    if transaction.tables and (<TableMap>transaction.tables[0]).is_announcement:
        return ANNOUNCES
    if not transaction.is_judged and (
            transaction.has_returned or transaction.rolled_back or transaction.noted or transaction.undone):
        return UNJUDGED
    if transaction.query is not None:
        return STATEMENT
    if transaction.rolled_back:
        return UNDONE
    if transaction.part or not transaction.complete:
        return PART
    for table in transaction.tables:
        plan = plans.find(table)
        if plan is None:
            return UNPLANNED
        if plan.is_carried:
            is_carried = True
            if transaction.leaves_out and not plan.is_unaltered and not transaction.is_planned:
                return UNPLANNED
    if not is_carried:
        return NOT_CARRIED
    return OTHER_ORIGIN if transaction.origin != origin else JOINS
