"""Parameters: where they come from, and that wrong ones are refused before any run, with file, name and fix."""

import json
import os
import shutil

import nbformat
import pandas as pd
import pytest

import notebooks
import study
import wrong_inputs
from conftest import MASTER, ONE_THREAD, PROJECT, run, write_study
from records import read_record, read_study


@pytest.fixture
def here(project, monkeypatch):
    """A copy of the project as the working folder."""
    monkeypatch.chdir(project)
    return project


def test_each_wrong_file_is_refused_before_any_run_with_file_name_and_fix(here):
    """All at once, in one message."""
    (here / "params/wrong").mkdir()
    for name, (content, _) in wrong_inputs.FILES.items():
        path = here / f"params/wrong/{name}{'' if name.endswith('.yml') else '.yaml'}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    os.mkfifo("params/wrong/fifo.yaml")
    said = run("snakemake", "--config", "study=wrong", folder=here, fails=True)
    assert not (here / "pwned").exists() and not (here / "outputs").exists() and "Traceback" not in said
    for name, (_, words) in (wrong_inputs.FILES | {"fifo": ("", ["no file"])}).items():
        place = f"params/wrong/{name}".encode(errors="backslashreplace").decode()
        lines = [line for line in said.splitlines() if place in line]
        assert all(word in " ".join(lines) for word in words), (name, lines, said)


@pytest.mark.parametrize("typed, words", wrong_inputs.BATCH)
def test_wrong_options_of_the_batch_are_refused(here, typed, words):
    with pytest.raises(study.StudyError) as error:
        study.plan(*study.read_options(dict([typed.split("=")]))[0])
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize("typed, folder", [
    ({}, "paper"), ({"overlay": "a/b.yaml,c.yaml"}, "b-c"), ({"seeds": "[0, 1]"}, "paper-seeds"),
    ({"study": "01", "overlay": "b.yaml", "seeds": "3"}, "01-b-seeds"), ({"study": "x", "name": "deep/1"}, "deep/1"),
])
def test_different_studies_have_different_folders(typed, folder):
    assert study.read_options(typed)[1] == f"outputs/{folder}"


def test_options_as_they_are_typed(here):
    """In any shell, and with the brackets of old."""
    options = "runs=04-adam,09-sgd", "overlay=params/overlays/demo.yaml"
    for seeds in ("0,3", "[0,3]"):
        said = run("snakemake", "--dry-run", "--config", *options, f"seeds={seeds}", folder=here)
        names = [f"{name}-seed-{seed}" for name in ("04-adam-0.0001", "09-sgd-0.1") for seed in (0, 3)]
        assert said.split("To do:")[1].split()[:4] == names and "0 of 4 runs" in said


def test_layers(here):
    """Defaults, the run's file, overlays, the seed: the later wins, and a fault is laid at its own door."""
    runs = study.plan("paper", ["params/overlays/demo.yaml"], seeds=[0, 3])
    parameters = runs["04-adam-0.0001-seed-3"]
    assert len(runs) == 24 and parameters.keys() == notebooks.defaults(MASTER).keys()
    assert [parameters[k] for k in ("dataset", "seed", "optimizer", "dropout")] == ["digits", 3, "adam", 0.0]
    write_study(here, one={"learning_rate": 2.0})
    (here / "overlay.yaml").write_text("epoch: 1\n")
    with pytest.raises(study.StudyError) as error:
        study.plan("mini", ["overlay.yaml"])
    assert "params/mini/one.yaml: learning_rate = 2.0" in str(error.value)
    assert "overlay.yaml: epoch is not a parameter: did you mean epochs?" in str(error.value)
    shutil.copy("params/paper/04-adam-0.0001.yaml", "params/paper/04-adam-0.0001-seed-1.yaml")
    with pytest.raises(study.StudyError, match="04-adam-0.0001-seed-1.yaml"):
        study.plan("paper", seeds=[0, 1])


def test_a_list_means_each_of_these(here):
    """Two lists are the paper's grid; runs are named by what differs; an overlay replaces a list or brings one."""
    rates = [0.1, 0.01, 0.001, 0.0001]
    write_study(here, grid={"optimizer": ["adam", "rmsprop", "sgd"], "learning_rate": rates})
    runs, paper, models = study.plan("mini"), study.plan("paper"), pd.read_csv("paper/models.csv")
    assert {name.partition("-")[2]: parameters for name, parameters in paper.items()} == runs
    assert [*paper] == [f"{m.model:02}-{m.optimizer}-{m.learning_rate:g}" for m in models.itertuples()]
    assert paper["04-adam-0.0001"] == notebooks.defaults(MASTER)
    write_study(here, one={"seed": 1})
    (here / "over.yaml").write_text("learning_rate: 1e-4\nbatch_norm: [true, false]\ndataset: my/own.npz\n")
    assert {*study.plan("mini", ["over.yaml"], words=["one", "sgd"])} == {
        *("one-batch_norm-True one-batch_norm-False sgd-batch_norm-True sgd-batch_norm-False".split())}
    assert {*study.plan("mini", seeds=[0, 10], words=["one", "sgd-0.1-"])} == {
        *("one-seed-0 one-seed-10 sgd-0.1-seed-0 sgd-0.1-seed-10".split())}


