"""Corpora: pack a directory of inputs into a file of the tree, and unpack it.

usage: corpus.py pack DIRECTORY FILE.corpus
       corpus.py unpack FILE.corpus DIRECTORY

Each input stands after a line with its length and before a line break.
"""

import hashlib
import os
import sys


def inputs(name):
    """The inputs of a corpus."""
    with open(name, "rb") as file:
        while line := file.readline():
            yield file.read(int(line))
            file.read(1)


def pack(directory, name):
    every = sorted({open(entry.path, "rb").read()
                    for entry in os.scandir(directory)},
                   key=lambda text: (len(text), text))
    with open(name, "wb") as file:
        for text in every:
            file.write(b"%d\n%s\n" % (len(text), text))
    print(f"{len(every)} inputs, {os.path.getsize(name)} bytes")


def unpack(name, directory):
    os.makedirs(directory, exist_ok=True)
    for text in inputs(name):
        with open(os.path.join(directory,
                               hashlib.sha1(text).hexdigest()), "wb") as file:
            file.write(text)


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("pack", "unpack"):
        sys.exit(__doc__)
    {"pack": pack, "unpack": unpack}[sys.argv[1]](*sys.argv[2:])
