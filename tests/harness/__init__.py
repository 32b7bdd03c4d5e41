"""What all tests have in common.

A test must not depend on how it was started.  A shell's background job and
nohup(1) ignore signals, and all that a test starts would ignore them, too;
others block signals, close standard input, or leave a web server's or systemd's
variables.  So whatever a process inherits is set here, for each test and
before it starts anything.
"""

import os
import resource
import signal

# Python ignores these itself, and subprocess restores them.
OF_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}
# What programs take for a word to themselves.
VARIABLES = ("GATEWAY_INTERFACE", "LISTEN_FDS", "LISTEN_PID",
             "LISTEN_FDNAMES", "NOTIFY_SOCKET", "JOURNAL_STREAM",
             "SYSTEMD_EXEC_PID", "INVOCATION_ID", "WATCHDOG_USEC",
             "WATCHDOG_PID", "FLAGTALLY_CONFIG", "PYTHONINSPECT",
             *(name + "_proxy" for name in ("http", "https", "all", "no")),
             *(name + "_PROXY" for name in ("HTTP", "HTTPS", "ALL", "NO")))
DESCRIPTORS = 4096


def as_usual():
    """Let this process, and so its children, be as a login shell starts it."""
    for number in signal.valid_signals() - OF_PYTHON:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if
                          number == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # The lowest number that is free is the one that is missing.
    while (missing := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(missing, True)
    os.close(missing)
    os.umask(0o022)
    for name in VARIABLES:
        os.environ.pop(name, None)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(
        DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


as_usual()
