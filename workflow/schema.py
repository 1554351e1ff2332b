"""Write params/schema.json, from which editors know what a parameter file may hold: python workflow/schema.py

Everything in it comes from the master notebook: the rules from the class Parameters, the defaults from the parameters
cell, the descriptions from the table above that cell.
"""

import json
import re
from pathlib import Path

import nbformat

import from_notebook
from study import MASTER, PROJECT

SCHEMA = "params/schema.json"


def descriptions():
    """What the notebook's table says of each parameter: name to text."""
    text = "\n".join(cell.source for cell in nbformat.read(PROJECT / MASTER, 4).cells if cell.cell_type == "markdown")
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (.+) \|$", text, re.MULTILINE)
    return {name: meaning for names, meaning in rows for name in re.findall(r"\w+", names)}


def schema():
    """The JSON Schema of a parameter file, as a dict. Unlike in a run, no parameter is required: the rest has defaults."""
    found = from_notebook.load(PROJECT / MASTER, "Parameters").Parameters.model_json_schema()
    defaults, meanings = from_notebook.parameters(PROJECT / MASTER), descriptions()
    for name, rule in found["properties"].items():
        rule |= {"description": meanings[name], "default": defaults[name]}
        del rule["title"]
    found["properties"]["squeezenet_version"]["enum"] += [1.0, 1.1]  # as YAML reads 1.1 without quotes
    found |= {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Parameters of one run"}
    del found["required"]
    return found


def text():
    """The schema as the file holds it."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    Path(PROJECT, SCHEMA).write_text(text(), encoding="utf-8")
