# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Row sets to SQL text. Values go from the log's bytes into the statement without becoming Python objects.

Every session that runs these has ``character_set_client = binary``: quotes and backslashes are the only
bytes that need escaping, and text says its charset with an introducer.
"""

from libc.math cimport copysign
from libc.stdint cimport uint8_t
from libc.string cimport memcmp

from cdcd.apply.sql.writing cimport Writing, writing_of
from cdcd.row.layout cimport ABSENT, DELETE, UPDATE, Change, Image, Layout, end_of
from cdcd.row.plan cimport Plan
from cdcd.row.row_set cimport RowSet
from cdcd.row.values cimport Out

from cdcd.row import cell
from cdcd.errors import SchemaMismatch
from cdcd.model.change import OPERATIONS

cdef enum:
    STATEMENT_BYTES = 256 * 1024    # large enough that parsing, not round trips, is the cost
    INSERT_ROWS = 2000
    KEYS = 500                      # of one column in an IN list
    COMPOSITE_KEYS = 100            # spelled out with OR, which every optimizer turns into index ranges


cdef class Statement:
    """One SQL text, and what the target should answer if nothing contradicts it.

    ``matched`` is the sum of matched rows that is expected (with CLIENT_FOUND_ROWS; an upsert that changes a
    row counts 2). ``rows`` is how many changes it carries, ``first`` the place of the first in its row set.
    """

    def __cinit__(self, bytes sql, RowSet row_set, size_t first, size_t rows, long long matched, bint is_exact,
                  bint is_lenient):
        self.sql = sql
        self.kind = row_set.kind
        self.row_set = row_set
        self.first = first
        self.rows = rows
        self.matched = matched
        self.is_exact = is_exact
        self.is_lenient = is_lenient

    def text(self, bytes leniently):
        """Return it as it is sent; ``leniently`` is how one begins that a strict server is to take all the same."""
        return leniently + self.sql if self.is_lenient else self.sql


cdef bint _is_lenient(Out out, Plan plan):
    """Return whether to do without strictness: it refuses an ENUM's error value, number 0, and one that is implied.

    Where both sides define the columns alike every other value fits without strictness, so it is given up
    for the statement; elsewhere the server's refusal stands.
    """
    return out.needs_lenience and plan.target.is_identical


def render(RowSet row_set):
    """Yield the statements that apply a row set, each rendered when it is asked for."""
    cdef size_t at = 0
    cdef bint many = row_set.plan.target.row_key is not None and not _refers_to_itself(row_set.plan)
    while at < row_set.count:
        if row_set.kind == DELETE:
            statement = _delete(row_set, at) if many else render_one(row_set, at, "delete")
        elif row_set.kind == UPDATE and not row_set.is_net:
            statement = _update(row_set, at, False)
        else:
            statement = _insert(row_set, at)
        yield statement
        at += (<Statement>statement).rows


cdef bint _refers_to_itself(Plan plan) except -1:
    """Return whether the order of a table's deletes matters: one statement deletes in the order of an index."""
    return any(key.parent == plan.target.name for key in plan.target.table.foreign_keys)


def render_one(RowSet row_set, size_t at, str verb):
    """Return one change as a statement of its own.

    ``verb`` is insert, update, delete, or overwrite: an update that finds the row by its new image's key.
    """
    cdef Out out
    if verb == "update" or verb == "overwrite":
        return _update(row_set, at, verb == "overwrite")
    out = Out()
    if verb == "delete":
        out.put_bytes(b"DELETE FROM " + writing_of(row_set.plan).table_sql + b" WHERE ")
        _put_match(out, row_set.plan, row_set.change(at).before)
        out.put_bytes(b" LIMIT 1")
        return Statement(out.take(), row_set, at, 1, 1, True, _is_lenient(out, row_set.plan))
    _put_insert_head(out, row_set.plan, row_set.change(at).after.present)
    _put_row(out, writing_of(row_set.plan), row_set.change(at).after)
    return Statement(out.take(), row_set, at, 1, 1, True, _is_lenient(out, row_set.plan))


