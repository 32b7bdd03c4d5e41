"""A proxy before Redis that breaks off where it is told to."""

import os
import select
import socket
import threading


class Proxy:
    """Passes bytes between Unix sockets until one of its limits is reached.

    cut(up=N) closes the next connection after N bytes to the server, and
    cut(down=N) after N bytes of its replies; each works once.
    """

    def __init__(self, place, target, name="proxy"):
        self.path = place.file(name + ".sock")
        self.target = target
        self.limits = {}
        self.cuts = 0
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(self.path)
        self.listening.listen(64)
        self.ending = False
        self.current = None
        threading.Thread(target=self.accept, daemon=True).start()
        place.servers.append(self)

    def cut(self, **limits):
        self.limits = limits

    def drop(self):
        """Close the connection that stands."""
        if self.current is not None:
            self.current.shutdown(socket.SHUT_RDWR)

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
            server.connect(self.target)
            self.forward(client, server)
        except OSError:
            pass
        finally:
            client.close()
            server.close()

    def forward(self, client, server):
        passed = {"up": 0, "down": 0}
        while True:
            ready, _, _ = select.select([client, server], [], [])
            for source in ready:
                way, sink = (("up", server) if source is client
                             else ("down", client))
                data = source.recv(65536)
                if not data:
                    return
                limit = self.limits.get(way)
                if limit is not None and passed[way] + len(data) >= limit:
                    sink.sendall(data[:limit - passed[way]])
                    self.limits = {}
                    self.cuts += 1
                    return
                passed[way] += len(data)
                sink.sendall(data)

    def url(self):
        return f"unix://{self.path}"

    def end(self):
        self.ending = True
        self.listening.close()
        if os.path.exists(self.path):
            os.unlink(self.path)
