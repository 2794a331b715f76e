# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Walk row images: find a column's bytes, read its value, hash keys as a target compares them.

An image is a bitmap of NULLs over the columns that the event carries, then their values, packed
(MariaDB Knowledge Base, "Rows_event_v1v2"; ``Field::pack`` in ``sql/field.cc``). A value becomes a Python
object only for a row filter, a conflict or a message.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp

from cdcd.row.key cimport (
    FOLD_EXACT, FOLD_ASCII, FOLD_FLOAT, FOLD_NEVER, UniqueKey, hash_bytes, hash_float, hash_text,
)
from cdcd.row.values cimport (
    Out, big_endian, decimal_size, little_endian, render_date, render_datetime, render_decimal, render_double,
    render_int, render_time, render_timestamp,
)

from decimal import Decimal
from uuid import UUID

from cdcd.row import compression
from cdcd.row import cell
from cdcd.errors import MalformedEvent, SchemaMismatch, UnsupportedEvent
from cdcd.model import change as kinds
from cdcd.row import charset

_STORAGES = {
    cell.TINY: AS_INT, cell.SHORT: AS_INT, cell.INT24: AS_INT, cell.LONG: AS_INT, cell.LONGLONG: AS_INT,
    cell.FLOAT: AS_FLOAT, cell.DOUBLE: AS_DOUBLE, cell.NEWDECIMAL: AS_DECIMAL, cell.YEAR: AS_YEAR, cell.DATE: AS_DATE,
    cell.NEWDATE: AS_DATE, cell.TIME2: AS_TIME, cell.DATETIME2: AS_DATETIME, cell.TIMESTAMP2: AS_TIMESTAMP,
    cell.BIT: AS_BIT, cell.ENUM: AS_ENUM, cell.SET: AS_SET, cell.GEOMETRY: AS_BINARY,
    cell.BLOB_COMPRESSED: AS_COMPRESSED, cell.VARCHAR_COMPRESSED: AS_COMPRESSED, cell.TEXT_CELL: AS_TEXT_CELL,
}
_INT_BYTES = {cell.TINY: 1, cell.SHORT: 2, cell.INT24: 3, cell.LONG: 4, cell.LONGLONG: 8}

cdef uint8_t[256] _POPCOUNT
for _i in range(256):
    _POPCOUNT[_i] = bin(_i).count("1")

assert (INSERT, UPDATE, DELETE) == (kinds.INSERT, kinds.UPDATE, kinds.DELETE), "constants that differ"


