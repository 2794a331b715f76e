from cdcd.row.plan cimport Plans
from cdcd.row.transaction cimport Transaction


cdef enum:
    JOINS           # it is merged
    FULL            # the batch takes no more, by its bounds or since it is split
    OTHER_ORIGIN    # a mark names one origin, so a batch has one
    NOT_CARRIED     # the link leaves out all of its tables
    UNPLANNED       # a table has no plan, or not all is known that its rows need
    PART            # it is too large to hold
    UNDONE          # it was rolled back as a whole
    STATEMENT       # it is a statement, or begins with one
    UNJUDGED        # it holds what only the link's rules can judge
    ANNOUNCES       # it announces a schema change of a link
    APPLIED         # the target has it


cdef int admit(Transaction transaction, Plans plans, origin, applied) except -1
