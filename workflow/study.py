"""From a folder of parameter files to the runs of a study, every parameter checked before any run starts."""

import difflib
import json
import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import yaml
from pydantic import ValidationError

import notebooks
from records import read_record

MASTER, SUMMARY = "notebooks/squeezenet_mnist.ipynb", "notebooks/summary.ipynb"
PATH_PARAMETERS = {"data_path", "weights_path"}  # where files lie: not part of what a run computes
OPTIONS = ("study", "runs", "overlay", "seeds", "name")  # what the batch understands after --config
FIXES = {
    ("float_type", str): ": write it without quotes and as 0.0001, since YAML takes 1e-4 for text",
    ("int_type", str): ": write it without quotes",
    ("literal_error", float): ": write it in quotes",
    ("bool_type", str): ": write true or false, without quotes",
    ("bool_type", int): ": write true or false",
}


class StudyError(Exception):
    """What is wrong with a study, for the person who asked for it."""


def read_file(path):
    """The parameters in a YAML file, name to value. Raises StudyError if it is anything else."""
    try:
        text = Path(path).read_bytes()
        content, tree = yaml.safe_load(text), yaml.compose(text, yaml.SafeLoader)
    except (OSError, yaml.YAMLError) as error:
        fix = ": save it as UTF-8" * isinstance(error, yaml.reader.ReaderError)
        raise StudyError(f"{path}: cannot be read: {' '.join(str(error).split())}{fix}") from None
    if not isinstance(content, dict):
        raise StudyError(f"{path}: should hold lines like 'optimizer: adam', one per parameter")
    seen = {"weights_path": "is not needed, as the batch saves each run's weights itself: delete this line"}
    for key, _ in tree.value:
        if key.value in seen:
            raise StudyError(f"{path}, line {key.start_mark.line + 1}: {key.value} {seen[key.value]}")
        seen[key.value] = "is given twice: delete one of them"
    return content


def did_you_mean(word, words, otherwise=""):
    """': did you mean …?' with the most similar of the words; else the text `otherwise`."""
    near = difflib.get_close_matches(str(word).lower(), set(words) - {str(word)}, n=1)
    return f": did you mean {near[0]}?" if near else otherwise


def explain(fault, fields):
    """One of pydantic's faults (a dict) as one line: name, value, what is wrong, what to do."""
    name, given, kind = str(fault["loc"][0]), fault["input"], fault["type"]
    if kind == "extra_forbidden":
        return f"{name} is not a parameter{did_you_mean(name, fields)}"
    fix = FIXES.get((kind, type(given))) or did_you_mean(given, map(str, get_args(fields[name].annotation)))
    return f"{name} = {given!r} ({type(given).__name__}): {fault['msg'].removeprefix('Value error, ')}{fix}"


