"""Parameters: where they come from, and that wrong ones are refused before any run, with file, name and fix."""

import json
import re
import shlex
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import yaml

import notebooks
import study
import wrong_inputs
from conftest import MASTER, ONE_THREAD, PROJECT, run
from records import read_record, read_study

NEW = 'label_smoothing = 0.0  # @param {type: "number", min: 0, max: 0.99}'


@pytest.fixture
def here(project, monkeypatch):
    """A copy of the project as the working folder."""
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def wrong_study(here):
    """A project whose study `wrong` has each wrong parameter file."""
    (here / "params/wrong").mkdir()
    for name, (content, _) in wrong_inputs.FILES.items():
        (here / f"params/wrong/{name}.yaml").write_bytes(content.encode() if isinstance(content, str) else content)
    return here


def test_each_wrong_file_is_refused_with_file_name_and_fix(wrong_study):
    """All at once, in one message."""
    with pytest.raises(study.StudyError) as error:
        study.plan("wrong")
    assert not (wrong_study / "pwned").exists()
    for name, (_, words) in wrong_inputs.FILES.items():
        said = " ".join(line for line in str(error.value).splitlines() if f"params/wrong/{name}.yaml" in line)
        assert all(word in said for word in words), (name, said)


def test_the_batch_refuses_them_before_any_run(wrong_study):
    said = run("snakemake", "--config", "study=wrong", folder=wrong_study, fails=True)
    assert "Traceback" not in said and not (wrong_study / "outputs").exists()
    assert all(f"params/wrong/{name}.yaml" in said for name in wrong_inputs.FILES)


@pytest.mark.parametrize("config, words", wrong_inputs.BATCH, ids=str)
def test_wrong_options_of_the_batch_are_refused(here, config, words):
    with pytest.raises(study.StudyError) as error:
        study.plan(*study.read_options(config)[0])
    assert all(word in str(error.value) for word in words), str(error.value)


def test_layers(here):
    """Defaults, the run's file, overlays, the seed: the later wins, and a fault is laid at its own door."""
    runs = study.plan("paper", ["params/overlays/demo.yaml"], seeds=[0, 3])
    assert len(runs) == 24 and set(runs["04-adam-0.0001-seed-3"]) == set(notebooks.defaults(MASTER))
    parameters = runs["04-adam-0.0001-seed-3"]
    assert [parameters[k] for k in ("dataset", "seed", "optimizer", "dropout")] == ["digits", 3, "adam", 0.0]
    (here / "params/paper/02-adam-0.01.yaml").write_text("optimizer: adam\nlearning_rate: 2.0\n")
    (here / "overlay.yaml").write_text("epoch: 1\n")
    with pytest.raises(study.StudyError) as error:
        study.plan("paper", ["overlay.yaml"])
    assert "params/paper/02-adam-0.01.yaml: learning_rate = 2.0" in str(error.value)
    assert str(error.value).count("overlay.yaml: epoch is not a parameter: did you mean epochs?") == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_as_an_editor_on_windows_may_save_it(here, encoding):
    (here / "params/paper/04-adam-0.0001.yaml").write_text("epochs: 3\r\nseed: 1\r\n", encoding=encoding)
    assert study.plan("paper")["04-adam-0.0001"] == notebooks.defaults(MASTER) | {"epochs": 3, "seed": 1}


def test_seeds_over_a_file_that_is_one_seeds_already(here):
    shutil.copy("params/paper/04-adam-0.0001.yaml", "params/paper/04-adam-0.0001-seed-1.yaml")
    with pytest.raises(study.StudyError, match="04-adam-0.0001-seed-1.yaml: is one seed's file already"):
        study.plan("paper", seeds=[0, 1])
    assert len(study.plan("paper")) == 13


def test_a_backend_that_is_not_installed(here, monkeypatch):
    monkeypatch.setattr(study, "find_spec", lambda name: None if name == "jax" else name)
    runs = study.plan("paper", ["params/overlays/jax.yaml"])
    with pytest.raises(study.StudyError, match="pip install jax"):
        study.refuse_absent_backends(runs)
    study.refuse_absent_backends(study.plan("paper"))


def test_planning_needs_neither_tensorflow_nor_keras():
    code = ("import sys; sys.path.insert(0, 'workflow'); import study; study.plan('paper'); "
            "sys.exit(bool({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))")
    run("python", "-c", code, folder=PROJECT)


def test_the_twelve_files_are_the_papers_grid(here):
    runs, models = study.plan("paper"), pd.read_csv("paper/models.csv")
    assert len(runs) == len(models) == 12 and runs["04-adam-0.0001"] == notebooks.defaults(MASTER)
    for (name, parameters), model in zip(runs.items(), models.itertuples()):
        expected = {"optimizer": model.optimizer, "learning_rate": model.learning_rate, "batch_size": 64, "epochs": 30}
        assert parameters | expected == parameters
        assert name == f"{model.model:02}-{model.optimizer}-{model.learning_rate:g}"


