"""From a folder of parameter files to the runs of a study, every parameter checked before any run starts."""

import difflib
import itertools
import json
import math
import os
import re
import reprlib
from pathlib import Path

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

import notebooks
from records import read_record

MASTER = "notebooks/squeezenet_mnist.ipynb"
OPTIONS = ("study", "runs", "overlay", "seeds", "name")  # what the batch understands after --config
NAME, SIGNS = re.compile(r"\w[\w.,+= -]{0,99}"), "1 to 100 letters, digits and -_.,+="  # of a run or a folder
MOST = 1000  # runs of a study
FIXES = {
    "float_type": ": write it without quotes, and with a point: 0.1",
    "int_type": ": write digits only, without quotes, point or exponent",
    "bool_type": ": write true or false, without quotes",
}


class StudyError(Exception):
    """What is wrong with a study, for the person who asked for it."""


def read_file(path):
    """The parameters in a file of YAML 1.2, name to value. Raises StudyError if it is anything else."""
    try:
        if path.exists() and not path.is_file():
            raise ValueError("no file")  # a pipe would never end
        content = path.read_bytes()
        if len(content) > 100_000 or re.search(rb"^%|<<", content, re.MULTILINE):
            raise ValueError("too large, or with a directive (%) or merge (<<): write one parameter in a line")
        content = YAML(typ="safe", pure=True).load(content)
    except (OSError, YAMLError, ValueError, RecursionError) as error:
        what = " ".join(str(error).partition("To suppress this check")[0].split())[:300]
        raise StudyError(f"{path}: cannot be read: {what}{': save it as UTF-8' * (' byte' in what)}") from None
    if not isinstance(content, dict):
        raise StudyError(f"{path}: should hold lines like 'optimizer: adam', one per parameter")
    if "weights_path" in content:
        raise StudyError(f"{path}: weights_path is not needed, as the batch saves each run's weights itself: delete it")
    return {str(name): value for name, value in content.items()}


def did_you_mean(word, words):
    """': did you mean …?' with the most similar of the words; empty if none is."""
    near = difflib.get_close_matches(str(word).lower(), set(words) - {str(word)}, n=1)
    return f": did you mean {near[0]}?" if near else ""


def explain(fault, fields):
    """One of pydantic's faults (a dict) as one line: name, value, what is wrong, what to do."""
    name, given, kind = str(fault["loc"][0]), fault["input"], fault["type"]
    if kind == "extra_forbidden":
        return f"{name} is not a parameter{did_you_mean(name, fields)}"
    fix = FIXES.get(kind) or did_you_mean(given, re.findall(r"[\w-]+", fault["msg"]))
    return f"{name} = {reprlib.repr(given)} ({type(given).__name__}): {fault['msg']}{fix}"


def spread(stem, own, values):
    """The runs that parameters describe in which a list means each of these: (name, parameters) one by one.

    own: the parameters in the run's own file, whose name without suffix is stem; values: those of all layers.
    """
    def word(name, value):
        if isinstance(value, str):
            return Path(value).stem
        text = f"{value:g}" if isinstance(value, float) else f"{value}"
        return text if name == "learning_rate" else f"{name}-{text}"

    lists = [name for name in values if isinstance(values[name], list)]
    lists.sort(key=lambda name: name == "seed")  # the seed stands last
    first = [] if any(isinstance(value, list) for value in own.values()) else [stem]
    for each in itertools.product(*(values[name] for name in lists)):
        yield "-".join([*first, *map(word, lists, each)]) or stem, values | dict(zip(lists, each))


