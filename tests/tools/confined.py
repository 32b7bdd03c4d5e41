"""Run a program as a hardened systemd unit would: under its system call filter.

usage: confined.py UNIT PROGRAM [ARGUMENT...]

What stands in SystemCallFilter, RestrictAddressFamilies,
MemoryDenyWriteExecute and RestrictNamespaces of the unit is loaded as a
seccomp filter by libseccomp, as systemd itself would; root becomes nobody, as
with DynamicUser.  A call that is not
allowed kills the program, where the unit would only make it fail: so nothing
is overlooked that a program takes in silence.
"""

import ctypes
import errno
import os
import re
import socket
import subprocess
import sys

KILL, ALLOW = 0x80000000, 0x7fff0000
EQUAL, MASKED_EQUAL = 4, 7
NOBODY = 65534
NO_NEW_PRIVILEGES = 38
PROT_WRITE, PROT_EXEC = 2, 4
# Namespaces: time, mount, cgroup, UTS, IPC, user, PID, net.
CLONE_NEW = 0x7e020080


class Compare(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("operator", ctypes.c_int),
                ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def fail_with(number):
    return 0x00050000 | number


def settings(unit):
    """Each setting of a unit's file, with its values in order."""
    found = {}
    with open(unit, encoding="utf-8") as file:
        for name, value in re.findall(r"^(\w+)=(.*)$", file.read(), re.M):
            found.setdefault(name, []).append(value)
    return found


def calls_of(words):
    """The system calls that words stand for, with groups in groups."""
    calls = set()
    for word in words:
        if not word.startswith("@"):
            calls.add(word)
            continue
        text = subprocess.run(
            ["systemd-analyze", "syscall-filter", "--no-pager", word],
            stdout=subprocess.PIPE, check=True, text=True).stdout
        members = [line.strip() for line in text.splitlines()[1:]
                   if line.strip() and not line.strip().startswith("#")]
        calls |= calls_of(members)
    return calls


def allowed(unit):
    """The system calls that a unit allows."""
    # What systemd always adds.
    calls = calls_of(["@default"])
    for value in settings(unit)["SystemCallFilter"]:
        words = value.lstrip("~").split()
        if value.startswith("~"):
            calls -= calls_of(words)
        else:
            calls |= calls_of(words)
    return calls


class Filter:
    def __init__(self):
        self.library = ctypes.CDLL("libseccomp.so.2")
        self.library.seccomp_init.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(
            self.library.seccomp_init(ctypes.c_uint32(KILL)))

    def rule(self, action, name, *compares):
        number = self.library.seccomp_syscall_resolve_name(name.encode())
        if number == -1:
            return
        array = (Compare * len(compares))(*compares)
        status = self.library.seccomp_rule_add_array(
            self.context, ctypes.c_uint32(action), number, len(compares),
            array)
        if status not in (0, -errno.EDOM):
            raise OSError(-status, f"seccomp rule for {name}")

    def load(self):
        libc = ctypes.CDLL(None)
        if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
            raise OSError("no_new_privs")
        status = self.library.seccomp_load(self.context)
        if status != 0:
            raise OSError(-status, "seccomp_load")


def confine(unit):
    have = settings(unit)
    families = have["RestrictAddressFamilies"][-1].split()
    calls = allowed(unit)
    rules = Filter()
    for name in sorted(calls - {"socket", "mmap", "mprotect", "clone",
                                "clone3"}):
        rules.rule(ALLOW, name)
    for family in families:
        rules.rule(ALLOW, "socket",
                   Compare(0, EQUAL, getattr(socket, family)))
    # glibc asks by netlink for addresses, and goes on without.
    rules.rule(fail_with(errno.EAFNOSUPPORT), "socket",
               Compare(0, EQUAL, socket.AF_NETLINK))
    if have.get("MemoryDenyWriteExecute") != ["yes"] or \
            have.get("RestrictNamespaces") != ["yes"]:
        raise ValueError("the unit is not as strict as it was")
    both = PROT_WRITE | PROT_EXEC
    for value in (0, PROT_WRITE, PROT_EXEC):
        rules.rule(ALLOW, "mmap", Compare(2, MASKED_EQUAL, both, value))
    rules.rule(ALLOW, "mprotect", Compare(2, MASKED_EQUAL, PROT_EXEC, 0))
    rules.rule(ALLOW, "clone", Compare(0, MASKED_EQUAL, CLONE_NEW, 0))
    # So that the C library falls back to clone, whose flags can be seen.
    rules.rule(fail_with(errno.ENOSYS), "clone3")
    rules.load()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    confine(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])