cdef class Layout:
    """How the row images of one table are stored, as one TABLE_MAP describes it: where each value is, and what it is.

    It knows no target, so whoever has the description can share it. ``description`` has column names, and every
    number's sign. ``charsets`` names the charset of each column's text or members: "binary" of bytes, "" of what is
    neither or is not known. ``declared`` holds each column's declared type where it is known, else "": what
    servers print as text, and log as bytes, is not told by the event. Raises UnsupportedEvent for a type without
    a storage here. It is for one thread: walking an image fills offsets that belong to it.
    """

    def __cinit__(self, description, charsets, declared):
        self.description = description
        self.source = description.name
        self.names = description.column_names
        self.charsets = list(charsets)
        self.declared = list(declared)
        self.count = len(description.columns)
        self.present_bytes = (self.count + 7) // 8
        self.every_column = <uint8_t*>calloc(max(1, self.present_bytes), 1)
        self.sizes = <uint32_t*>calloc(max(1, self.count), sizeof(uint32_t))
        self.prefixes = <uint8_t*>calloc(max(1, self.count), 1)
        self.storages = <uint8_t*>calloc(max(1, self.count), 1)
        self.flags = <uint8_t*>calloc(max(1, self.count), 1)
        self.details = <uint16_t*>calloc(max(1, self.count), sizeof(uint16_t))
        self.offsets_before = <uint32_t*>calloc(max(1, self.count), sizeof(uint32_t))
        self.offsets_after = <uint32_t*>calloc(max(1, self.count), sizeof(uint32_t))
        for i in range(self.count):
            self.every_column[i >> 3] |= 1 << (i & 7)
            self._column(i, description.columns[i])

    def __dealloc__(self):
        free(self.every_column)
        free(self.sizes)
        free(self.prefixes)
        free(self.storages)
        free(self.flags)
        free(self.details)
        free(self.offsets_before)
        free(self.offsets_after)

    def _column(self, int i, column):
        kind, metadata = column.type, column.metadata
        self.details[i] = metadata & 0xFFFF
        self.flags[i] = F_UNSIGNED if column.unsigned else 0
        self.storages[i] = _STORAGES.get(kind, 0) or self._text_storage(i, kind)
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
        elif kind == cell.TEXT_CELL:
            self.prefixes[i] = 4
            self.has_text_cells = True
        else:
            raise UnsupportedEvent(
                f"column {i + 1} of {self.source[0]}.{self.source[1]} is stored as type {kind}",
                hint="a column in the format of before MySQL 5.6 is rewritten by ALTER TABLE ... FORCE")
        if kind == cell.STRING and (self.charsets[i] == "binary" or self.declared[i] in cell.PRINTED):
            self.flags[i] |= F_PADDED

    def _text_storage(self, int i, kind):
        if kind == cell.STRING and self.declared[i] in cell.PRINTED:
            return AS_UUID if self.declared[i] == "uuid" else AS_BINARY
        return AS_BINARY if self.charsets[i] in ("", "binary") else AS_TEXT

    def __reduce__(self):
        raise TypeError("a layout belongs to one process")

    cdef bint is_full(self, const uint8_t* present) noexcept:
        return memcmp(present, self.every_column, self.present_bytes) == 0

    cdef const uint8_t* locate(self, Image image, const uint8_t* end, uint32_t* offsets) except NULL:
        """Fill ``offsets`` (from the image's start) and return where the image ends."""
        cdef const uint8_t* start = image.start
        cdef const uint8_t* present = image.present
        cdef int i, seen = 0, carried = 0
        cdef size_t at, length, limit = end - start
        if present == self.every_column:
            return self._locate_all(start, limit, offsets)
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

    cdef const uint8_t* _locate_all(self, const uint8_t* start, size_t limit, uint32_t* offsets) except NULL:
        """Locate the columns of an image that carries them all: nearly every one does."""
        cdef const uint8_t* prefixes = self.prefixes
        cdef const uint32_t* sizes = self.sizes
        cdef int i, count = self.count
        cdef size_t at = self.present_bytes, length
        if at > limit:
            raise self._overrun()
        for i in range(count):
            if start[i >> 3] >> (i & 7) & 1:
                offsets[i] = NULL_VALUE
                continue
            offsets[i] = at
            length = prefixes[i]
            if length == 0:
                length = sizes[i]
            elif at + length > limit:
                raise self._overrun()
            elif length == 1:
                length = 1 + start[at]
            else:
                length += little_endian(start + at, length)
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

    cdef int put_plain(self, Out out, int column, const uint8_t* p, size_t length) except -1:
        """Write a number, a date or a time as SQL reads it; an ENUM or a SET as its number."""
        cdef uint8_t kind = self.storages[column]
        cdef uint16_t detail = self.details[column]
        if kind == AS_INT:
            return render_int(out, p, length, self.flags[column] & F_UNSIGNED)
        if kind == AS_DECIMAL:
            return render_decimal(out, p, detail >> 8, detail & 0xFF)
        if kind == AS_DATETIME:
            return render_datetime(out, p, detail)
        if kind == AS_TIMESTAMP:
            return render_timestamp(out, p, detail)
        if kind == AS_SET:
            # Servers compare a SET of 64 members as a signed number.
            return render_int(out, p, length, length < 8)
        if kind == AS_ENUM:
            return out.put_number(little_endian(p, length))
        if kind == AS_BIT:
            return out.put_number(big_endian(p, length))
        if kind == AS_YEAR:
            return out.put_number(1900 + p[0] if p[0] else 0)
        if kind == AS_DATE:
            return render_date(out, p)
        if kind == AS_TIME:
            return render_time(out, p, detail)
        return render_double(out, p, kind == AS_FLOAT)

    cdef object value(self, int column, const uint8_t* start, uint32_t offset):
        """Return one value as a Python object, temporal types and labels as text; text that is not certain as bytes."""
        if offset == NULL_VALUE or offset == ABSENT:
            return None
        cdef const uint8_t* p
        cdef size_t length = self.value_at(column, start, offset, &p)
        cdef uint8_t kind = self.storages[column]
        if kind == AS_TEXT or kind == AS_BINARY or kind == AS_TEXT_CELL:
            padded = self.details[column] if self.flags[column] & F_PADDED else 0
            return self._characters(column, p[:length].ljust(padded, b"\0"))
        if kind == AS_UUID:
            # Tables store the segments reversed, but the log has the bytes in the order of the text.
            return str(UUID(bytes=p[:length].ljust(16, b"\0")[:16]))
        if kind == AS_COMPRESSED:
            return self._characters(column, compression.value(p[:length]))
        if kind == AS_SET or kind == AS_ENUM:
            return self._label(column, little_endian(p, length))
        out = Out()
        self.put_plain(out, column, p, length)
        text = out.take().decode("ascii")
        if kind in (AS_INT, AS_BIT, AS_YEAR):
            return int(text)
        if kind == AS_DECIMAL:
            return Decimal(text)
        if kind in (AS_FLOAT, AS_DOUBLE):
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
            raise SchemaMismatch(
                f"the members of column {self.names[column]} are not known (it is {self.declared[column] or None})",
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
