# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Read events out of packets of the replication stream; what they say is put together by the assembler.

A packet is a status byte (0 event, 0xFF error, 0xFE end) and one event: a header of 19 bytes, a body, and a CRC32 when
the format description says so (MariaDB Knowledge Base, "2-Binlog-Event-Header").
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from cdcd.binlog.assembler cimport Assembler
from cdcd.binlog.checksum cimport crc32
from cdcd.binlog.events cimport *
from cdcd.binlog.framing cimport Framing

from cdcd.binlog import query as query_event
from cdcd.binlog import refusal, table_map
from cdcd.errors import BinlogError, MalformedEvent, ServerError, SourceLost, SourceRewound, UnsupportedEvent
from cdcd.model.position import UNKNOWN, Gtid, Position
from cdcd.model.query import UNREADABLE

cdef enum:
    HEADER = 19
    DONE_BYTES = 4 * 1024 * 1024    # of rows, more than a chunk has unless they are compressed

# They change nothing by themselves: the statement that follows them decides.
_BEFORE_STATEMENT = frozenset(
    {EVENT_INTVAR, EVENT_RAND, EVENT_USER_VAR, EVENT_BEGIN_LOAD, EVENT_APPEND_BLOCK, EVENT_DELETE_FILE})

_new_tuple = tuple.__new__      # A Gtid's own is a function of Python's.


cdef inline uint32_t _u32(const uint8_t* p) noexcept nogil:
    cdef uint32_t value
    memcpy(&value, p, 4)
    return value


cdef inline uint64_t _u64(const uint8_t* p) noexcept nogil:
    cdef uint64_t value
    memcpy(&value, p, 8)
    return value


