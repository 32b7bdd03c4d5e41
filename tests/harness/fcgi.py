"""A front end that speaks FastCGI (FastCGI Specification 1.0)."""

import socket
import struct

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR = 1, 2, 3, 4, 5, 6, 7
GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = 9, 10, 11
KEEP_CONNECTION = 1


def record(kind, content=b"", request=1):
    """One record; longer content must be cut by the caller."""
    padding = -len(content) % 8
    return struct.pack("!BBHHBx", 1, kind, request, len(content),
                       padding) + content + b"\0" * padding


def stream(kind, content, request=1, piece=65528):
    """A stream of records with the empty one that ends it."""
    records = [record(kind, content[i:i + piece], request)
               for i in range(0, len(content), piece)]
    return b"".join(records) + record(kind, b"", request)


def pair(name, value):
    def length(text):
        size = len(text)
        return bytes([size]) if size < 128 else struct.pack("!I",
                                                            size | 1 << 31)
    if isinstance(name, str):
        name = name.encode()
    if isinstance(value, str):
        value = value.encode()
    return length(name) + length(value) + name + value


def begin(keep=False, request=1, role=1):
    return record(BEGIN, struct.pack("!HB5x", role,
                                     KEEP_CONNECTION if keep else 0), request)


class Answer:
    def __init__(self, raw, errors=b""):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        self.headers = {}
        for line in head.decode("latin-1").splitlines():
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        self.status = int(self.headers.get("status", "0").split(" ")[0])
        self.errors = errors


class Connection:
    def __init__(self, address, timeout=30):
        family = socket.AF_UNIX if isinstance(address, str) else (
            socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.socket = socket.socket(family)
        self.socket.settimeout(timeout)
        self.socket.connect(address)

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise ConnectionError(f"closed after {len(data)} bytes")
            data += more
        return data

    def read_record(self):
        _, kind, request, length, padding = struct.unpack(
            "!BBHHBx", self.receive(8))
        return kind, request, self.receive(length + padding)[:length]

    def read_answer(self):
        """Read until the request ends."""
        output, errors = bytearray(), bytearray()
        while True:
            kind, _, content = self.read_record()
            if kind == STDOUT:
                output += content
            elif kind == STDERR:
                errors += content
            elif kind == END:
                return Answer(bytes(output), bytes(errors))

    def closed(self):
        """Whether the peer has closed the connection (waits for it)."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def request(self, params, body=b"", keep=False, piece=65528):
        self.send(begin(keep) + stream(PARAMS, b"".join(
            pair(*item) for item in params.items())) +
            stream(STDIN, body, piece=piece))
        return self.read_answer()


def params(body=b"", **changes):
    """The meta-variables of a POST; None leaves one out.

    A page is read anew, and not what is kept of an earlier one.
    """
    values = {
        "REQUEST_METHOD": "POST",
        "REQUEST_URI": "/api/client/metrics/bulk",
        "SCRIPT_NAME": "/api/client/metrics/bulk",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_CACHE_CONTROL": "no-cache",
    }
    values.update(changes)
    return {name: value for name, value in values.items()
            if value is not None}


def post(address, body, **changes):
    """One request on a connection of its own."""
    connection = Connection(address)
    try:
        return connection.request(params(body, **changes), body)
    finally:
        connection.close()
