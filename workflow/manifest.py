"""Write manifest.csv in a folder of official results: every file, its digest, and what made it.

    python workflow/manifest.py outputs/reference

Columns: file (from that folder), sha256, bytes; for a training run also parameters (the parameter file) and commit:
the first commit whose master notebook has, cell by cell, the source that the executed notebook holds.
"""

import csv
import hashlib
import subprocess
import sys
from pathlib import Path

import nbformat

from study import MASTER, read_record

NAME = "manifest.csv"


def sources(notebook):
    """The source of each cell, but not of the one that papermill inserted."""
    return [cell.source for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]


def git(*words):
    """What a git command prints."""
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout


def commits_by_source():
    """The first commit of each version of the master notebook, by its cells' source."""
    found = {}
    for commit in git("log", "--reverse", "--format=%H", "--", MASTER).split():
        notebook = nbformat.reads(git("show", f"{commit}:{MASTER}"), 4)
        found.setdefault(tuple(sources(notebook)), commit[:7])
    return found


def parameter_file(relative):
    """The parameter file of a run, from where its notebook or weights lie in the results: a subfolder is a study."""
    name = relative.name.removesuffix(".ipynb").removesuffix(".weights.h5")
    return Path("params", relative.parent.name or "paper", f"{name}.yaml").as_posix()


def rows(folder):
    """One dict a file, in order. Raises SystemExit for a run that no commit's notebook made."""
    commits = commits_by_source()
    for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
        relative = path.relative_to(folder)
        if relative.name == NAME or {"logs", "unfinished"} & set(relative.parts):
            continue
        made = {"parameters": "", "commit": ""}
        if path.suffix == ".ipynb" and read_record(path):
            commit = commits.get(tuple(sources(nbformat.read(path, 4))))
            if commit is None:
                sys.exit(f"{path}: no commit has a master notebook with this source")
            made = {"parameters": parameter_file(relative), "commit": commit}
        if path.name.endswith(".weights.h5"):
            made["parameters"] = parameter_file(relative)
        content = path.read_bytes()
        yield {"file": relative.as_posix(), "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)} | made


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit(__doc__)
    table = list(rows(sys.argv[1]))
    with open(Path(sys.argv[1], NAME), "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, table[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