def plan(study, overlays=(), seeds=(), words=()):
    """The runs of a study: run name to its checked parameters, a dict with every name of the master's.

    study: a folder of params/. Each of its .yaml or .yml files is one run, or, with lists in it, a run for each
    combination of the lists' values, named by these. overlays: files whose parameters replace those of every run.
    seeds: whole numbers; each run is made once per seed, and carries the seed in its name. words: only runs that have
    one of them in their name, between hyphens: 01 means 01-adam-0.1, not 02-adam-0.01; none: all. Raises StudyError
    with every fault found, the file named.
    """
    files = [path for path in sorted(Path("params", study).glob("[!.]*")) if path.suffix in (".yaml", ".yml")]
    overlays, faults, contents, runs = [*map(Path, overlays)], [], {}, {}
    if not files:
        known = ", ".join(sorted(path.name for path in Path("params").glob("[!.]*/") if path.name != "overlays"))
        raise StudyError(f"params/{study}: no parameter files there. Studies: {known or 'none; is this the project?'}")
    try:
        Settings, defaults = notebooks.load(MASTER, "settings").Settings, notebooks.defaults(MASTER)
    except Exception as error:
        raise StudyError(f"{MASTER}: cannot be read: {notebooks.reason(error)}") from None
    for path in [*files, *overlays]:
        try:
            contents[path] = read_file(path)
        except StudyError as error:
            faults.append(str(error))
    for path in [path for path in files if path in contents]:
        values, places = {}, {}
        for layer in [path, *overlays]:
            values |= contents.get(layer, {})
            places |= dict.fromkeys(contents.get(layer, {}), layer)
        if seeds:
            values["seed"], places["seed"] = [*seeds], "seeds"
        n = math.prod(len(value) for value in values.values() if isinstance(value, list))
        if not 1 <= n <= MOST:
            faults.append(f"{path}: its lists mean {n} runs: let it be 1 to {MOST}")
            continue
        for name, given in spread(path.stem, contents[path], values):
            if name in runs or not NAME.fullmatch(name):
                faults.append(f"{path}: {name[:200]!r} cannot name a run, or names two: it needs {SIGNS}")
            try:
                runs[name] = Settings(**defaults | given).model_dump()
            except ValidationError as error:
                faults += [f"{places.get(fault['loc'][0], MASTER)}: {explain(fault, Settings.model_fields)}"
                           for fault in error.errors()]
    if faults:
        raise StudyError("wrong in the parameters:\n  " + "\n  ".join(sorted(set(faults))))
    chosen = set() if words else set(runs)
    for word in words:
        found = {name for name in runs if f"-{word}-" in f"-{name}-"}
        if not found:
            raise StudyError(f"runs={word}: no run has this word in its name. There are: {', '.join(runs)}")
        chosen |= found
    return {name: runs[name] for name in sorted(chosen)}


def read_options(config):
    """What was given after --config: (the arguments of plan(), the folder in outputs/). Raises StudyError.

    config: option to text; several values are separated by commas, as in seeds=0,1,2 (or seeds=[0,1,2]).
    """
    given = {name: [part.strip(" '\"") for part in str(text).strip("[]").split(",")] for name, text in config.items()}
    for option, parts in given.items():
        if option not in OPTIONS:
            hint = did_you_mean(option, OPTIONS) or f": there are {', '.join(OPTIONS)}"
            raise StudyError(f"--config {option}=…: no such option{hint}")
        if "" in parts:
            raise StudyError(f"--config {option}={config[option]}: a value is empty: write one, or no {option} at all")
    overlays, study = given.get("overlay", []), str(config.get("study", "paper"))
    seeds = [int(seed) if re.fullmatch(r"-?\d{1,20}", seed) else seed for seed in given.get("seeds", [])]
    parts = [Path(path).stem for path in overlays]
    if study != "paper" or not overlays:
        parts.insert(0, study)
    if seeds:
        parts.append("seeds")
    name = str(config.get("name", "-".join(parts)))
    for option, value in {"study": study, "name": name}.items():
        if not all(map(NAME.fullmatch, value.split("/"))) or value.split("/")[0].casefold() == "reference":
            raise StudyError(f"{option}={value}: should be a folder's name, of {SIGNS}, without '..' and not beginning "
                             "with '/', and other than 'reference', where the official runs are")
    return (study, overlays, seeds, given.get("runs", [])), f"outputs/{name}"


def faults_of(record, asked):
    """What keeps a result record (a dict, or None) from being that of a run with these parameters: lines of text."""
    if not record:
        return ["holds no result"]
    made = notebooks.defaults(MASTER) | record["parameters"]  # a record may be older than a parameter
    faults = [f"was made with {name} = {made[name]!r}, asked for is {value!r}"
              for name, value in asked.items() if made[name] != value and name != "weights_path"]
    early = record["status"] == "diverged" or record.get("dead_layer") and asked["stop_when_dead"]
    if len(record["history"]) != asked["epochs"] and not early:
        faults.append(f"has {len(record['history'])} epochs of {asked['epochs']}")
    return faults


def refuse_mixture(runs, folder):
    """Raise StudyError if a finished run in the folder is not the one planned under this name."""
    faults, network = [], notebooks.sources(MASTER, "network")
    for name, asked in runs.items():
        path = Path(folder, f"{name}.ipynb")
        if path.exists():
            record = read_record(path)
            faults += [f"{path}: {fault}" for fault in faults_of(record, asked)]
            if record and list(notebooks.sources(path, "network").values()) != list(network.values()):
                faults.append(f"{path}: was made with another network: its code in {MASTER} has changed since")
    if faults:
        raise StudyError(f"{folder} holds other runs under these names\n  " + "\n  ".join(faults)
                         + "\n  to do: choose another folder with --config name=…, or move these files away")


def write_plan(folder, **content):
    """Write outputs/<study>/plan.json. Raises StudyError if the folder cannot be written."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, "plan.json.new").write_text(json.dumps(content, indent=1), encoding="utf-8")
        os.replace(Path(folder, "plan.json.new"), Path(folder, "plan.json"))
    except OSError as error:
        raise StudyError(f"{folder}: cannot be written ({error.strerror}): --config name=… chooses another") from None