def plan(study, overlays=(), seeds=(), words=()):
    """The runs of a study: run name to its checked parameters, a dict with every name of the master's.

    study: a folder of params/, each of its .yaml files is one run. overlays: files whose parameters replace those of
    every run. seeds: whole numbers; each run is made once per seed, and carries the seed in its name. Without seeds,
    the seed is the one in the files. words: only files that have one of them in their name; none: all.
    Raises StudyError with every fault found, the file named.
    """
    files = sorted(Path("params", study).glob("*.yaml"))
    if not files:
        known = ", ".join(sorted(folder.name for folder in Path("params").glob("*/")))
        raise StudyError(f"params/{study}: no parameter files there. Studies: {known}")
    for word in words:  # YAML takes 04 for the number 4
        if not any(isinstance(word, str) and word in file.stem for file in files):
            names = ", ".join(file.stem for file in files)
            raise StudyError(f"runs={word}: no run has this in its name, or it is a number: write more of: {names}")
    files = [file for file in files if not words or any(word in file.stem for word in words)]
    faults, contents, runs = [f"{file}: rename it to .yaml" for file in Path("params", study).glob("*.yml")], {}, {}
    for path in [*files, *map(Path, overlays)]:
        try:
            contents[path] = read_file(path)
        except StudyError as error:
            faults.append(str(error))
            contents[path] = {}
        if seeds and path in files and re.search(r"-seed-\d+$", path.stem):
            faults.append(f"{path}: is one seed's file already: rename it, or leave out seeds")
    Parameters, defaults = notebooks.load(MASTER, "check").Parameters, notebooks.defaults(MASTER)
    for file in files:
        for seed in seeds or [None]:
            layers = {path: contents[path] for path in [file, *map(Path, overlays)]}
            layers |= {} if seed is None else {"seeds": {"seed": seed}}
            places = {str(name): path for path, layer in layers.items() for name in layer}
            values = defaults | {str(name): value for layer in layers.values() for name, value in layer.items()}
            try:
                runs[file.stem + ("" if seed is None else f"-seed-{seed}")] = Parameters(**values).model_dump()
            except ValidationError as error:
                faults += [f"{places.get(fault['loc'][0], MASTER)}: {explain(fault, Parameters.model_fields)}"
                           for fault in error.errors()]
    if faults := list(dict.fromkeys(faults)):
        raise StudyError(f"{len(faults)} wrong in the parameters\n  " + "\n  ".join(faults))
    return runs


def read_options(config):
    """What was given after --config: (the arguments of plan(), the folder in outputs/). Raises StudyError."""
    for option in set(config) - set(OPTIONS):
        hint = did_you_mean(option, OPTIONS, f": there are {', '.join(OPTIONS)}")
        raise StudyError(f"--config {option}=…: no such option{hint}")
    study, lists = str(config.get("study", "paper")), [config.get(name, []) for name in ("overlay", "seeds", "runs")]
    overlays, seeds, words = (value if isinstance(value, list) else [value] for value in lists)
    seeds = [int(seed) if re.fullmatch(r"-?\d+", str(seed)) else seed for seed in seeds]  # snakemake hands over text
    name = str(config.get("name", Path(overlays[-1]).stem if overlays else study))
    for option, value in {"study": study, "name": name}.items():
        if not value or Path(value).is_absolute() or ".." in Path(value).parts:
            raise StudyError(f"{option}={value}: should be a folder's name, without '..' and not beginning with '/'")
    return (study, overlays, seeds, words), f"outputs/{name}"


def refuse_mixture(runs, folder):
    """Raise StudyError if a finished run in the folder was made with other parameters than planned."""
    defaults, faults = notebooks.defaults(MASTER), []
    for name, path in {name: Path(folder, f"{name}.ipynb") for name in runs}.items():
        record = read_record(path) if path.exists() else {"parameters": runs[name]}
        if record is None:
            faults.append(f"{path}: holds no result")
            continue
        recorded = defaults | record["parameters"]  # older records lack newer parameters
        faults += [f"{path}: was made with {key} = {recorded[key]!r}, now asked for is {planned!r}"
                   for key, planned in runs[name].items() if recorded[key] != planned and key not in PATH_PARAMETERS]
    if faults:
        raise StudyError(f"{folder} holds other runs under these names\n  " + "\n  ".join(faults)
                         + "\n  to do: choose another folder with --config name=…, or move these files away")


def refuse_absent_backends(runs):
    """Raise StudyError if a run asks for a backend that is not installed here."""
    absent = sorted({run["backend"] for run in runs.values() if find_spec(run["backend"]) is None})
    if absent:
        raise StudyError(f"backend: not installed here: {', '.join(absent)}: pip install {' '.join(absent)}")


def write_plan(folder, **content):
    """Write outputs/<study>/plan.json. Raises StudyError if the folder cannot be written."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, "plan.json.new").write_text(json.dumps(content, indent=1), encoding="utf-8")
        os.replace(Path(folder, "plan.json.new"), Path(folder, "plan.json"))
    except OSError as error:
        raise StudyError(f"{folder}: cannot be written ({error.strerror}): choose another, --config name=…") from None
