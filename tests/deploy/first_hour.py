"""deploy/shared-hosting pasted into an account that has a site already: whatever
fails on the way, nothing that was there is lost."""

import os
import shutil
import subprocess

from tests.harness.front import DEPLOY
from tests.harness.pasted import commands, indented, stand_ins
from tests.harness.servers import Place
from tests.harness.tap import check, equal, note, run

HERE = os.path.join(DEPLOY, "shared-hosting")
PAGE = os.path.join(HERE, "README.md")
SITE = "# BEGIN WordPress\nRewriteEngine On\nRewriteRule . /index.php [L]\n"
CRON = "MAILTO=me\n0 3 * * * $HOME/bin/backup\n"
SETTINGS = "redis = redis://mine:6379/0\ntokens = tokens\nspool = spool.db\n"
TOKEN = "*:*.mine\n"


def shipped(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return file.read()


class Account:
    """A home on a host, and the computer from which it is filled."""

    def __init__(self, place, used=True):
        self.place = place
        for name in ("home/public_html", "source/build/fcgi", "source/tests",
                     "bin", *(("home/flagtally",) if used else ())):
            os.makedirs(place.file(name))
        shutil.copytree(HERE, place.file("source/deploy/shared-hosting"))
        place.file("source/build/fcgi/flagtally", "#!/bin/sh\nexit 0\n", 0o755)
        stand_ins(place)
        if used:
            place.file("home/public_html/.htaccess", SITE, 0o644)
            place.file("home/.crontab", CRON)
            place.file("home/flagtally/flagtally.ini", SETTINGS)
            place.file("home/flagtally/tokens", TOKEN)

    def paste(self, *steps, **more):
        """Paste what the steps have, as it stands; return how it ended."""
        found = commands(PAGE)
        self.place.file("home/.number", "0\n")
        text = "\n".join(block for step in steps for block in found[step])
        return subprocess.run(
            ["/bin/bash", "-c", text], cwd=self.place.file("source"),
            env={"HOME": self.place.file("home"), "PATH":
                 self.place.file("bin") + ":/usr/bin:/bin", **more},
            capture_output=True, text=True, check=False, timeout=60)

    def number(self):
        return int(self.place.read("home/.number"))

    def htaccess(self):
        return self.place.read("home/public_html/.htaccess")

    def crontab(self):
        return self.place.read("home/.crontab")

    def tokens(self):
        return self.place.read("home/flagtally/tokens")


STEPS = ("2", "3", "4")


def twice():
    """An account with a site and a crontab, and all of it pasted again."""
    with Place() as place:
        account = Account(place)
        for times in (1, 2):
            done = account.paste(*STEPS)
            equal((done.returncode, done.stderr), (0, ""),
                  f"{times}: all commands succeed")
            equal(account.htaccess(), shipped(".htaccess") + SITE,
                  f"{times}: the site's lines come after flagtally's")
            equal(account.crontab(), CRON + shipped("crontab"),
                  f"{times}: the crontab has the line once")
            equal(place.read("home/flagtally/flagtally.ini"), SETTINGS,
                  f"{times}: the settings stay as they were")
            lines = account.tokens().splitlines()
            check(lines[0] == TOKEN.strip() and len(lines) == 1 + times and
                  lines[-1] in done.stdout, f"{times}: a token is added, and "
                  "shown", account.tokens(), done.stdout)
        modes = {name: oct(os.stat(place.file("home/" + name)).st_mode & 0o777)
                 for name in ("flagtally/tokens", "public_html/.htaccess",
                              "flagtally/flagtally")}
        equal(modes, {"flagtally/tokens": "0o600", "public_html/.htaccess":
                      "0o644", "flagtally/flagtally": "0o755"}, "their modes")


def fresh():
    """An account with nothing in it."""
    with Place() as place:
        account = Account(place, used=False)
        done = account.paste(*STEPS)
        equal((done.returncode, done.stderr), (0, ""), "all succeed")
        equal((account.htaccess(), account.crontab()),
              (shipped(".htaccess"), shipped("crontab")), "all is there")
        equal(place.read("home/flagtally/flagtally.ini"),
              shipped("flagtally.ini"), "the settings, too")
        equal(oct(os.stat(place.file("home/flagtally")).st_mode & 0o777),
              "0o700", "nobody else may look in")
        line, = (text for text in indented(PAGE) if "read -rs" in text)
        subprocess.run(["/bin/bash", "-c", line], text=True, timeout=20,
                       input=" ge\\heim \n", check=True,
                       env={"HOME": place.file("home"), "PATH":
                            place.file("bin") + ":/usr/bin:/bin"})
        equal(place.read("home/flagtally/redis.password"), " ge\\heim \n",
              "a password arrives as it was typed")


def whole(account, said):
    """Each file is as it was or as it is to be, never something between."""
    check(account.htaccess() in (SITE, shipped(".htaccess") + SITE),
          f"{said}: .htaccess", account.htaccess())
    check(account.crontab() in (CRON, CRON + shipped("crontab")),
          f"{said}: the crontab", account.crontab())
    equal(account.place.read("home/flagtally/flagtally.ini"), SETTINGS,
          f"{said}: the settings")
    lines = account.tokens().splitlines()
    check(lines[0] == TOKEN.strip() and all(len(line) == 52 for line in
                                            lines[1:]),
          f"{said}: the tokens", lines)


def broken():
    """Each ssh and scp fails in its turn, or is cut off half way."""
    with Place() as place:
        account = Account(place)
        account.paste(*STEPS)
        count = account.number()
    check(count >= 8, "there is something to break", count)
    for how in ("SSH_FAILS", "SSH_CUT"):
        for number in range(1, count + 1):
            with Place() as place:
                account = Account(place)
                done = account.paste(*STEPS, **{how: str(number)})
                said = f"{how}={number}"
                whole(account, said)
                new = account.tokens().splitlines()[1:]
                check(new or "*:*." not in done.stdout,
                      f"{said}: no token is shown that is not in force",
                      done.stdout)
                done = account.paste(*STEPS)
                equal((done.returncode, account.htaccess(),
                       account.crontab()),
                      (0, shipped(".htaccess") + SITE,
                       CRON + shipped("crontab")),
                      f"{said}: pasted again, all is there")
    with Place() as place:
        account = Account(place)
        done = account.paste("4", CRONTAB_FAILS="1")
        check(done.returncode != 0, "a crontab that cannot be read is no empty "
              "one", done.stderr)
        equal(account.crontab(), CRON, "and stays as it is")
    note(f"{2 * count} ways to fail")


run([twice, fresh, broken])
