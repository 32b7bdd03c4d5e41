"""A client of Redis (RESP version 2), with nothing but what the tests need."""

import re
import socket

# A user lacks a right: an error of a command, of one in a script up to Redis 7.2,
# and of one in a script since then and of Valkey.
NO_RIGHT = re.compile("NOPERM|user executing the script|ACL failure in script")


class RedisError(Exception):
    pass


class Client:
    def __init__(self, path, password=None, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.stream = self.socket.makefile("rb")
        if password is not None:
            self("AUTH", password)

    def close(self):
        self.stream.close()
        self.socket.close()

    def __call__(self, *words):
        """Send one command; return its reply, strings as bytes."""
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            if not isinstance(word, bytes):
                word = str(word).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.socket.sendall(b"".join(parts))
        reply = self._read()
        if isinstance(reply, RedisError):
            raise reply
        return reply

    def _read(self):
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            return RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            size = int(rest)
            if size < 0:
                return None
            text = self.stream.read(size + 2)
            if len(text) < size + 2:
                raise ConnectionError("Redis closed the connection")
            return text[:-2]
        count = int(rest)
        return None if count < 0 else [self._read() for _ in range(count)]

    def everything(self):
        """All keys with their values: hashes as dict, sets, zsets, strings."""
        return {key: self.value(key) for key in self("KEYS", "*")}

    def value(self, key):
        kind = self("TYPE", key)
        if kind == b"hash":
            return pairs(self("HGETALL", key))
        if kind == b"zset":
            return {member: float(score) for member, score in
                    pairs(self("ZRANGE", key, 0, -1, "WITHSCORES")).items()}
        if kind == b"set":
            return set(self("SMEMBERS", key))
        if kind == b"string":
            return self("GET", key)
        return kind


def pairs(flat):
    return dict(zip(flat[::2], flat[1::2]))
