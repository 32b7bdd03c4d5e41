"""A client of HTTP/1.1 that can also misbehave, and a server behind others."""

import http.server
import json
import select
import socket
import threading


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.kind = headers.get("content-type")

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def __repr__(self):
        return f"{self.status} {self.kind} {self.body[:300]!r}"


class Connection:
    """One connection, on which everything is said byte by byte."""

    def __init__(self, port, host="127.0.0.1", timeout=30):
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stream.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def push(self, data):
        """Send until the peer takes no more; return whether it took all.

        A peer that answers early and closes is not to be blamed.
        """
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def push_or_hear(self, data):
        """Likewise, but stop when the peer answers before it has all."""
        view = memoryview(data)
        while view:
            heard, free, _ = select.select([self.socket], [self.socket], [],
                                           self.socket.gettimeout())
            if heard or not free:
                return False
            try:
                view = view[self.socket.send(view[:65536],
                                             socket.MSG_DONTWAIT):]
            except BlockingIOError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                return False
        return True

    def line(self):
        line = self.stream.readline(65537)
        if not line.endswith(b"\n"):
            raise ConnectionError(f"closed after {line!r}")
        return line.rstrip(b"\r\n")

    def head(self):
        """Read the head of an answer: the status, and the headers."""
        version, status = self.line().split(b" ")[:2]
        if not version.startswith(b"HTTP/1."):
            raise ConnectionError(f"not HTTP: {version!r}")
        headers = {}
        while line := self.line():
            name, _, value = line.decode("latin-1").partition(":")
            name = name.strip().lower()
            value = value.strip()
            headers[name] = (f"{headers[name]}, {value}"
                             if name in headers else value)
        return int(status), headers

    def exactly(self, size):
        data = self.stream.read(size)
        if len(data) < size:
            raise ConnectionError(f"closed after {len(data)} of {size} bytes")
        return data

    def chunks(self):
        content = b""
        while size := int(self.line().split(b";")[0], 16):
            content += self.exactly(size)
            self.exactly(2)
        while self.line():
            pass
        return content

    def reply(self, method="POST"):
        """Read one answer whole; what comes before the last is skipped."""
        status, headers = self.head()
        while 100 <= status < 200:
            status, headers = self.head()
        if method == "HEAD" or status in (204, 304):
            body = b""
        elif "chunked" in headers.get("transfer-encoding", ""):
            body = self.chunks()
        elif "content-length" in headers:
            body = self.exactly(int(headers["content-length"]))
        else:
            body = self.stream.read()
        return Reply(status, headers, body)

    def ended(self):
        """Whether the peer has closed the connection (waits for it)."""
        try:
            return self.stream.read(1) == b""
        except ConnectionError:
            return True


def head(method, target, headers):
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunked(body, size=5000):
    """A body in chunks (RFC 9112, section 7.1)."""
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece)
                    for piece in pieces) + b"0\r\n\r\n"


class Standin:
    """What stands where Unleash or Edge would, and remembers what it got."""

    def __init__(self, status=200):
        self.seen = []
        self.status = status
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # An answer leaves whole.
            wbufsize = -1

            def log_message(self, *_):
                pass

            def handle_one(self):
                outer.answer(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_OPTIONS = handle_one
            do_DELETE = do_PATCH = handle_one

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 256
            daemon_threads = True

            def handle_error(self, *_):
                """Clients that go away are part of the tests."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True,
                         kwargs={"poll_interval": 0.05}).start()

    def answer(self, handler):
        body = self.read(handler)
        headers = {name.lower(): value
                   for name, value in handler.headers.items()}
        self.seen.append((handler.command, handler.path, headers, body))
        content = json.dumps({"standin": handler.path,
                              "length": len(body)}).encode()
        handler.send_response(self.status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(content)

    def read(self, handler):
        if "chunked" in handler.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(handler.rfile.readline(), 16):
                body += handler.rfile.read(size)
                handler.rfile.readline()
            handler.rfile.readline()
            return body
        return handler.rfile.read(int(handler.headers.get("Content-Length")
                                      or 0))

    def end(self):
        self.server.shutdown()
        self.server.server_close()
