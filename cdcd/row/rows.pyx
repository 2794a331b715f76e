# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Walk row images: find a column's bytes, hash keys as the target compares them, write values as SQL.

An image is a bitmap of NULLs over the columns that the event carries, then their values, packed
(MariaDB Knowledge Base, "Rows_event_v1v2"; ``Field::pack`` in ``sql/field.cc``). A value becomes a Python
object only for a row filter, a conflict or a message.
"""

cimport cython
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp

from cdcd.row.key cimport (
    FOLD_EXACT, FOLD_ASCII, FOLD_FLOAT, FOLD_NEVER, UniqueKey, hash_bytes, hash_float, hash_text,
)
from cdcd.row.values cimport (
    Out, big_endian, decimal_size, little_endian, render_binary, render_date, render_datetime, render_decimal,
    render_double, render_int, render_text, render_time, render_timestamp,
)

from decimal import Decimal
from uuid import UUID

from cdcd.row import compression
from cdcd.row import cell
from cdcd.errors import MalformedEvent, SchemaMismatch, UnsupportedEvent
from cdcd.model import change as kinds
from cdcd.row import charset

cdef enum:
    R_INT = 1
    R_FLOAT = 2
    R_DOUBLE = 3
    R_DECIMAL = 4
    R_YEAR = 5
    R_DATE = 6
    R_TIME = 7
    R_DATETIME = 8
    R_TIMESTAMP = 9
    R_BIT = 10
    R_SET = 11
    R_TEXT = 12
    R_BINARY = 13
    R_UUID = 14
    R_COMPRESSED = 15
    R_ENUM = 16
    R_PRINTED = 17    # bytes that the target writes as text, as it prints their type

cdef enum:
    F_UNSIGNED = 1
    F_WRITTEN = 2
    F_ROW_KEY = 4
    F_SINGLE = 16    # a FLOAT on both sides
    F_PADDED = 8      # fixed-length binary, UUID, INET4, INET6: the log strips trailing zeros

_RENDERINGS = {
    cell.TINY: R_INT, cell.SHORT: R_INT, cell.INT24: R_INT, cell.LONG: R_INT, cell.LONGLONG: R_INT,
    cell.FLOAT: R_FLOAT, cell.DOUBLE: R_DOUBLE, cell.NEWDECIMAL: R_DECIMAL, cell.YEAR: R_YEAR, cell.DATE: R_DATE,
    cell.NEWDATE: R_DATE, cell.TIME2: R_TIME, cell.DATETIME2: R_DATETIME, cell.TIMESTAMP2: R_TIMESTAMP, cell.BIT: R_BIT,
    cell.ENUM: R_ENUM, cell.SET: R_SET, cell.GEOMETRY: R_BINARY, cell.BLOB_COMPRESSED: R_COMPRESSED,
    cell.VARCHAR_COMPRESSED: R_COMPRESSED,
}
_INT_BYTES = {cell.TINY: 1, cell.SHORT: 2, cell.INT24: 3, cell.LONG: 4, cell.LONGLONG: 8}

assert (INSERT, UPDATE, DELETE) == (kinds.INSERT, kinds.UPDATE, kinds.DELETE), "constants that differ"


cdef class Plan:
    """What one link does with one table as one TABLE_MAP describes it, in a form that rows can be walked with.

    ``columns`` holds for each source column a (target name or None, introducer, rendering override) triple,
    ``charsets`` the charset of its text ("" of what is none);
    ``keys`` holds the target's unique keys as :class:`UniqueKey`, the row key first when ``keyed``.
    """

    def __cinit__(self, description, target_table, *, names, columns, charsets, keys, bint keyed, bint ordered,
                  bint together, uint64_t group, operations, row_filter, table_sql, row_key_sql, bint identical=False,
                  defaults=(), bint splits_updates=True, bytes row_event_map=None, bytes definition=None):
        self.description = description
        self.source = description.name
        self.target_table = target_table
        self.target = target_table.name
        self.names = tuple(names)
        self.is_ordered = ordered
        self.is_keyed = keyed
        self.stays_together = together
        self.is_identical = identical
        self.defaults = tuple(defaults)
        self.is_unaltered = False
        self.splits_updates = splits_updates
        self.group = group
        self.row_filter = row_filter
        self.table_sql = table_sql
        self.row_key_sql = row_key_sql
        self.keys = keys
        self.row_key = keys[0] if keyed else None
        self.has_alternatives = len(keys) > (1 if keyed else 0)
        self.row_event_map = row_event_map
        self.definition = definition
        self.opens = -1
        self.operations = sum(1 << operation for operation in operations)
        self.count = len(description.columns)
        self.present_bytes = (self.count + 7) // 8
        self.every_column = <uint8_t*>calloc(self.present_bytes, 1)
        for i in range(self.count):
            self.every_column[i >> 3] |= 1 << (i & 7)
        self.sizes = <uint32_t*>calloc(self.count, sizeof(uint32_t))
        self.prefixes = <uint8_t*>calloc(self.count, 1)
        self.renderings = <uint8_t*>calloc(self.count, 1)
        self.flags = <uint8_t*>calloc(self.count, 1)
        self.details = <uint16_t*>calloc(self.count, sizeof(uint16_t))
        self.offsets_before = <uint32_t*>calloc(self.count, sizeof(uint32_t))
        self.offsets_after = <uint32_t*>calloc(self.count, sizeof(uint32_t))
        self.name_sql = []
        self.introducers = []
        self.charsets = charsets
        for i, (name, introducer, rendering) in enumerate(columns):
            self._column(i, description.columns[i], rendering)
            self.name_sql.append(name)
            self.introducers.append(introducer)
            if name is not None:
                self.flags[i] |= F_WRITTEN
        if keyed:
            for i in self.row_key.columns:
                self.flags[i] |= F_ROW_KEY

    def __dealloc__(self):
        free(self.every_column)
        free(self.sizes)
        free(self.prefixes)
        free(self.renderings)
        free(self.flags)
        free(self.details)
        free(self.offsets_before)
        free(self.offsets_after)

    def _column(self, int i, column, rendering):
        kind, metadata = column.type, column.metadata
        self.details[i] = metadata & 0xFFFF
        self.flags[i] = F_UNSIGNED if column.unsigned else 0
        self.renderings[i] = _RENDERINGS.get(kind, 0)
        if kind in _INT_BYTES:
            self.sizes[i] = _INT_BYTES[kind]
        elif kind in (cell.FLOAT, cell.DOUBLE):
            self.sizes[i] = metadata
        elif kind == cell.YEAR:
            self.sizes[i] = 1
        elif kind in (cell.DATE, cell.NEWDATE):
            self.sizes[i] = 3
        elif kind in (cell.TIME2, cell.DATETIME2, cell.TIMESTAMP2):
            self.sizes[i] = {cell.TIME2: 3, cell.DATETIME2: 5, cell.TIMESTAMP2: 4}[kind] + (metadata + 1) // 2
        elif kind == cell.NEWDECIMAL:
            self.sizes[i] = decimal_size(metadata >> 8, metadata & 0xFF)
        elif kind == cell.BIT:
            self.sizes[i] = (metadata + 7) // 8
        elif kind in (cell.ENUM, cell.SET):
            self.sizes[i] = metadata
        elif kind in (cell.VARCHAR, cell.VAR_STRING, cell.STRING, cell.VARCHAR_COMPRESSED):
            self.prefixes[i] = 2 if metadata > 255 else 1
        elif kind in (cell.BLOB, cell.GEOMETRY, cell.BLOB_COMPRESSED):
            self.prefixes[i] = metadata
        else:
            raise UnsupportedEvent(
                f"column {i + 1} of {self.source[0]}.{self.source[1]} is stored as type {kind}",
                hint="a column in the format of before MySQL 5.6 is rewritten by ALTER TABLE ... FORCE")
        if rendering == "single":
            self.flags[i] |= F_SINGLE
        elif rendering is not None:
            self.renderings[i] = {
                "text": R_TEXT, "binary": R_BINARY, "uuid": R_UUID, "printed": R_PRINTED}[rendering]
            if rendering != "text" and kind == cell.STRING:
                self.flags[i] |= F_PADDED
        elif not self.renderings[i]:
            self.renderings[i] = R_BINARY

    def __reduce__(self):
        raise TypeError("a plan belongs to one process")

    cdef bint is_full(self, const uint8_t* present) noexcept:
        return memcmp(present, self.every_column, self.present_bytes) == 0

    cdef bint writes(self, int column) noexcept:
        return self.flags[column] & F_WRITTEN

    cdef bint is_row_key(self, int column) noexcept:
        return self.flags[column] & F_ROW_KEY

    cdef const uint8_t* locate(self, Image image, const uint8_t* end, uint32_t* offsets) except NULL:
        """Fill ``offsets`` (from the image's start) and return where the image ends."""
        cdef const uint8_t* start = image.start
        cdef const uint8_t* present = image.present
        cdef int i, seen = 0, carried = 0
        cdef size_t at, length, limit = end - start
        for i in range(self.present_bytes):
            carried += _POPCOUNT[present[i]]
        at = (carried + 7) // 8
        if at > limit:
            raise self._overrun()
        for i in range(self.count):
            if not present[i >> 3] >> (i & 7) & 1:
                offsets[i] = ABSENT
                continue
            if start[seen >> 3] >> (seen & 7) & 1:
                offsets[i] = NULL_VALUE
                seen += 1
                continue
            seen += 1
            offsets[i] = at
            if self.prefixes[i]:
                if at + self.prefixes[i] > limit:
                    raise self._overrun()
                length = self.prefixes[i] + little_endian(start + at, self.prefixes[i])
            else:
                length = self.sizes[i]
            if length > limit - at:
                raise self._overrun()
            at += length
        return start + at

    def _overrun(self):
        return MalformedEvent("a row image exceeds its event").at(table=".".join(self.source))

    cdef size_t value_at(self, int column, const uint8_t* start, uint32_t offset, const uint8_t** data) noexcept:
        data[0] = start + offset + self.prefixes[column]
        if self.prefixes[column]:
            return little_endian(start + offset, self.prefixes[column])
        return self.sizes[column]

    cdef uint64_t hash_key(self, UniqueKey key, const uint8_t* start, uint32_t* offsets, bint* unproven) except? 0:
        """Hash a key so that values which the target calls equal meet; 0 when a NULL keeps it from colliding.

        ``unproven`` is set when equality cannot be told from the bytes: the table's transactions then stay
        together in this batch.
        """
        cdef uint64_t state = key.seed
        cdef const uint8_t* data
        cdef size_t length
        cdef int i, column
        for i in range(key.count):
            column = key.indexes[i]
            if offsets[column] == NULL_VALUE:
                return 0
            if offsets[column] == ABSENT or key.folds[i] == FOLD_NEVER:
                unproven[0] = True
                return key.seed
            length = self.value_at(column, start, offsets[column], &data)
            if key.folds[i] == FOLD_EXACT:
                if key.prefixes[i] and length > key.prefixes[i]:
                    length = key.prefixes[i]
                state = hash_bytes(state, data, length)
            elif key.folds[i] == FOLD_FLOAT:
                state = hash_float(state, data, length)
            else:
                state = hash_text(state, data, length, key.prefixes[i], key.folds[i] == FOLD_ASCII, unproven)
        return state or 1

    cdef bint same_key(self, UniqueKey key, const uint8_t* a, uint32_t* a_offsets, const uint8_t* b,
                       uint32_t* b_offsets) except -1:
        """Return whether two images hold the same bytes in every column of a key."""
        cdef const uint8_t* a_data
        cdef const uint8_t* b_data
        cdef size_t length
        cdef int i, column
        for i in range(key.count):
            column = key.indexes[i]
            if a_offsets[column] == ABSENT or b_offsets[column] == ABSENT:
                return False
            if a_offsets[column] == NULL_VALUE or b_offsets[column] == NULL_VALUE:
                if a_offsets[column] != b_offsets[column]:
                    return False
                continue
            length = self.value_at(column, a, a_offsets[column], &a_data)
            if length != self.value_at(column, b, b_offsets[column], &b_data) or memcmp(a_data, b_data, length):
                return False
        return True

    cdef int render(self, Out out, int column, const uint8_t* start, uint32_t offset) except -1:
        """Write one value as SQL, text with its charset, so that it compares in the column's own collation."""
        if offset == NULL_VALUE:
            return out.put(b"NULL", 4)
        if offset == ABSENT:
            raise SchemaMismatch(
                f"the row image lacks column {self.names[column]}",
                hint="set binlog_row_image=FULL on the source").at(table=".".join(self.source))
        cdef const uint8_t* p
        cdef size_t length = self.value_at(column, start, offset, &p)
        cdef uint8_t kind = self.renderings[column]
        cdef uint16_t detail = self.details[column]
        cdef size_t padded
        if kind == R_INT:
            return render_int(out, p, length, self.flags[column] & F_UNSIGNED)
        if kind == R_TEXT:
            out.put_bytes(<bytes>self.introducers[column])
            return render_text(out, p, length)
        if kind == R_BINARY or kind == R_UUID:
            padded = detail if self.flags[column] & F_PADDED else 0
            return render_binary(out, <bytes>self.introducers[column], p, length, padded)
        if kind == R_PRINTED:
            out.put(b"CAST(", 5)
            render_binary(out, b"", p, length, detail)
            out.put(b" AS ", 4)
            out.put_bytes(<bytes>self.introducers[column])
            return out.put_char(41)
        if kind == R_DECIMAL:
            return render_decimal(out, p, detail >> 8, detail & 0xFF)
        if kind == R_DATETIME:
            return render_datetime(out, p, detail)
        if kind == R_TIMESTAMP:
            return render_timestamp(out, p, detail)
        if kind == R_SET:
            # Servers compare a SET of 64 members as a signed number.
            return render_int(out, p, length, length < 8)
        if kind == R_ENUM:
            # A value that was no member: number 0, which a strict server accepts from nobody.
            out.needs_lenience |= little_endian(p, length) == 0
            return out.put_number(little_endian(p, length))
        if kind == R_BIT:
            return out.put_number(big_endian(p, length))
        if kind == R_YEAR:
            return out.put_number(1900 + p[0] if p[0] else 0)
        if kind == R_DATE:
            return render_date(out, p)
        if kind == R_TIME:
            return render_time(out, p, detail)
        if kind == R_FLOAT or kind == R_DOUBLE:
            return render_double(out, p, kind == R_FLOAT)
        plain = compression.value(p[:length])
        out.put_bytes(<bytes>self.introducers[column])
        return render_text(out, <const uint8_t*><const char*>plain, len(plain))

    cdef int render_stored(self, Out out, int column, const uint8_t* start, uint32_t offset) except -1:
        """Write one value as SQL to be stored: servers store a zero's sign only of what rounds to it."""
        if (self.flags[column] & F_SINGLE and offset != NULL_VALUE and offset != ABSENT
                and little_endian(start + offset, 4) == 0x80000000):
            return out.put(b"-1e-46", 6)
        return self.render(out, column, start, offset)

    cdef object value(self, int column, const uint8_t* start, uint32_t offset):
        """Return one value as a Python object, temporal types and labels as text; text that is not certain as bytes."""
        if offset == NULL_VALUE or offset == ABSENT:
            return None
        cdef const uint8_t* p
        cdef size_t length = self.value_at(column, start, offset, &p)
        cdef uint8_t kind = self.renderings[column]
        if kind == R_TEXT or kind == R_BINARY or kind == R_PRINTED:
            padded = self.details[column] if self.flags[column] & F_PADDED else 0
            return self._characters(column, p[:length].ljust(padded, b"\0"))
        if kind == R_UUID:
            # Tables store the segments reversed, but the log has the bytes in the order of the text.
            return str(UUID(bytes=p[:length].ljust(16, b"\0")[:16]))
        if kind == R_COMPRESSED:
            return self._characters(column, compression.value(p[:length]))
        if kind == R_SET or kind == R_ENUM:
            return self._label(column, little_endian(p, length))
        out = Out()
        self.render(out, column, start, offset)
        text = out.take().decode("ascii")
        if kind in (R_INT, R_BIT, R_YEAR):
            return int(text)
        if kind == R_DECIMAL:
            return Decimal(text)
        if kind in (R_FLOAT, R_DOUBLE):
            return float(text)
        return text.strip("'")

    def _characters(self, int column, bytes text):
        """Return text, or the bytes of what is none or cannot be read exactly."""
        if self.charsets[column] in ("", "binary"):
            return text
        try:
            return charset.decode(text, self.charsets[column])
        except ValueError:
            return text

    def _label(self, int column, number):
        members = self.description.columns[column].members
        if members is None:
            declared = self.target_table.column(self.names[column])
            raise SchemaMismatch(
                f"the members of column {self.names[column]} are not known (it is {declared and declared.type})",
                hint="set binlog_row_metadata=FULL on the source").at(table=".".join(self.source))
        if self.description.columns[column].type == cell.SET:
            return self._characters(column, self._comma(column).join(
                [member for i, member in enumerate(members) if number >> i & 1]))
        return self._characters(column, members[number - 1] if 0 < number <= len(members) else b"")

    def _comma(self, int column):
        return charset.named(self.charsets[column]).write(",")

    def changes(self, int kind, const uint8_t[::1] body):
        """Return a rows event's changes as (before, after) pairs of value tuples; a side that it lacks is None.

        ``kind`` and ``body`` are as in ``Transaction.events``. For messages, tools and tests: values that the
        images do not carry read as None. Raises MalformedEvent.
        """
        cdef const uint8_t* at = &body[0] if body.shape[0] else NULL
        cdef const uint8_t* end = at + body.shape[0]
        cdef int images = 2 if kind == UPDATE else 1
        cdef int head = 1 if self.count < 251 else 3
        cdef Image image
        cdef int i
        cdef list found = []
        if end - at < head + images * self.present_bytes:
            raise self._overrun()
        cdef const uint8_t* present = at + head
        at = present + images * self.present_bytes
        while at < end:
            sides = [None, None]
            for i in range(images):
                image = Image(at, present + i * self.present_bytes)
                sides[i if kind != INSERT else 1] = self.values(image, end)
                at = self.locate(image, end, self.offsets_before)
                if at == image.start:
                    raise self._overrun()  # An image of no columns: there could be any number of them.
            found.append(tuple(sides))
        return found

    cdef tuple values(self, Image image, const uint8_t* end):
        cdef uint32_t* offsets = <uint32_t*>malloc(max(1, self.count) * sizeof(uint32_t))
        try:
            self.locate(image, end, offsets)
            return tuple([self.value(i, image.start, offsets[i]) for i in range(self.count)])
        finally:
            free(offsets)


cdef uint8_t[256] _POPCOUNT
for _i in range(256):
    _POPCOUNT[_i] = bin(_i).count("1")


@cython.final
cdef class RowSet:
    """Changes of one kind to one table, as references into their transactions' bytes.

    Whoever holds it must hold the transactions. ``is_net`` says that the changes are net: no two touch one
    row, and their order does not matter.
    """

    def __cinit__(self, Plan plan, uint8_t kind, bint is_net, bint foreign_keys_off=False):
        self.plan = plan
        self.foreign_keys_off = foreign_keys_off
        self.kind = kind
        self.is_net = is_net
        self.count = self.capacity = 0
        self.starts = self.bitmaps = NULL

    def __dealloc__(self):
        free(self.starts)
        free(self.bitmaps)

    def __len__(self):
        return self.count

    cdef int add(self, Image before, Image after) except -1:
        cdef const uint8_t* whole = self.plan.every_column
        if self.count == self.capacity:
            self._grow()
        if self.bitmaps == NULL and ((before.start != NULL and before.present != whole)
                                     or (after.start != NULL and after.present != whole)):
            self._keep_bitmaps()
        self.starts[2 * self.count] = before.start
        self.starts[2 * self.count + 1] = after.start
        if self.bitmaps != NULL:
            self.bitmaps[2 * self.count] = before.present
            self.bitmaps[2 * self.count + 1] = after.present
        self.count += 1
        return 0

    cdef Change change(self, size_t at) noexcept:
        """Return a change; of an image that it does not have, the start is NULL."""
        cdef const uint8_t* whole = self.plan.every_column
        cdef const uint8_t** starts = self.starts + 2 * at
        if self.bitmaps == NULL:
            return Change(Image(starts[0], whole), Image(starts[1], whole))
        return Change(Image(starts[0], self.bitmaps[2 * at]), Image(starts[1], self.bitmaps[2 * at + 1]))

    cdef int _grow(self) except -1:
        cdef size_t capacity = max(<size_t>8, self.capacity * 2)
        cdef void* grown = realloc(self.starts, capacity * 2 * sizeof(void*))
        if grown == NULL:
            raise MemoryError("no memory for a batch's rows")
        self.starts = <const uint8_t**>grown
        if self.bitmaps != NULL:
            grown = realloc(self.bitmaps, capacity * 2 * sizeof(void*))
            if grown == NULL:
                raise MemoryError("no memory for a batch's rows")
            self.bitmaps = <const uint8_t**>grown
        self.capacity = capacity
        return 0

    cdef int _keep_bitmaps(self) except -1:
        cdef size_t i
        self.bitmaps = <const uint8_t**>malloc(self.capacity * 2 * sizeof(void*))
        if self.bitmaps == NULL:
            raise MemoryError("no memory for a batch's rows")
        for i in range(2 * self.count):
            self.bitmaps[i] = self.plan.every_column
        return 0
