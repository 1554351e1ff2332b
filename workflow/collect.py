"""Gather the result records of executed notebooks in one compressed file of JSON lines.

    python workflow/collect.py outputs/reference/proxies.jsonl.gz FOLDER

Each line: {"run": the notebook's name, "sha256": its digest, "record": its result record}. Lines that are there stay as
they are; a notebook is added once, and again if it has changed. Equal notebooks give equal bytes.
"""

import gzip
import hashlib
import json
import os
import sys
from pathlib import Path

from records import read_record


def collect(file, folder):
    """Add the runs in folder to file; return the names of those added and of notebooks that hold no record."""
    lines = gzip.decompress(file.read_bytes()).decode().splitlines() if file.exists() else []
    known, added, empty = {(line["run"], line["sha256"]) for line in map(json.loads, lines)}, [], []
    for path in sorted(folder.glob("*.ipynb")):
        name, digest, record = path.stem, hashlib.sha256(path.read_bytes()).hexdigest(), read_record(path)
        if record is None:
            empty.append(name)
        elif (name, digest) not in known:
            lines.append(json.dumps({"run": name, "sha256": digest, "record": record}, sort_keys=True))
            added.append(name)
    part = file.with_suffix(".part")
    part.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))
    os.replace(part, file)
    return added, empty


if __name__ == "__main__":
    if len(sys.argv) != 3 or not Path(sys.argv[2]).is_dir():
        sys.exit(__doc__)
    added, empty = collect(*map(Path, sys.argv[1:]))
    print(f"added: {', '.join(added) or 'nothing new'}" + f"; no result record in {', '.join(empty)}" * bool(empty))