def moves_row_key(RowSet row_set, size_t at):
    """Return whether an update changes its row's key."""
    cdef Layout layout = row_set.plan.layout
    cdef Change change = row_set.change(at)
    layout.locate(change.before, end_of(change.before), layout.offsets_before)
    layout.locate(change.after, end_of(change.after), layout.offsets_after)
    key = row_set.plan.target.row_key
    return key is not None and not layout.same_key(
        key, change.before.start, layout.offsets_before, change.after.start, layout.offsets_after)


def can_insert_after(RowSet row_set, size_t at):
    """Return whether a change carries the whole new row."""
    return row_set.plan.layout.is_full(row_set.change(at).after.present)


def describe(RowSet row_set, size_t at):
    """Return which row a change is about, as facts for a message: never values outside of its key."""
    cdef Plan plan = row_set.plan
    cdef Change change = row_set.change(at)
    cdef Image image = change.after if change.before.start == NULL else change.before
    facts = {"table": ".".join(plan.target.name)}
    if plan.target.row_key is not None:
        values = plan.layout.values(image, end_of(image))
        facts["row"] = ", ".join(
            [f"{plan.layout.names[i]} = {values[i]!r}"[:80] for i in plan.target.row_key.columns])
    facts["change"] = OPERATIONS[row_set.kind]
    return facts


cdef object _insert(RowSet row_set, size_t first):
    """A multi-row INSERT; net changes of a table whose only unique key is the row key go as an upsert."""
    cdef Plan plan = row_set.plan
    cdef Writing writing = writing_of(plan)
    cdef Out out = Out()
    cdef size_t at, complete
    cdef long long matched = 0
    cdef bint is_update = row_set.kind == UPDATE
    _put_insert_head(out, plan, row_set.change(first).after.present)
    for at in range(first, row_set.count):
        complete = out.size
        if at > first:
            if at - first >= INSERT_ROWS or not _same_columns(plan, row_set, at - 1):
                break
            out.put_char(44)
        _put_row(out, writing, row_set.change(at).after)
        if at > first and out.size > STATEMENT_BYTES:
            out.size = complete
            break
        matched += 2 if is_update else 1
    else:
        at = row_set.count
    if row_set.is_net and (is_update or not plan.target.has_alternatives):
        out.put_bytes(_upsert_tail(plan))
    return Statement(out.take(), row_set, first, at - first, matched, False, _is_lenient(out, row_set.plan))


cdef bint _same_columns(Plan plan, RowSet row_set, size_t at) noexcept:
    cdef const uint8_t* a = row_set.change(at).after.present
    cdef const uint8_t* b = row_set.change(at + 1).after.present
    return a == b or memcmp(a, b, plan.layout.present_bytes) == 0


cdef int _put_insert_head(Out out, Plan plan, const uint8_t* present) except -1:
    cdef Writing writing = writing_of(plan)
    cdef int i
    cdef uint8_t separator = 40
    out.put_bytes(b"INSERT INTO " + writing.table_sql + b" ")
    for i in range(plan.layout.count):
        if writing.writes(i) and present[i >> 3] >> (i & 7) & 1:
            out.put_char(separator)
            out.put_bytes(<bytes>writing.name_sql[i])
            separator = 44
        elif writing.writes(i):
            _leave_out(out, plan, i)
    if separator == 40:
        out.put_char(40)
    return out.put(b") VALUES ", 9)


cdef int _leave_out(Out out, Plan plan, int i) except -1:
    """Leave a column to the target, which must fill it as the source once did; what that was is not in the log."""
    default = plan.target.defaults[i] if plan.target.defaults else None
    if default is None or not plan.is_unaltered:
        why = "its default at that time is not known" if default else "both sides' defaults are not known to be equal"
        raise SchemaMismatch(
            f"the log leaves out column {plan.layout.names[i]} of a new row (binlog_row_image), and {why}",
            hint="do by hand on the target what the transaction did, then cdcd skip;"
            " set binlog_row_image=FULL on the source for what comes",
        ).at(table=".".join(plan.layout.source))
    out.needs_lenience |= default == "implicit"
    return 0