cdef class Decoder(Framing):
    """Bytes in, transactions out; one decoder for each connection to the source.

    ``relay_except`` is None for a link that carries only what was born at its source: transactions that
    begin with the marker are passed over by length. A relaying link carries other origins' transactions, but
    for the names in it: its target's, and its source's own, which have come back there.
    ``applied``: transactions to pass over, whatever is in them: applied already, or skipped by an operator. Each is
    handed on without rows, with its statement if it has one.
    ``transaction_bytes_max``: a transaction past this is handed on in parts.
    ``server``: the source's identity, and ``at`` the coordinates of ``position``, where they are known.
    ``target_id``: the server_id of the link's target. What it has executed itself came here by other replication.
    """

    cdef readonly object position           # after the last transaction that was read whole
    cdef readonly long long bytes_read
    cdef readonly object failure            # raised by the next feed; what came before it is still handed on
    cdef readonly str file
    cdef readonly object at                 # the coordinates of ``position``
    cdef Assembler _assembler
    cdef tuple _log                         # the server, the file, and when it was begun
    cdef uint64_t _offset                   # after the event in hand, as its header says it: modulo 4 GiB
    cdef uint64_t _committed                # after the last transaction in the file
    cdef bint _wrapped                      # the file has grown past 4 GiB
    cdef object _applied
    cdef bint _checksum, _has_applied
    cdef bint _passing                      # the open transaction is applied already
    cdef bint _standalone                   # the open transaction is one statement, which ends it
    cdef bint _begun                        # a transaction has begun on this connection
    cdef long long _target_id
    cdef dict _latest                       # domain -> the last transaction that ended, but for the assembler's last
    cdef uint32_t _domain                   # of the transaction that began last
    cdef uint64_t _sequence                 # its number in its domain; 0 where none has begun

    def __cinit__(self, position, *, relay_except=None, applied=frozenset(), size_t transaction_bytes_max=64 << 20,
                  str server="", at=UNKNOWN, long long target_id=-1, passed=None):
        self.position = position
        self._assembler = Assembler(relay_except, transaction_bytes_max)
        if passed is not None:
            self._assembler.passed = passed
        self._applied = applied
        self._has_applied = bool(applied)
        self._checksum = False
        self.file = ""
        self.at = at
        self._log = (server, "", 0)
        self._target_id = target_id
        self._latest = {gtid.domain: gtid for gtid in position}

    @property
    def suppressed(self):
        """Transactions that a link wrote, and that were passed over."""
        return self._assembler.suppressed

    @property
    def suppressed_outside(self):
        """Of these, what changed a table outside database cdcd."""
        return self._assembler.suppressed_outside

    @property
    def passed(self):
        """Transactions that a link wrote, by stream the last since one was handed on: for a decoder that goes on."""
        return self._assembler.passed

    @property
    def open_parts(self):
        """Whether parts of an unfinished transaction have been handed on."""
        return self._assembler.open_parts

    @property
    def bytes_behind(self):
        """What was fed and is left to read, since so much else was in it; 0 once all is read that can be."""
        return self._length if self._rests else 0

    @property
    def transaction_bytes_max(self):
        """A transaction past this is handed on in parts."""
        return self._assembler.transaction_bytes_max

    @transaction_bytes_max.setter
    def transaction_bytes_max(self, size_t size):
        self._assembler.transaction_bytes_max = size

    def feed(self, const uint8_t[::1] chunk, double received=0):
        """Take a chunk from the socket; return the transactions that are complete now, in order.

        ``received`` is noted on them: the moment when the chunk came, by any clock. Compressed events may hold a
        thousand times their bytes, so past DONE_BYTES of rows, and the transaction that they end in, the rest of
        the chunk is kept (``bytes_behind``): an empty chunk goes on with it.
        """
        self._assembler.received = received
        if self.failure is not None:
            raise self.failure
        cdef size_t size = chunk.shape[0]
        if size:
            self.append(&chunk[0], size)
            self.bytes_read += size
        try:
            self.consume()
        except (BinlogError, SourceLost, ServerError) as error:
            self.failure = error
            if isinstance(error, (MalformedEvent, UnsupportedEvent)):
                self._locate(error)
        if self._assembler.last is not None:
            self._fold_last()
            self.position = Position(self._latest.values())
            self.at = self._assembler.last.coordinates
        return self._assembler.take()

    def _locate(self, error):
        """Say in an error where in the log it is."""
        if self._assembler.open is not None:
            error.at(transaction=self._assembler.open.gtid)
        if self.file:
            error.at(file=self.file)

    cdef int packet(self, const uint8_t* payload, size_t length) except -1:
        if length == 0:
            raise MalformedEvent("an empty packet in the replication stream")
        if payload[0] == 0xFF:
            raise refusal.server_error(payload[:length]).at(position=self.position)
        if payload[0] == 0xFE and length < 9:
            raise SourceLost("the source ended the stream")
        if payload[0] != 0:
            raise MalformedEvent(f"a packet that begins with {payload[0]:#x} in the replication stream")
        self._event(payload + 1, length - 1)
        self._rests = self._assembler.done_size >= DONE_BYTES
        return 0

    cdef int _event(self, const uint8_t* event, size_t length) except -1:
        if length < HEADER:
            raise MalformedEvent(f"an event of {length} bytes, shorter than its header")
        cdef uint8_t kind = event[4]
        cdef size_t body = length - HEADER
        if _u32(event + 9) != length:
            raise MalformedEvent(f"an event of {length} bytes says that it has {_u32(event + 9)}")
        if kind == EVENT_FORMAT:
            self._format(event, length)
            return 0
        if kind == EVENT_ROTATE:
            return self._rotate(event, length)
        if self._checksum:
            if body < 4:
                raise MalformedEvent("an event too short for its checksum")
            body -= 4
        self._offset = _u32(event + 13)
        if self._passing and kind != EVENT_INCIDENT:
            return self._pass(event, body, kind)
        if self._assembler.skipping and EVENT_TABLE_MAP <= kind <= EVENT_DELETE_V1:
            return self._assembler.pass_table(event + HEADER, body) if kind == EVENT_TABLE_MAP else 0
        if self._checksum and crc32(event, length - 4) != _u32(event + length - 4):
            raise MalformedEvent("an event fails its CRC32").at(file=self.file, after=self.position)
        event += HEADER
        if kind == EVENT_TABLE_MAP:
            return self._assembler.table(event, body)
        if EVENT_WRITE_V1 <= kind <= EVENT_DELETE_V1:
            return self._rows(event, body, kind - EVENT_WRITE_V1)
        if kind == EVENT_GTID:
            return self._begin(event, body, _u32(event - HEADER), _u32(event - HEADER + 5))
        if kind == EVENT_XID:
            return self._commit()
        if EVENT_WRITE_COMPRESSED <= kind <= EVENT_DELETE_COMPRESSED:
            return self._compressed_rows(event, body, kind - EVENT_WRITE_COMPRESSED)
        if kind == EVENT_QUERY or kind == EVENT_QUERY_COMPRESSED:
            return self._query(event[:body], kind == EVENT_QUERY_COMPRESSED, event[-2])
        if kind in (EVENT_ANNOTATE, EVENT_CHECKPOINT, EVENT_GTID_LIST, EVENT_HEARTBEAT, EVENT_STOP,
                    EVENT_START_ENCRYPTION):
            return 0
        if self._assembler.open is not None and kind in _BEFORE_STATEMENT:
            return 0
        if self._assembler.open is not None and kind == EVENT_EXECUTE_LOAD:
            return self._statement(query_event.load(event[:body]))
        raise refusal.unsupported(kind).at(file=self.file, after=self.position)

    cdef int _pass(self, const uint8_t* event, size_t body, uint8_t kind) except -1:
        """Of a transaction to pass over, only its end matters, and that a statement may change tables."""
        if self._checksum and crc32(event, HEADER + body) != _u32(event + HEADER + body):
            self._offset = 0        # unknown
        if kind == EVENT_GTID:
            self._offset = 0        # Its own end could not be read.
            self._commit()
            return self._begin(event + HEADER, body, _u32(event), _u32(event + 5))
        if kind == EVENT_XID or kind == EVENT_XA_PREPARE:
            return self._commit()
        if kind == EVENT_QUERY or kind == EVENT_QUERY_COMPRESSED:
            try:
                found = query_event.parse(event[HEADER:HEADER + body], kind == EVENT_QUERY_COMPRESSED,
                                          not self._standalone)
            except MalformedEvent:
                found = UNREADABLE
            verb = query_event.control(found.statement)
            if verb is None:
                self._assembler.pass_statement(found)
            if self._standalone or verb in ("commit", "rollback"):
                return self._commit()
        return 0

    cdef int _rotate(self, const uint8_t* event, size_t length) except -1:
        """Note the file's name. The first ROTATE of a stream comes before the format says if it has a CRC32."""
        if length >= HEADER + 12 and crc32(event, length - 4) == _u32(event + length - 4):
            length -= 4
        elif self._checksum or length < HEADER + 8:
            raise MalformedEvent("a ROTATE event that is too short, or fails its CRC32").at(after=self.position)
        self.file = event[HEADER + 8:length].decode("utf-8", "replace")
        self._log = (self._log[0], self.file, 0)
        self._committed = 0
        self._wrapped = False
        return 0

    cdef int _format(self, const uint8_t* event, size_t length) except -1:
        """Read the format description: its version, and whether events carry a CRC32.

        A format description with a creation time is the first of a server's run. A transaction still open
        there was cut off by a crash and never committed.
        """
        if length < HEADER + 57 + 5:
            raise MalformedEvent("a format description that is too short")
        cdef uint16_t version
        memcpy(&version, event + HEADER, 2)
        if version != 4:
            raise UnsupportedEvent(f"binary log format version {version}; cdcd reads version 4")
        cdef uint8_t algorithm = event[length - 5]
        if algorithm > 1:
            raise UnsupportedEvent(f"binary log checksum algorithm {algorithm}; cdcd knows NONE and CRC32")
        self._checksum = algorithm == 1
        if self._checksum and crc32(event, length - 4) != _u32(event + length - 4):
            raise MalformedEvent("the format description fails its CRC32")
        self._begin_file(_u32(event))
        if _u32(event + HEADER + 52):
            self._assembler.drop()
            self._passing = False
        return 0

    cdef int _begin_file(self, uint32_t began) except -1:
        """Note when the file was begun; the file in which the position lies must be the same as then."""
        self._log = (self._log[0], self.file, began)
        if self.at.began and self.at[:2] == self._log[:2] and self.at.began != began:
            raise SourceRewound(
                f"the source's log is not the one that the position is from: {self.file} was begun at {began}, and"
                f" was at {self.at.began} then"
            ).at(position=self.position)
        return 0

    cdef int _begin(self, const uint8_t* body, size_t length, uint32_t timestamp, uint32_t server) except -1:
        if length < 13:
            raise MalformedEvent("a GTID event that is too short")
        cdef uint32_t domain = _u32(body + 8)
        cdef uint64_t sequence = _u64(body)
        gtid = _new_tuple(Gtid, (domain, server, sequence))
        if not self._sequence or domain != self._domain or sequence <= self._sequence:
            self._check_order(gtid)
        self._domain = domain
        self._sequence = sequence
        self._assembler.begin(gtid, timestamp, server == self._target_id)
        self._standalone = body[12] & GTID_STANDALONE
        self._passing = self._has_applied and gtid in self._applied
        cdef size_t extra = 21 if body[12] & GTID_GROUP_COMMIT else 13
        cdef uint8_t more = body[extra] if length > extra else 0
        if not self._passing and (body[12] & GTID_XA or more & GTID_EXTRA_ALTER):
            raise refusal.two_phases(body[12] & GTID_XA).at(file=self.file)
        return 0

    cdef int _check_order(self, gtid) except -1:
        """See that a transaction comes after the position: by its number, and the first by its place in the log too.

        Who follows one of its own domain with a higher number does so: most never come here.

        A server that is asked for what follows a GTID begins after the first that it finds, and its log may hold it
        twice.
        """
        self._fold_last()
        latest = self._latest.get(gtid.domain)
        is_first = not self._begun
        self._begun = True
        if latest is None:
            return 0    # Of a domain that the position leaves out, the source sends all that its log holds.
        if gtid.sequence <= latest.sequence:
            raise refusal.out_of_order(gtid, latest).at(file=self.file, offset=self._offset)
        if is_first:
            refusal.check_place(self._log[0], self.file, self._offset, self.at)
        return 0

    cdef int _fold_last(self) except -1:
        if self._assembler.last is not None:
            self._latest[self._assembler.last.gtid.domain] = self._assembler.last.gtid
        return 0

    cdef int _rows(self, const uint8_t* body, size_t length, uint8_t kind) except -1:
        if length < 9:
            raise MalformedEvent("a rows event that is too short")
        return self._assembler.rows(_u64(body), body[6], body + 8, length - 8, kind)

    cdef int _compressed_rows(self, const uint8_t* body, size_t length, uint8_t kind) except -1:
        if self._assembler.skipping:
            return 0
        plain = table_map.decompress_rows(body[:length], kind)
        return self._rows(<const uint8_t*><const char*>plain, len(plain), kind)

    cdef int _query(self, bytes body, bint compressed, uint8_t flags) except -1:
        found = query_event.parse(body, compressed, not self._standalone, flags)
        if self._assembler.open is None:
            raise UnsupportedEvent("a statement outside a transaction", hint=refusal.NO_GTIDS).at(
                file=self.file, after=self.position)
        verb = query_event.control(found.statement)
        if verb == "commit":
            return self._commit()
        if verb == "begin" and not self._standalone:
            return 0
        if verb == "savepoint":
            self._assembler.open.set_savepoint(query_event.savepoint_name(found.statement))
            return 0
        if verb == "release savepoint":
            return 0
        if verb == "rollback":
            self._assembler.open.undo()
            return self._commit()
        if verb == "rollback to" and self._assembler.open.undo_to(query_event.savepoint_name(found.statement)):
            return 0
        return self._statement(found)

    cdef int _statement(self, found) except -1:
        if query_event.control(found.statement) is not None:
            self._assembler.open.note(found)
        elif self._assembler.statement(found) and self._standalone:
            return self._commit()
        return 0

    cdef int _commit(self) except -1:
        self._wrapped |= self._offset <= self._committed
        self._committed = self._offset
        self._passing = False
        return self._assembler.end(self._log, 0 if self._wrapped else self._offset)
