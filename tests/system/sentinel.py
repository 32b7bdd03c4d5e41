"""Redis Sentinel: which master is trusted, and that a failover is followed.

Sentinels of the test's own say what real ones say in moments that pass; real
ones show that these moments are survived.
"""

import json
import os
import re
import socket
import ssl
import subprocess
import threading

from tests.harness import fcgi, tls
from tests.harness.failover import (DEPLOY, MASTER, Sentinel, Server, Watched,
                                    on_a_port)
from tests.harness.servers import (NO_SPOOL, PROGRAM, Flagtally, Place,
                                   environment, free_port)
from tests.harness.tap import check, equal, note, run
from tests.harness.tls import TLS, Authority
from tests.harness.tls import server as tls_server
from tests.harness.wait import until

KEY = "flagtally:{e:a}:2026-11-23"


def post(flagtally, feature="f"):
    return fcgi.post(flagtally.address, json.dumps({
        "applications": [], "metrics": [{
            "featureName": feature, "appName": "a", "environment": "e",
            "timestamp": "2026-11-23T09:30:00Z", "yes": 1, "no": 0,
            "variants": {}}]}).encode()).status


def yes(server, feature="f"):
    return int(server("HGET", KEY, feature + ":yes") or 0)


def start(place, redis, name="flagtally", **settings):
    return Flagtally(place, redis, name, **{
        "spool": place.file(name + ".db"), "flush_interval": "100ms",
        **settings})


def bulk(text):
    text = str(text)
    return f"${len(text)}\r\n{text}\r\n"


def array(words):
    return f"*{len(words)}\r\n" + "".join(bulk(word) for word in words)


class Oracle:
    """A sentinel that says what it is told to."""

    def __init__(self, pair=None, **state):
        self.tls = None
        if pair:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*pair)
        self.state = {"port": None, "promoted": None, "epoch": 0,
                      "flags": "master", "error": None, "silent": False,
                      "host": "127.0.0.1", **state}
        self.connections = []
        self.asked = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,),
                             daemon=True).start()

    def serve(self, connection):
        try:
            if self.tls:
                plain, connection = connection, self.tls.wrap_socket(
                    connection, server_side=True)
                self.connections[self.connections.index(plain)] = connection
            stream = connection.makefile("rb")
            while line := stream.readline():
                words = []
                for _ in range(int(line[1:])):
                    size = int(stream.readline()[1:])
                    words.append(stream.read(size + 2)[:-2].decode())
                if not self.state["silent"]:
                    connection.sendall(self.reply(words).encode())
        except OSError:
            pass

    def reply(self, words):
        state = self.state
        if state["error"] and words[0] != "CLIENT":
            return f"-{state['error']}\r\n"
        if words[0] == "SUBSCRIBE" and state.get("deaf"):
            return f"-{state['deaf']}\r\n"
        if words[0] == "SUBSCRIBE":
            return f"*3\r\n{bulk('subscribe')}{bulk(words[1])}:1\r\n"
        if words[0] != "SENTINEL":
            return "+OK\r\n"
        if state.get("raw"):
            return state["raw"]
        if words[1] == "GET-MASTER-ADDR-BY-NAME":
            self.asked += 1
            return array([state["host"], state["promoted"] or state["port"]])
        return array(["name", words[2], "ip", state["host"], "port",
                      state["port"], "flags", state["flags"],
                      "config-epoch", state["epoch"]])

    def switch(self):
        """Report that a master was replaced."""
        for connection in self.connections:
            try:
                connection.sendall(("*3\r\n" + "".join(map(bulk, (
                    "message", "+switch-master", "counts 127.0.0.1 1 "
                    "127.0.0.1 2")))).encode())
            except OSError:
                pass


def url(*oracles):
    first, *others = [f"127.0.0.1:{oracle.address}" for oracle in oracles]
    return (f"redis-sentinel://{first}?master=counts" +
            "".join(f"&node={other}" for other in others))


def two_servers(place):
    """Two servers that both take themselves for the master."""
    return [on_a_port(lambda port, i=i: Server(place, f"server{i}", port))
            for i in range(2)]