def test_the_official_runs_can_be_made_again_by_the_commands_beside_them(here):
    """Each has the parameters of a run of its model and seed that one of the commands in its README plans."""
    official = PROJECT / "outputs/reference"
    readme = (official / "README.md").read_text()
    rows = re.findall(r"^\| `(.*?)` .*\| `snakemake ?(.*?)` \|$", readme, re.MULTILINE)
    planned = {}
    for folder, words in rows:
        config = dict(word.split("=") for word in shlex.split(words) if "=" in word)
        config = {name: yaml.safe_load(value) for name, value in config.items()}
        options = study.read_options(config)[0]
        layers = {Path(path).stem for path in options[1]}
        runs = [(*run, layers) for run in study.plan(*options).items()]
        planned.setdefault(folder.removesuffix("*.ipynb").strip("/") or ".", []).extend(runs)
    folders = {path.parent.relative_to(official).as_posix() for path in official.rglob("*.ipynb")} - {"summary"}
    assert folders <= set(planned)
    for folder in folders:
        found = read_study(official / folder)
        assert folder not in (".", "conv10") or set(found) == set(study.plan("paper")), "the twelve, complete"
        for name, made in found.items():
            assert fits_one(name, made["record"], planned[folder]), (folder, name)


def fits_one(name, record, planned):
    """Whether a record has the parameters of a planned run (name, parameters, overlays) as its name says.

    The name says the model and may say the seed and an overlay: Table 8 of the report goes by it.
    """
    told = notebooks.defaults(MASTER) | record["parameters"]
    seeds, paths = re.findall(r"seed-(\d+)", name) or [told["seed"]], study.PATH_PARAMETERS
    overlays = {path.stem for path in Path("params/overlays").glob("*.yaml")}
    said = {word for word in overlays if re.search(rf"-{re.escape(word)}(-seed-|$)", name)}
    return told["seed"] == int(seeds[0]) and len(record["history"]) == told["epochs"] and any(
        run[:2] == name[:2] and said <= layers and all(told[key] == plan[key] for key in plan.keys() - paths)
        for run, plan, layers in planned)


def papermill(folder, *options, master=MASTER, fails=False):
    """Run a master notebook by plain papermill; return what it says."""
    command = "papermill", master, "out.ipynb", *options, "--no-progress-bar"
    return run(*command, folder=folder, fails=fails, **ONE_THREAD)


def test_plain_papermill_refuses_a_wrong_name_type_and_range_at_once(tmp_path):
    (tmp_path / "run.yaml").write_text("lerning_rate: 0.1\nepochs: '30'\n")
    said = papermill(tmp_path, "-f", "run.yaml", "-p", "seed", "-1", "-p", "batch_norm", "1", fails=True)
    wrong = ("lerning_rate = 0.1: is not a parameter", "epochs = '30': ", "seed = -1: ", "batch_norm = 1: ")
    assert all(f"\n  {words}" in said for words in wrong), said
    executed = [cell.source for cell in nbformat.read(tmp_path / "out.ipynb", 4).cells if cell.get("execution_count")]
    assert not any("import keras" in source for source in executed)


def changed_master(path, change):
    """A copy of the master in a folder, its parameters cell changed by a function of the cell."""
    copy = nbformat.read(MASTER, 4)
    change(next(cell for cell in copy.cells if cell.metadata.get("tags") == ["parameters"]))
    nbformat.write(copy, path)
    return path


def test_plain_papermill_notices_that_the_parameters_cell_lost_its_tag(tmp_path):
    path = changed_master(tmp_path / "master.ipynb", lambda cell: cell.metadata.pop("tags"))
    assert "has lost its tag" in papermill(tmp_path, "-p", "epochs", "3", master=path, fails=True)


def test_a_new_parameter_with_a_default_breaks_nothing(here):
    """The title as Colab writes it, and one more parameter: a run works, and the official runs still fit."""
    def change(cell):
        cell.source = cell.source.replace("# @title Parameters", '# @title Parameters {run: "auto"}') + f"\n{NEW}"

    path = changed_master(here / study.MASTER, change)
    (here / "outputs/paper").mkdir(parents=True)
    for run_file in (PROJECT / "outputs/reference").glob("*.ipynb"):
        shutil.copy(run_file, here / "outputs/paper")
    runs = study.plan("paper")
    assert runs["09-sgd-0.1"]["label_smoothing"] == 0.0
    study.refuse_mixture(runs, "outputs/paper")
    with pytest.raises(study.StudyError, match="09-sgd-0.1.ipynb: was made with label_smoothing = 0.0, now .* 0.1"):
        study.refuse_mixture({"09-sgd-0.1": runs["09-sgd-0.1"] | {"label_smoothing": 0.1}}, "outputs/paper")

    options = {"dataset": "digits", "train_limit": 200, "epochs": 1, "label_smoothing": 0.2}
    papermill(here, "-y", json.dumps(options), master=path)
    record = read_record(here / "out.ipynb")
    assert record["parameters"] | options == record["parameters"]