@pytest.mark.parametrize("content", [
    "epochs: 3\r\nseed: 10\r\n".encode("utf-8-sig"), "epochs: 3\r\nseed: 10\r\n".encode("utf-16"),
    b"epochs: 0003\nseed: 010\n"])
def test_what_a_person_wrote_is_what_is_trained(here, content):
    """Also from an editor on Windows, and without numbers to the base of 8; other programs' files are nobody's."""
    write_study(here, one={})
    (here / "params/mini/one.yaml").write_bytes(content)
    (here / "params/mini/.#one.yaml").symlink_to("nowhere")
    (here / "params/mini/._one.yaml").write_bytes(b"\x00\x05\x16\x07")
    assert study.plan("mini") == {"one": notebooks.defaults(MASTER) | {"epochs": 3, "seed": 10}}


def test_planning_needs_neither_tensorflow_nor_keras():
    code = ("import sys; sys.path.insert(0, 'workflow'); import study; study.plan('paper'); "
            "sys.exit(bool({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))")
    run("python", "-c", code, folder=PROJECT)


@pytest.mark.parametrize("folder, overlays", [(".", []), ("fire10-dense", ["params/overlays/fire10-dense.yaml"])])
def test_the_official_runs_are_those_that_the_files_describe(folder, overlays):
    runs, official = study.plan("paper", overlays), PROJECT / "outputs/reference" / folder
    assert runs.keys() == read_study(official).keys() and len(runs) == 12
    study.refuse_mixture(runs, official)
    with pytest.raises(study.StudyError, match="09-sgd-0.1.ipynb: was made with seed = 0, asked for is 1"):
        study.refuse_mixture({name: run | {"seed": 1} for name, run in runs.items()}, official)


@pytest.mark.parametrize("change, right", [
    ({}, True), ({"history": 2}, False), ({"history": 2, "status": "diverged"}, True),
    ({"history": 2, "dead_layer": "fire2"}, False),
    ({"history": 2, "dead_layer": "fire2", "stop_when_dead": True}, True),
    ({"seed": 1}, False), ({"weights_path": "elsewhere.weights.h5"}, True),
])
def test_a_record_counts_only_for_what_was_asked(change, right):
    asked = notebooks.defaults(MASTER) | {"epochs": 3, "stop_when_dead": change.get("stop_when_dead", False)}
    parameters = asked | {name: value for name, value in change.items() if name in asked}
    record = {"parameters": parameters, "status": "finished", "dead_layer": None, "history": [{}] * 3}
    record |= {name: value for name, value in change.items() if name in record}
    record |= {"history": [{}] * change.get("history", 3)}
    assert (study.faults_of(record, asked) == []) == right


def papermill(folder, *options, master=MASTER, fails=False):
    """Run a master notebook by plain papermill; return what it says."""
    command = "papermill", master, "out.ipynb", *options, "--no-progress-bar"
    return run(*command, folder=folder, fails=fails, **ONE_THREAD)


def test_plain_papermill_refuses_a_wrong_name_type_and_range_at_once(tmp_path):
    (tmp_path / "run.yaml").write_text("lerning_rate: 0.1\nepochs: '30'\n")
    said = papermill(tmp_path, "-f", "run.yaml", "-p", "seed", "-1", "-p", "batch_norm", "1", fails=True)
    assert all(f"\n{name}\n" in said for name in ("lerning_rate", "epochs", "seed", "batch_norm")), said
    executed = [cell.source for cell in nbformat.read(tmp_path / "out.ipynb", 4).cells if cell.get("execution_count")]
    assert not any("import keras" in source for source in executed)


def test_a_new_parameter_with_a_default_breaks_nothing(here):
    """The official runs still fit, and a run with it works."""
    new = nbformat.read(MASTER, 4)
    for cell in new.cells:
        if cell.metadata.get("tags") == ["parameters"]:
            cell.source += "\nlabel_smoothing = 0.0"
        if cell.metadata.get("tags") == ["settings"]:
            cell.source += "\n    label_smoothing: float = Field(ge=0, le=0.99)"
    nbformat.write(new, here / study.MASTER)
    runs = study.plan("paper")
    assert runs["09-sgd-0.1"]["label_smoothing"] == 0.0
    study.refuse_mixture(runs, PROJECT / "outputs/reference")
    options = {"dataset": "digits", "batch_size": 50, "epochs": 1, "label_smoothing": 0.2}
    papermill(here, "-y", json.dumps(options), master=here / study.MASTER)
    record = read_record(here / "out.ipynb")
    assert record["parameters"] | options == record["parameters"]
