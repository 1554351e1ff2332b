"""Read executed notebooks: what became of each run, and its result record. Nothing that a notebook says is trusted."""

import gzip
import json
import re
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints, field_validator

from notebooks import reason

RECORD_TYPE = "application/scrapbook.scrap.json+json"
MISSING = {"state": "missing", "note": "", "parameters": {}, "seconds": None, "record": None}

Count = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1)]
Loss = Annotated[float, Field(ge=0, lt=4e38)]
Text = Annotated[str, StringConstraints(max_length=500)]


class Checked(BaseModel, strict=True, allow_inf_nan=False):
    """Right types only: no text for a number, no NaN."""


class Parameters(Checked, extra="allow"):
    """What a run was asked for; older masters had further parameters."""

    optimizer: Text
    learning_rate: float
    epochs: Count
    batch_size: Annotated[int, Field(ge=1, lt=2**32)]
    dataset: Text
    seed: Count
    __pydantic_extra__: dict[str, bool | int | float | Text | None]


class Epoch(Checked):
    epoch: Count
    accuracy: Share | None
    loss: Loss | None
    val_accuracy: Share | None
    val_loss: Loss | None


class Environment(Checked):
    cpu: Text | None = None
    threads: Text | dict | None = None
    versions: dict[str, Text] = {}


class Record(Checked):
    """A result record, as far as a summary uses it."""

    status: Literal["finished", "diverged"]
    parameters: Parameters
    history: list[Epoch] = Field(min_length=1)
    test_accuracy: Share
    test_loss: Loss | None
    confusion_matrix: list[list[Count]]
    dead_layer: Text | None = None
    digests: dict = {}
    environment: Environment

    @field_validator("confusion_matrix")
    @classmethod
    def square(cls, matrix):
        """Refuse a matrix that is not square, or without images."""
        if {len(row) for row in matrix} != {len(matrix)} or not any(map(any, matrix)):
            raise ValueError("is no confusion matrix")
        return matrix


class Papermill(Checked):
    """What papermill notes in a notebook's metadata."""

    parameters: dict[str, bool | int | float | Text | None] = {}
    duration: float | None = None


def plain(text):
    """Text on one line, at most 200 characters, without what a terminal would obey or a file could not hold."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text)[:200]).strip()


def read_run(path):
    """What an executed notebook says: a dict of state, note, parameters (the record's, else those that papermill gave
    it), seconds (of the whole notebook, or None) and record (a dict or None).

    state: finished or diverged only if there is a result record; else failed (a cell raised an error), unfinished
    (killed, or still running) or unreadable. Never raises for what is wrong with the notebook.
    """
    try:
        notebook = json.loads(Path(path).read_bytes() if Path(path).is_file() else "")
        papermill = Papermill.model_validate(notebook["metadata"].get("papermill", {}))
        run = MISSING | {"parameters": papermill.parameters, "seconds": papermill.duration}
        outputs = list(chain.from_iterable(cell.get("outputs", []) for cell in notebook["cells"]))
        records = [output["data"][RECORD_TYPE]["data"] for output in outputs if RECORD_TYPE in output.get("data", {})]
        errors = [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]
        if records:
            record = Record.model_validate(records[-1])
            return run | {"state": record.status, "record": records[-1], "parameters": record.parameters.model_dump()}
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