def which():
    """What sentinels say, and which server is taken for the master."""
    with Place() as place:
        one, two = (server.port for server in two_servers(place))
        here = {"port": one}
        cases = [
            ("all agree", [here, here, here], one, ""),
            ("the latest epoch counts", [
                here, {"port": two, "epoch": 7}, here], two, ""),
            ("one is enough if no other is listed", [here], one, ""),
            ("one of three is silent", [
                {"silent": True}, here, here], one, ""),
            ("two of three are silent", [
                {"silent": True}, here, {"silent": True}], None,
             "1 of 3 sentinels name a master, but 2 are needed: sentinel 127.0.0.1:"),
            ("one of two is no majority", [here, {"silent": True}], None,
             "1 of 2 sentinels name a master, but 2 are needed"),
            ("a failover is under way", [
                here, {**here, "flags": "master,s_down,failover_in_progress"},
                here], None, f"considers the master 127.0.0.1:{one} down"),
            ("the master is down", [
                {**here, "flags": "master,s_down,o_down"}, here, here], None,
             " down"),
            ("a single sentinel does not see the master", [
                {**here, "flags": "master,s_down"}, here, here], one, ""),
            ("the replica is promoted", [
                here, {**here, "promoted": two, "epoch": 3, "flags":
                       "master,s_down,o_down,failover_in_progress"}, here],
             two, ""),
            ("what was down in an earlier epoch", [
                {**here, "flags": "master,o_down"},
                {"port": two, "epoch": 1}, {"port": two, "epoch": 1}], two,
             ""),
            ("they do not know it", [
                {"error": "ERR No such master with that name"}] * 3, None,
             "ERR No such master with that name"),
            ("they want a password", [
                {"error": "NOAUTH Authentication required."}] * 3, None,
             "NOAUTH"),
            ("they are servers of Redis", [
                {"error": "ERR unknown command 'SENTINEL'"}] * 3, None,
             "it is no sentinel"),
            ("they name no port", [{"port": 0}] * 3, None,
             "it names no address"),
        ]
        for number, (name, states, port, words) in enumerate(cases):
            oracles = [Oracle(**state) for state in states]
            flagtally = start(place, url(*oracles), f"f{number}",
                              redis_timeout="2s")
            equal(post(flagtally, f"c{number}"), 202, f"{name}: 202")
            log = f"f{number}.log"
            if port:
                until(lambda: [yes(server, f"c{number}")
                               for server in place.servers[:2]] ==
                      [port == one, port == two], name)
            else:
                until(lambda: words in place.read(log), f"{name}: {words}")
            check(words in place.read(log), name, place.read(log))
            flagtally.end()
        equal([yes(server, f"c{number}") for server in place.servers[:2]
               for number, case in enumerate(cases) if not case[2]],
              [0] * 2 * len([case for case in cases if not case[2]]),
              "no server got what was for none")


def nonsense():
    """Whatever a sentinel says, the spool takes the counts."""
    long = "x" * 300
    with Place() as place:
        for number, raw in enumerate((
                "+OK\r\n", ":1\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n",
                "*1\r\n$1\r\na\r\n", array(["", 6379]),
                array(["127.0.0.1", "6379x"]), array(["127.0.0.1", "65536"]),
                array(["127.0.0.1", "-1"]), array(["127.0.0.1", ""]),
                array([long, 6379]), array(["a\0b", 6379]),
                array(["ip", "a", "port"]), array(["config-epoch", "x"]),
                array(["flags", ",,,", "ip", "h", "port", "x"]),
                "*2\r\n*0\r\n*0\r\n", "*2\r\n:1\r\n:2\r\n",
                "nonsense\r\n", "$3\r\nabcd\r\n",
                "*1\r\n" * 20 + ":1\r\n")):
            name = f"n{number}"
            flagtally = start(place, url(Oracle(raw=raw)), name,
                              redis_timeout="200ms")
            equal(post(flagtally), 202, f"{raw[:40]!r}: 202")
            until(lambda: "0 of 1 sentinels name a master" in
                  place.read(name + ".log"), f"{raw!r} in the log")
            flagtally.end()


