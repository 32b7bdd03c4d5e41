"""A proxy before Redis that breaks off where it is told to."""

import os
import select
import socket
import threading
import time


def reply_length(data, at=0):
    """Where the reply of Redis ends that begins there, or None."""
    end = data.find(b"\r\n", at)
    if end < 0:
        return None
    kind, text, end = data[at:at + 1], data[at + 1:end], end + 2
    if kind == b"$" and int(text) >= 0:
        end += int(text) + 2
        return end if end <= len(data) else None
    for _ in range(int(text) if kind == b"*" else 0):
        end = reply_length(data, end)
        if end is None:
            return None
    return end


class Proxy:
    """Passes bytes between Unix sockets until one of its limits is reached.

    cut(up=N) closes the connection after N bytes to the server from now on,
    and cut(down=N) after N bytes of its replies; each works once.  With
    stay=True no connection is served afterwards until mend() is called.
    """

    def __init__(self, place, target, name="proxy"):
        self.path = place.file(name + ".sock")
        self.target = target
        self.limits = {}
        self.passed = {"up": 0, "down": 0}
        self.stay = self.broken = False
        self.held = self.dripping = None
        self.delaying = self.distance = 0
        self.lose = False
        self.cuts = 0
        self.trips = 0
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(self.path)
        self.listening.listen(64)
        self.ending = False
        self.current = None
        threading.Thread(target=self.accept, daemon=True).start()
        place.servers.append(self)

    def cut(self, stay=False, **limits):
        self.passed = {"up": 0, "down": 0}
        self.limits = limits
        self.stay = stay

    def mend(self):
        self.limits = {}
        self.broken = False

    def hold(self, way):
        """Pass nothing on that way; what comes is kept."""
        self.held = way

    def drip(self, way):
        """Pass a byte at a time on that way, a hundred in a second."""
        self.dripping = way

    def delay(self, seconds):
        """Pass each reply on so much later than the one before it."""
        self.delaying = seconds

    def far(self):
        """From now on let a log-in take longer than at a server that is near.
        """
        self.distance = 0.02

    def release(self, lose=False):
        """Pass it on again, or lose it with the connection."""
        self.lose = lose
        self.held = self.dripping = None

    def drop_if(self, condition):
        if condition:
            self.drop()

    def drop(self):
        """Close the connection that stands."""
        if self.current is not None:
            try:
                self.current.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def accept(self):
        while not self.ending:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            self.current = client
            threading.Thread(target=self.serve, args=(client,),
                             daemon=True).start()

    def serve(self, client):
        server = socket.socket(socket.AF_UNIX)
        try:
            if not self.broken:
                server.connect(self.target)
                self.forward(client, server)
        except OSError:
            pass
        finally:
            client.close()
            server.close()

    def forward(self, client, server):
        # Another connection counts anew.
        self.passed = {"up": 0, "down": 0}
        kept = {"up": b"", "down": b""}
        last = "down"
        while True:
            # A short time-out, as nothing else tells of a release.
            due = self.delaying and reply_length(kept["down"]) is not None
            ready, _, _ = select.select([client, server], [], [],
                                        0 if due else 0.01)
            for way, sink in (("up", server), ("down", client)):
                if kept[way] and self.held != way and not (
                        self.delaying and way == "down"):
                    if self.lose:
                        return
                    count = 1 if self.dripping == way else len(kept[way])
                    sink.sendall(kept[way][:count])
                    kept[way] = kept[way][count:]
            end = reply_length(kept["down"]) if self.delaying else None
            if end is not None:
                time.sleep(self.delaying)
                client.sendall(kept["down"][:end])
                kept["down"] = kept["down"][end:]
            for source in ready:
                way, sink = (("up", server) if source is client
                             else ("down", client))
                data = source.recv(65536)
                if not data:
                    return
                self.trips += way == "up" and last == "down"
                last = way
                if way == "down" and self.passed["down"] == 0:
                    time.sleep(self.distance)
                if way in (self.held, self.dripping) or (
                        self.delaying and way == "down"):
                    kept[way] += data
                    continue
                limit = self.limits.get(way)
                before = self.passed[way]
                if limit is not None and before + len(data) >= limit:
                    self.limits = {}
                    self.broken = self.stay
                    self.cuts += 1
                    sink.sendall(data[:limit - before])
                    return
                self.passed[way] += len(data)
                sink.sendall(data)

    def url(self):
        return f"unix://{self.path}"

    def end(self):
        self.ending = True
        self.listening.close()
        if os.path.exists(self.path):
            os.unlink(self.path)
