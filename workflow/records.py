"""Read executed notebooks: what became of each run, and its result record. Nothing that a notebook says is trusted."""

import gzip
import json
import re
from itertools import chain
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from notebooks import reason

RECORD_TYPE = "application/scrapbook.scrap.json+json"
MISSING = {"state": "missing", "note": "", "parameters": {}, "seconds": float("nan"), "record": None}


class Given(BaseModel, strict=True, extra="allow", allow_inf_nan=False):
    """What papermill was given: some of the parameters, or others."""

    learning_rate: float = 0
    __pydantic_extra__: dict[str, bool | int | float | str | None]


class Parameters(Given):
    """What a run was asked for; masters differ in what else there is to ask for."""

    optimizer: str
    learning_rate: float
    epochs: int
    batch_size: int = Field(ge=1)
    dataset: str
    seed: int


class Epoch(BaseModel, strict=True, allow_inf_nan=False):
    """A row of a run's history."""

    epoch: int
    accuracy: float | None
    loss: float | None
    val_accuracy: float | None
    val_loss: float | None


class Environment(BaseModel, strict=True):
    """Where a run was made."""

    versions: dict[str, str] = {}


class Record(BaseModel, strict=True, allow_inf_nan=False):
    """A result record, as far as a summary uses it: right types only, no text for a number, no NaN."""

    status: Literal["finished", "diverged"]
    parameters: Parameters
    history: list[Epoch] = Field(min_length=1)
    test_accuracy: float
    test_loss: float | None
    confusion_matrix: list[list[int]]
    dead_layer: str | None = None
    digests: dict = {}
    environment: Environment


def plain(text):
    """Text on one line, at most 200 characters, without what a terminal would obey or a file could not hold."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text)[:200]).strip()


def read_run(path):
    """What an executed notebook says: a dict of state, note, parameters (the record's, else those that papermill gave
    it), seconds (of the whole notebook, or NaN) and record (a dict or None).

    state: finished or diverged only if there is a result record; else failed (a cell raised an error), unfinished
    (killed, or still running) or unreadable. Never raises for what is wrong with the notebook.
    """
    try:
        notebook = json.loads(Path(path).read_bytes() if Path(path).is_file() else "")
        papermill = notebook["metadata"].get("papermill", {})
        given = Given.model_validate(papermill.get("parameters", {})).model_dump(exclude_unset=True)
        run = MISSING | {"parameters": given, "seconds": float(papermill.get("duration") or "nan")}
        outputs = list(chain.from_iterable(cell.get("outputs", []) for cell in notebook["cells"]))
        records = [output["data"][RECORD_TYPE]["data"] for output in outputs if RECORD_TYPE in output.get("data", {})]
        errors = [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]
        if records:
            record = Record.model_validate(records[-1])
            if {len(row) for row in record.confusion_matrix} != {len(record.confusion_matrix)}:
                raise ValueError("its confusion matrix is not square")
            return run | {"state": record.status, "record": records[-1], "parameters": records[-1]["parameters"]}
        if errors:
            return run | {"state": "failed", "note": plain(errors[0].partition("\n")[0])}
        said = "".join(chain.from_iterable(output.get("text", "") for output in outputs))
        epochs = re.findall(r"Epoch \d+/\d+", said)
        return run | {"state": "unfinished", "note": epochs[-1] if epochs else ""}
    except Exception as error:  # whatever is wrong with one notebook must not stop the others
        return MISSING | {"state": "unreadable", "note": plain(reason(error))}


def read_record(path):
    """The result record of an executed notebook, as a dict; None where it has none."""
    return read_run(path)["record"]


def read_study(folder, names=()):
    """The runs in a folder, by name, in order; also those of `names` that are not there.

    A finished run lies in the folder itself, any other in its subfolder `unfinished`.
    """
    paths = [*Path(folder, "unfinished").glob("[!.]*.ipynb"), *Path(folder).glob("[!.]*.ipynb")]
    found = {path.stem: path for path in paths}
    return {name: read_run(found[name]) if name in found else MISSING for name in sorted({*found, *names})}


def read_plan(folder):
    """The runs that a study's plan.json asks for, name to parameters, and what is wrong with the file, or ""."""
    path = Path(folder, "plan.json")
    try:
        plan = json.loads(path.read_bytes()) if path.is_file() else {"runs": {}}
        return {name: Parameters.model_validate(run).model_dump() for name, run in plan["runs"].items()}, ""
    except Exception as error:  # as above
        return {}, plain(reason(error))


def read_lines(path):
    """The result records in a file of JSON lines, compressed by gzip: run name to record."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return {line["run"]: line["record"] for line in map(json.loads, file)}