def replica():
    """The sentinels name a server that says that it is no master."""
    with Place() as place:
        one, two = two_servers(place)
        two("REPLICAOF", "127.0.0.1", str(one.port))
        oracle = Oracle(port=two.port)
        flagtally = start(place, url(oracle))
        equal(post(flagtally), 202, "the spool takes it")
        words = f"the sentinels name 127.0.0.1:{two.port}, but it is no master"
        until(lambda: words in place.read("flagtally.log"), words)
        equal(yes(one), 0, "nothing is written")
        two("REPLICAOF", "NO", "ONE")
        until(lambda: yes(two) == 1, "the counts when it is one")
        check(True, "what is a master gets the counts")


def news():
    """A sentinel reports a failover while the former master serves."""
    with Place() as place:
        one, two = two_servers(place)
        oracles = [Oracle(port=one.port) for _ in range(3)]
        flagtally = start(place, url(*oracles))
        equal(post(flagtally), 202, "before")
        equal(yes(one), 1, "is in the first server")
        asked = oracles[0].asked
        for turn in range(10):
            post(flagtally)
        equal((yes(one), oracles[0].asked), (11, asked),
              "nobody is asked again while nothing happens")
        for oracle in oracles:
            oracle.state.update(port=two.port, epoch=1)
        equal(post(flagtally), 202, "nothing is reported yet")
        oracles[1].switch()
        until(lambda: post(flagtally) == 202 and yes(two), "the other server")
        before = yes(one)
        for turn in range(10):
            post(flagtally)
        check(yes(one) == before and yes(two) >= 11,
              "all goes to the new master", yes(one), yes(two))
        check("Sentinel names 127.0.0.1" in place.read("flagtally.log"),
              "the log says so", place.read("flagtally.log"))
        for oracle in oracles:
            for connection in oracle.connections:
                connection.shutdown(socket.SHUT_RDWR)
            oracle.listener.close()
        for turn in range(10):
            equal(post(flagtally), 202, "sentinels that are gone")
        check(yes(two) >= 21, "do not keep a connection from serving",
              yes(two))


