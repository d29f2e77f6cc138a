"""Recomputes the tree of an `ambit audit export` with nothing but the standard library.

    python3 verify_export.py EXPORT

Shows that the records are those that the checkpoints in the file sign for. Whether the checkpoints are the trail's own is shown
by their Ed25519 signatures (C2SP signed notes), with any tool that knows them and a key taken from elsewhere.
"""

import base64
import hashlib
import json
import sys


def sha256(data):
    return hashlib.sha256(data).digest()


def append(frontier, node):
    """Takes a leaf into the roots of the complete subtrees, largest first, as (size, hash)."""
    size = 1
    while frontier and frontier[-1][0] == size:
        node = sha256(b"\x01" + frontier.pop()[1] + node)
        size *= 2
    frontier.append((size, node))


def root(frontier):
    if not frontier:
        return sha256(b"")
    node = frontier[-1][1]
    for _, left in reversed(frontier[:-1]):
        node = sha256(b"\x01" + left + node)
    return node


def main(path):
    frontier, count = [], 0
    with open(path, encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            line = json.loads(line)
            if "first" in line:
                count = line["first"]
                sizes = [1 << bit for bit in reversed(range(64)) if count >> bit & 1]
                frontier = list(zip(sizes, map(base64.b64decode, line["frontier"])))
            elif "leaf" in line:
                if line["leaf"] != count:
                    sys.exit(f"line {number}: record {line['leaf']} stands where record {count} belongs")
                record = line["record"].encode() if "record" in line else base64.b64decode(line["record_base64"])
                append(frontier, sha256(b"\x00" + base64.b64decode(line["salt"]) + record))
                count += 1
            elif "checkpoint" in line:
                origin, size, signed = line["checkpoint"].split("\n")[:3]
                if int(size) != count or base64.b64decode(signed) != root(frontier):
                    sys.exit(f"line {number}: the records before it are not those that {origin} signed for")
                print(f"{size} records are those that {origin} signed for")


main(sys.argv[1])
