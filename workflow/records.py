"""Read executed notebooks: what became of each run, and its result record."""

import gzip
import json
import re
from pathlib import Path

import nbformat
import numpy as np

RECORD_TYPE = "application/scrapbook.scrap.json+json"
CONSTANT = 0.99  # a network that gives at least this share of the images one answer has collapsed
ABSENT = {"state": "missing", "note": "", "parameters": {}, "record": None, "sample": None}


def read_run(path):
    """What an executed notebook says: a dict of state, note, parameters (those that papermill gave it, a dict), record
    (a dict or None) and sample (a PNG in base64 or None).

    state: finished or diverged only if the result record is there; else failed (a cell raised an error), unfinished
    (killed, or still running) or unreadable. Never raises for what is wrong with the notebook.
    """
    run = ABSENT | {"state": "unfinished"}
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:  # whatever is wrong with one notebook must not stop the others
        return run | {"state": "unreadable", "note": type(error).__name__}
    run["parameters"] = dict(notebook.metadata.get("papermill", {}).get("parameters", {}))
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        data = output.get("data", {})
        run["sample"] = run["sample"] or data.get("image/png")
        if output.output_type == "error":
            return run | {"state": "failed", "note": f"{output.ename}: {output.evalue}".splitlines()[0]}
        if RECORD_TYPE in data:
            record = data[RECORD_TYPE]["data"]
            return run | {"state": record["status"], "record": record, "note": ""}
        if output.output_type == "stream":
            run["note"] = (re.findall(r"epoch \d+/\d+", output.text) or [run["note"]])[-1]
    return run


def read_record(path):
    """The result record of an executed notebook, as a dict; None where it has none."""
    return read_run(path)["record"]


def read_study(folder, names=()):
    """The runs in a folder, by name, in order; also those of `names` that are not there.

    A finished run lies in the folder itself, any other in its subfolder `unfinished`.
    """
    paths = [*Path(folder, "unfinished").glob("*.ipynb"), *Path(folder).glob("*.ipynb")]
    found = {path.stem: path for path in paths}
    return {name: read_run(found[name]) if name in found else ABSENT for name in sorted({*found, *names})}


def read_lines(path):
    """The result records in a file of JSON lines, compressed by gzip: run name to record."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return {line["run"]: line["record"] for line in map(json.loads, file)}


def constant_answer(answers):
    """The class that at least 99 % of the images are given, or None; answers: number of images by class given."""
    answers = np.asarray(answers)
    return int(answers.argmax()) if answers.max() >= CONSTANT * answers.sum() else None


def test_answers(record):
    """How many test images are given each class: (10,), from a record's confusion matrix."""
    return np.sum(record["confusion_matrix"], axis=0)