def deaf():
    """Sentinels that do not let us subscribe: said once, and all goes on."""
    with Place() as place:
        one, two = two_servers(place)
        oracles = [Oracle(port=one.port, deaf="NOPERM subscribe")
                   for _ in range(3)]
        flagtally = start(place, url(*oracles))
        equal(post(flagtally), 202, "before")
        until(lambda: yes(one) == 1, "the first server")
        for turn in range(3):
            one("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            equal(post(flagtally), 202, "the sentinels are asked again")
        log = place.read("flagtally.log")
        words = "will not report a failover: NOPERM subscribe"
        equal(log.count(words), 1, "it is said once")
        for oracle in oracles:
            oracle.state.update(port=two.port, epoch=1)
        one.kill()
        until(lambda: post(flagtally) == 202 and yes(two), "the other server")
        check(True, "a master that fails is replaced")


def readers(watched):
    """The example for readers in flagtally(7) works as it stands."""
    with open(os.path.join(DEPLOY, "..", "man", "flagtally.7"),
              encoding="utf-8") as file:
        text = re.search(r"\.Bd [^\n]*\n(set -- .*?)\.Ed\n", file.read(),
                         re.S).group(1).replace("\\e", "\\")
    sentinel = f"-h 127.0.0.1 -p {watched.sentinels[1].port}"
    check("-h s1.example.com -p 26379" in text, "it asks a sentinel", text)
    done = subprocess.run(
        ["sh", "-euc", text.replace("-h s1.example.com -p 26379", sentinel)],
        capture_output=True, text=True, timeout=60, check=False)
    equal((done.stdout, done.stderr), ("e:a\n", ""), "and reads the master")


def failover():
    """The master is killed, and comes back before the sentinels know.

    Until they make it a replica there are two masters, for ten seconds.
    """
    with Place() as place:
        watched = Watched(place)
        flagtally = start(place, watched.url())
        equal(post(flagtally), 202, "before")
        former = watched.master()
        equal(yes(former), 1, "is in the master")
        former.kill()
        statuses = [post(flagtally) for _ in range(20)]
        master = watched.moved_from(former)
        former.start()
        former("CONFIG", "RESETSTAT")
        roles = []
        posts = 21
        while "slave" not in roles:
            statuses.append(post(flagtally))
            posts += 1
            roles.append(former.role())
            until(lambda: yes(master) == posts, "the counts")
        equal(set(statuses), {202}, "every post is accepted")
        check(roles.count("master") > 10, "the former master was one again",
              len(roles))
        equal((former.calls(), former.calls("zadd")), (0, 0),
              "and nothing was written to it")
        watched.settled()
        equal(yes(former), posts, "as a replica it has all counts")
        report = subprocess.run(
            [PROGRAM, "--report"], capture_output=True, text=True, timeout=60,
            env=environment(redis=watched.url(), spool=NO_SPOOL), check=False)
        equal(report.returncode, 0, "--report follows the sentinels")
        readers(watched)
        done = subprocess.run([PROGRAM, "--check"], capture_output=True,
                              timeout=60, text=True, env=environment(
                                  redis=watched.url(), auth="none",
                                  spool=place.file("spool.db")), check=False)
        check("redis   OK" in done.stdout, "--check follows the sentinels",
              done)


def users_of(name, password):
    """{user: its line} in a file that deploy/redis ships."""
    with open(os.path.join(DEPLOY, name), encoding="ascii") as file:
        lines = re.findall(r"^#? *(user (\S+) .*)$", file.read(), re.M)
    return {user: f"{line} >{password}\n" for line, user in lines}


def shipped():
    """With the users that are shipped: their rights are enough, and needed."""
    acl = {**users_of("users.acl", "mouse"),
           "default": "user default on nopass ~* &* +@all\n"}
    replicate = users_of("sentinel.conf", "lion")
    acl.update({user: replicate[user] for user in
                ("flagtally-sentinel", "flagtally-replica")})
    with Place() as place:
        watched = Watched(
            place, sentinels=1, quorum=1, more="sentinel auth-user counts "
            "flagtally-sentinel\nsentinel auth-pass counts lion\n",
            aclfile=place.file("users.acl", "".join(acl.values())),
            include=os.path.abspath(os.path.join(DEPLOY, "flagtally.conf")),
            masteruser="flagtally-replica", masterauth="lion")
        address = watched.url().replace("//", "//flagtally:mouse@")
        flagtally = start(place, address, redis_replicas=1)
        equal(post(flagtally), 202, "counted")
        former = watched.master()
        equal(sum(yes(server) for server in watched.servers), 2,
              "and in master and replica")
        former.kill()
        equal(post(flagtally), 202, "counted")
        master = watched.moved_from(former)
        former.start()
        watched.settled()
        until(lambda: yes(former) == 2, "replay")
        equal(yes(master), 2, "a failover with the rights that are shipped")
        report = subprocess.run(
            [PROGRAM, "--report"], capture_output=True, text=True, timeout=60,
            env=environment(redis=address.replace(
                "//flagtally", "//flagtally-reader"), spool=NO_SPOOL),
            check=False)
        equal(report.returncode, 0, "readers have theirs")
        for posts, right in enumerate(("role", "wait"), 3):
            master("ACL", "SETUSER", "flagtally", "-" + right)
            master("CLIENT", "KILL", "TYPE", "normal")
            other = start(place, address, right, redis_replicas=1)
            equal(post(other), 202, f"without {right} the spool takes it")
            until(lambda: "NOPERM" in place.read(right + ".log"), "the log")
            master("ACL", "SETUSER", "flagtally", "+" + right)
            until(lambda: yes(master) == posts, f"{posts} counts")
            other.end()


def users():
    """Sentinels and servers have users and passwords of their own."""
    more = "requirepass tiger\nsentinel sentinel-pass tiger\n"
    with Place() as place:
        server = on_a_port(lambda port: Server(
            place, "server", port, requirepass="lion", masterauth="lion",
            user="flagtally on >mouse ~* &* +@all"))
        oracle = on_a_port(lambda port: Sentinel(
            place, "sentinel", port, server.port, more +
            "sentinel auth-pass counts lion\n" +
            users_of("sentinel.conf", "cat")["flagtally"], password="tiger"))
        until(lambda: oracle.master() == server.port, "the sentinel")
        address = (f"redis-sentinel://flagtally:mouse@127.0.0.1:{oracle.port}"
                   f"/3?master={MASTER}")
        good = start(place, address, "good", redis_sentinel_user="flagtally",
                     redis_sentinel_password_file=place.file("cat", "cat\n"))
        equal(post(good), 202, "accepted")
        server("SELECT", "3")
        until(lambda: yes(server) == 1, "the count in its database")
        check(True, "both log-ins, and the database of the URL")
        names = oracle.client("CLIENT", "LIST").decode()
        check("user=flagtally" in names and "sub=1" in names,
              "the rights suffice to subscribe", names)
        for name, settings, words in (
                ("none", {}, "NOAUTH"),
                ("wrong", {"redis_sentinel_password_file":
                           place.file("dog", "dog\n")}, "WRONGPASS")):
            bad = start(place, address, name, **settings)
            equal(post(bad), 202, f"{name}: the spool takes it")
            until(lambda: words in place.read(f"{name}.log"), words)
            check("mouse" not in place.read(f"{name}.log") and
                  "dog" not in place.read(f"{name}.log"),
                  f"{name}: the log says {words}, and no password")


def over_tls():
    """rediss-sentinel: TLS to the sentinels and to the server that they name."""
    if not TLS:
        note("the program was built without TLS")
        return
    with Place() as place:
        authority, other = Authority(place, "good"), Authority(place, "other")
        settings = {"tls_replication": "yes", **tls.settings(authority.sign(
            "server", "IP:127.0.0.1"), authority)}
        ports = []

        def server(port):
            ports.append(free_port())
            return Server(place, "server", port, tls_port=ports[-1],
                          **settings)
        redis = on_a_port(server)
        master = ports[-1]

        def sentinel(port):
            ports.append(free_port())
            return Sentinel(place, "sentinel", port, master, "".join(
                f"{key.replace('_', '-')} {value}\n" for key, value in
                {**settings, "tls_port": ports[-1]}.items()))
        oracle = on_a_port(sentinel)
        equal(oracle.master(), master, "the sentinel names the port of TLS")
        address = f"rediss-sentinel://127.0.0.1:{ports[-1]}?master={MASTER}"
        flagtally = start(place, address, "good",
                          redis_tls_ca=authority.certificate)
        equal(post(flagtally), 202, "accepted")
        until(lambda: yes(redis) == 1, "the count")
        flagtally.end()
        flagtally = start(place, address, "bad",
                          redis_tls_ca=other.certificate)
        equal(post(flagtally), 202, "with another authority the spool has it")
        until(lambda: "certificate" in place.read("bad.log"), "the log")
        check(True, "and the log says why")
        equal(yes(redis), 1, "and the server has it not")


def other_session():
    """A session of TLS is for the host that gave it: others are verified."""
    if not TLS:
        note("the program was built without TLS")
        return
    with Place() as place:
        authority = Authority(place, "authority")
        redis = tls_server(place, "redis", authority.sign(
            "server", "DNS:localhost"), authority)
        oracle = Oracle(authority.sign("oracle", "IP:127.0.0.1"),
                        host="localhost", port=redis.tls)
        flagtally = start(
            place, f"rediss-sentinel://127.0.0.1:{oracle.address}?master=counts",
            redis_tls_ca=authority.certificate)
        equal((post(flagtally), yes(redis)), (202, 1), "the name is verified")
        oracle.state.update(host="127.0.0.1", epoch=1)
        oracle.switch()
        until(lambda: post(flagtally) == 202 and "address mismatch" in
              place.read("flagtally.log"), "the log")
        equal(yes(redis), 1, "the address is not in the certificate")


run([which, nonsense, replica, news, deaf, failover, shipped, users, over_tls,
     other_session])