cdef int _put_row(Out out, Writing writing, Image image) except -1:
    cdef Layout layout = writing.layout
    cdef int i
    cdef uint8_t separator = 40
    layout.locate(image, end_of(image), layout.offsets_after)
    for i in range(layout.count):
        if writing.writes(i) and layout.offsets_after[i] != ABSENT:
            out.put_char(separator)
            writing.render_stored(out, i, image.start, layout.offsets_after[i])
            separator = 44
    if separator == 40:
        out.put_char(40)
    return out.put_char(41)


cdef bytes _upsert_tail(Plan plan):
    """The ON DUPLICATE KEY UPDATE clause.

    A table with further unique keys gets a guard: when the duplicate is another row than ours, met through
    one of those keys, the expression overflows and the statement fails instead of overwriting that row.
    """
    cdef Writing writing = writing_of(plan)
    cdef int i
    cdef list parts = []
    cdef bytes name
    key = plan.target.row_key
    for i in range(plan.layout.count):
        # A key that only compares equal is written too, as are the source's letters.
        if writing.writes(i) and (not (key.is_exact and writing.is_row_key(i)) or writing.is_renewed(i)):
            name = <bytes>writing.name_sql[i]
            value = b"VALUES(" + name + b")"
            # It writes a SET by its text, where a member without letters is lost.
            parts.append(name + b"=" + (_number(plan, i, value) if _kind(plan, i) == cell.SET else value))
    i = key.columns[0]
    name = <bytes>writing.name_sql[i]
    if plan.target.has_alternatives:
        same = b" AND ".join([_same_value(plan, index) for index in key.columns])
        overflow = b"18446744073709551615+LENGTH(CONCAT(" + name + b",'x'))"
        # Both results are the column itself, so that the expression has its type, whatever that is.
        value = _number(plan, i, name)
        parts.insert(0, name + b"=IF(" + same + b" OR " + overflow + b"," + value + b"," + value + b")")
    elif not parts:
        parts.append(name + b"=" + name)
    return b" ON DUPLICATE KEY UPDATE " + b",".join(parts)


cdef object _kind(Plan plan, int i):
    return plan.layout.description.columns[i].type


cdef bytes _number(Plan plan, int i, bytes value):
    """Write an ENUM or a SET as the number that it is, 64 bits of it: as text, members without letters are nothing."""
    return value + b"|0" if _kind(plan, i) in (cell.ENUM, cell.SET) else value


cdef bytes _same_value(Plan plan, int i):
    name = <bytes>writing_of(plan).name_sql[i]
    return _number(plan, i, name) + b"=" + _number(plan, i, b"VALUES(" + name + b")")


cdef object _delete(RowSet row_set, size_t first):
    """A multi-row DELETE by key: an IN list, or conditions joined by OR for a key of several columns."""
    cdef Plan plan = row_set.plan
    cdef Writing writing = writing_of(plan)
    cdef Layout layout = plan.layout
    cdef Out out = Out()
    cdef size_t at
    cdef bint single = len(plan.target.row_key.columns) == 1
    cdef size_t most = KEYS if single else COMPOSITE_KEYS
    cdef int key = plan.target.row_key.columns[0]
    # Its own choice would be a full scan where the table has grown since its statistics were taken.
    out.put_bytes(b"DELETE " + writing.table_sql + b" FROM " + writing.table_sql
                  + b" FORCE INDEX (" + writing.row_key_sql + b") WHERE ")
    if single:
        out.put_bytes(<bytes>writing.name_sql[key] + b" IN (")
    for at in range(first, row_set.count):
        if at > first:
            if out.size >= STATEMENT_BYTES or at - first >= most:
                break
            out.put(b"," if single else b" OR ", 1 if single else 4)
        if single:
            layout.locate(row_set.change(at).before, end_of(row_set.change(at).before), layout.offsets_before)
            writing.render(out, key, row_set.change(at).before.start, layout.offsets_before[key])
        else:
            out.put_char(40)
            _put_match(out, plan, row_set.change(at).before)
            out.put_char(41)
    else:
        at = row_set.count
    if single:
        out.put_char(41)
    lenient = _is_lenient(out, row_set.plan)
    return Statement(out.take(), row_set, first, at - first, at - first, not row_set.is_net, lenient)


