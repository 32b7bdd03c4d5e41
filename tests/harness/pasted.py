"""Commands of a page, as a newcomer pastes them, and a computer on which to do so:
ssh, scp, curl and crontab are stand-ins that lead to an account here.

SSH_FAILS is the number, from 1, of the ssh or scp that finds no way, SSH_CUT that
of the one whose input ends half way; CRONTAB_FAILS stands for a crontab that
cannot be read.
"""

import re

from tests.harness.servers import find

NUMBERED = """number=$(($(cat "$HOME/.number" 2>/dev/null || echo 0) + 1))
echo $number >"$HOME/.number"
[ $number != "${SSH_FAILS:-}" ] || exit 255
"""

STANDINS = {
    "ssh": NUMBERED + """shift
cd "$HOME"
if [ $number = "${SSH_CUT:-}" ]; then
	cat >"$HOME/.whole"
	head -c $(($(wc -c <"$HOME/.whole") / 2)) "$HOME/.whole" |
	    /bin/sh -c "$*"
	exit 255
fi
exec /bin/sh -c "$*" """,
    "scp": NUMBERED + """for last; do :; done
to=$HOME/${last#*:}
while [ $# -gt 1 ]; do cp "$1" "$to" || exit; shift; done""",
    "crontab": """case $1 in
-l) if [ -n "${CRONTAB_FAILS:-}" ]; then
		echo "crontab: cannot be read now" >&2
		exit 1
	fi
	[ -e "$HOME/.crontab" ] && exec cat "$HOME/.crontab"
	echo "no crontab for you" >&2 ;;
-) exec cat >"$HOME/.crontab" ;;
*) exec cp "$1" "$HOME/.crontab" ;;
esac
exit 1""",
    "curl": """for word; do
	shift
	case $word in
	https://example.org/*) word=http://127.0.0.1:$PORT/${word#*org/} ;;
	esac
	set -- "$@" "$word"
done
exec CURL "$@" """,
}


def stand_ins(place):
    for name, text in STANDINS.items():
        place.file(f"bin/{name}", "#!/bin/sh\n" + text.replace(
            "CURL", find("curl")) + "\n", 0o755)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def commands(path):
    """The commands that are to be pasted, by the number or title of a step."""
    found = {}
    for part in re.split(r"^## ", read(path), flags=re.M)[1:]:
        title = re.split(r"[.\n]", part)[0]
        found[title] = re.findall(r"```sh\n(.*?)```", part, flags=re.S)
    return found


def indented(path):
    """The lines that are indented: examples, and what is for some alone."""
    return re.findall(r"^    (\S.*)$", read(path), flags=re.M)
