"""From a folder of parameter files to the runs of a study, every parameter checked before any run starts."""

import difflib
import functools
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

import from_notebook

PROJECT = Path(__file__).parent.parent
MASTER = "notebooks/squeezenet_mnist.ipynb"
SUMMARY = "notebooks/summary.ipynb"
PLACES = {"data_path", "weights_path"}  # where files lie: not part of what a run computes

OPTIONS = {"study", "overlay", "seeds", "name", "progress"}  # what the batch understands after --config


class StudyError(Exception):
    """What is wrong with a study, for the person who asked for it."""


@dataclass
class Run:
    """One training: its parameter files (later ones win), its seed where the study names seeds, all its parameters."""

    files: list
    seed: int | None
    parameters: dict


@functools.cache
def _checks():
    """The master notebook's definition of what a run may be told, and of how a parameter file is read."""
    return from_notebook.load(PROJECT / MASTER, "CheckedParameters", "explain", "read_parameter_file", "RunError")


def read_parameters(path):
    """The parameters in a YAML file, name to value. Raises StudyError where it is not a readable list of them."""
    try:
        return _checks().read_parameter_file(path)
    except _checks().RunError as error:
        raise StudyError(str(error)) from None


def plan(study, overlays=(), seeds=()):
    """The runs of a study: run name to Run.

    study: a folder of params/, each of its .yaml files is one run. overlays: files whose parameters replace those of
    every run. seeds: whole numbers; each run is made once a seed, and carries the seed in its name. Without seeds,
    the seed is the one in the files. Raises StudyError with every fault found, the file named.
    """
    files = sorted(Path("params", study).glob("*.yaml"))
    if not files:
        known = sorted(folder.name for folder in Path("params").glob("*/"))
        raise StudyError(f"params/{study}: no parameter files there. Studies: {', '.join(known)}")
    checks = _checks()
    defaults = from_notebook.parameters(MASTER)
    runs, faults = {}, {f"{file}: rename it to .yaml": None for file in Path("params", study).glob("*.yml")}
    for file in files:
        for seed in seeds or [None]:
            layers = {}
            for path in [file, *map(Path, overlays)]:
                try:
                    layers[path] = read_parameters(path)
                except StudyError as error:
                    faults[str(error)] = None
            if seed is not None:
                layers["seeds"] = {"seed": seed}
            given = {name: (value, path) for path, layer in layers.items() for name, value in layer.items()}
            parameters = defaults | {name: value for name, (value, _) in given.items()}
            try:
                parameters = checks.CheckedParameters(**{str(k): v for k, v in parameters.items()}).model_dump()
            except ValidationError as error:
                for fault in error.errors():
                    faults[f"{given.get(fault['loc'][0], (None, MASTER))[1]}: {checks.explain(fault)}"] = None
            name = file.stem if seed is None else f"{file.stem}-seed-{seed}"
            runs[name] = Run([str(file), *map(str, overlays)], seed, parameters)
    if faults:
        raise StudyError(f"{len(faults)} wrong in the parameters\n  " + "\n  ".join(faults))
    return runs


def prepare(study, overlays=(), seeds=(), name=None):
    """A study that can be made: its folder in outputs/, and its runs as by plan().

    seeds: whole numbers, also as text, as snakemake hands them over. name: of the folder; None: that of the last
    overlay, else of the study. Raises StudyError with what stands against it, before anything is made.
    """
    name = (Path(overlays[-1]).stem if overlays else study) if name is None else name
    folder = f"outputs/{name}"
    refuse_path(study=study, name=name)
    runs = plan(study, overlays, [int(seed) if re.fullmatch("-?[0-9]+", str(seed)) else seed for seed in seeds])
    refuse_mixture(runs, folder)
    refuse_unwritable(folder)
    return folder, runs


@functools.cache
def _summary():
    """The summary notebook's function that reads an executed notebook."""
    return from_notebook.load(PROJECT / SUMMARY, "read_run")


def read_record(path):
    """The result record of an executed notebook as a dict; None where the notebook has none."""
    return _summary().read_run(path)["record"]


def refuse_mixture(runs, folder):
    """Raise StudyError where a finished run in the folder was made with other parameters than planned."""
    faults = []
    for name, run in runs.items():
        path = Path(folder, f"{name}.ipynb")
        record = read_record(path) if path.exists() else {"parameters": run.parameters}
        if record is None:
            faults.append(f"{path}: holds no result")
            continue
        for key, planned in run.parameters.items():
            made = record["parameters"].get(key)
            if made != planned and key not in PLACES:
                faults.append(f"{path}: was made with {key} = {made!r}, now asked for is {planned!r}")
    if faults:
        raise StudyError(
            f"{folder} holds other runs under these names\n  " + "\n  ".join(faults)
            + "\n  to do: choose another folder with --config name=…, or move these files away"
        )


def refuse_options(config):
    """Raise StudyError where the batch was given an option after --config that it does not know."""
    for name in set(config) - OPTIONS:
        near = difflib.get_close_matches(name, OPTIONS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(OPTIONS))}"
        raise StudyError(f"--config {name}=…: no such option: {hint}")


def refuse_path(**names):
    """Raise StudyError where a name given to the batch leads out of its folder."""
    for what, name in names.items():
        if not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise StudyError(f"{what}={name}: should be the name of a folder, without '..' and not beginning with '/'")


def refuse_unwritable(folder):
    """Raise StudyError where nothing can be written into a folder, or where it cannot be made."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise StudyError(f"{folder}: cannot be written ({error.strerror}): choose another with --config name=…") from None