cdef object _update(RowSet row_set, size_t at, bint by_new_key):
    """One row's UPDATE: every column that the new image carries, found by the old image's key.

    A column that the server would fill by itself, and of which the image says nothing, is told to stay as it is.
    """
    cdef Plan plan = row_set.plan
    cdef Writing writing = writing_of(plan)
    cdef Layout layout = plan.layout
    cdef Change change = row_set.change(at)
    cdef Out out = Out()
    cdef int i
    cdef bint any_column = False
    out.put_bytes(b"UPDATE " + writing.table_sql + b" SET ")
    layout.locate(change.after, end_of(change.after), layout.offsets_after)
    for i in range(layout.count):
        if writing.writes(i) and (layout.offsets_after[i] != ABSENT or writing.is_renewed(i)):
            if any_column:
                out.put_char(44)
            out.put_bytes(<bytes>writing.name_sql[i])
            out.put_char(61)
            if layout.offsets_after[i] == ABSENT:
                out.put_bytes(<bytes>writing.name_sql[i])
            else:
                writing.render_stored(out, i, change.after.start, layout.offsets_after[i])
            any_column = True
    if not any_column:
        name = next(name for name in writing.name_sql if name is not None)
        out.put_bytes(<bytes>name + b"=" + <bytes>name)
    out.put(b" WHERE ", 7)
    _put_match(out, plan, change.after if by_new_key else change.before)
    out.put(b" LIMIT 1", 8)
    return Statement(out.take(), row_set, at, 1, 1, True, _is_lenient(out, row_set.plan))


cdef int _put_match(Out out, Plan plan, Image image) except -1:
    """Write the condition that finds a row: by its key, or by every value where there is no key."""
    cdef Writing writing = writing_of(plan)
    cdef Layout layout = plan.layout
    cdef int i
    cdef bint is_keyed = plan.target.row_key is not None
    cdef bint any_column = False
    layout.locate(image, end_of(image), layout.offsets_before)
    for i in range(layout.count):
        if is_keyed:
            if not writing.is_row_key(i):
                continue
        elif not writing.writes(i) or layout.offsets_before[i] == ABSENT:
            continue
        if any_column:
            out.put(b" AND ", 5)
        any_column = True
        if is_keyed:
            out.put_bytes(<bytes>writing.name_sql[i])
            out.put_char(61)
            writing.render(out, i, image.start, layout.offsets_before[i])
        else:
            _put_whole_value(out, writing, i, image)
    if not any_column:
        raise SchemaMismatch("a row without any value to find it by").at(table=".".join(plan.layout.source))
    return 0


cdef int _put_whole_value(Out out, Writing writing, int i, Image image) except -1:
    """Compare text and bytes as stored: a collation would find a row that merely looks alike."""
    cdef bytes name = <bytes>writing.name_sql[i]
    cdef bytes introducer = <bytes>writing.introducers[i]
    cdef int kind = writing.layout.description.columns[i].type
    if introducer.startswith(b"_"):
        out.put_bytes(b"BINARY CONVERT(" + name + b" USING " + introducer[1:] + b")<=>BINARY ")
    elif kind == cell.GEOMETRY:
        out.put_bytes(b"BINARY " + name + b"<=>")
    else:
        out.put_bytes(name + b"<=>")
    writing.render(out, i, image.start, writing.layout.offsets_before[i])
    if kind != cell.FLOAT and kind != cell.DOUBLE:
        return 0
    value = writing.layout.value(i, image.start, writing.layout.offsets_before[i])
    if value == 0:
        # Zeros compare and print alike whatever their sign.
        negative = copysign(1.0, value) < 0
        out.put_bytes(b" AND ATAN2(" + name + (b",-1e0)<0" if negative else b",-1e0)>0"))
    return 0
