"""Certificates, and a Redis that has one."""

import subprocess

from tests.harness.servers import PROGRAM, Redis, free_port

# Whether the program has it.
TLS = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True,
                     check=True, timeout=20).stdout.endswith("with TLS\n")

class Authority:
    """An authority, and what it signs."""

    def __init__(self, place, name):
        self.place, self.name = place, name
        self.certificate = place.file(name + ".pem")
        self.key = place.file(name + ".key")
        openssl("req", "-x509", *NEW_KEY, "-subj", "/CN=" + name, "-days",
                "30", "-keyout", self.key, "-out", self.certificate)

    def sign(self, name, alternative, *dates):
        """Return the paths of a certificate and its key."""
        paths = [self.place.file(name + end) for end in (
            ".pem", ".key", ".csr", ".ext")]
        openssl("req", *NEW_KEY, "-subj", "/CN=" + name, "-keyout", paths[1],
                "-out", paths[2])
        with open(paths[3], "w", encoding="ascii") as file:
            file.write(f"subjectAltName={alternative}\n")
        openssl("x509", "-req", "-in", paths[2], "-CA", self.certificate,
                "-CAkey", self.key, "-CAcreateserial", "-extfile", paths[3],
                "-out", paths[0], *(dates or ("-days", "30")))
        return paths[:2]


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def settings(pair, authority):
    """Those of a Redis that has a certificate and wants none."""
    return {"tls_cert_file": pair[0], "tls_key_file": pair[1],
            "tls_ca_cert_file": authority.certificate,
            "tls_auth_clients": "no"}


def server(place, name, pair, authority, port=None, **options):
    port = port or free_port()
    redis = Redis(place, name, port="0", tls_port=str(port),
                  **{**settings(pair, authority), **options})
    redis.tls = port
    return redis
