"""Parameters: where they come from, and that wrong ones are refused before any run, with file, name and fix."""

import os
import re

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
    os.mkfifo("params/wrong/fifo.yaml")
    expected = {"fifo.yaml": ["no file"]}
    cases = [(words, content, "") for words, contents in wrong_inputs.FILES for content in contents]
    cases += [(["cannot name a run", "letters, digits"], "epochs: 3", name) for name in wrong_inputs.NAMES]
    for number, (words, content, name) in enumerate(cases):
        path = here / f"params/wrong/{name or number}.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        expected[path.name.encode(errors="backslashreplace").decode()] = words
    said = run("snakemake", "--config", "study=wrong", folder=here, fails=True)
    assert not (here / "pwned").exists() and not (here / "outputs").exists() and "Traceback" not in said
    for name, words in expected.items():
        line = " ".join(line for line in said.splitlines() if f"params/wrong/{name}" in line)
        assert all(word in line for word in words), (name, words, said)


@pytest.mark.parametrize("typed, words", wrong_inputs.BATCH)
def test_wrong_options_of_the_batch_are_refused(here, typed, words):
    with pytest.raises(study.StudyError) as error:
        study.plan(*study.read_options(dict([typed.split("=")]))[0])
    assert all(word in str(error.value) for word in words), str(error.value)


def test_options_as_they_are_typed(here):
    """In any shell, and with the brackets of old; different studies have different folders."""
    options = "runs=01,09-sgd", "overlay=params/overlays/demo.yaml"
    for seeds in ("0,3", "[0,3]"):
        said = run("snakemake", "--dry-run", "--config", *options, f"seeds={seeds}", folder=here)
        names = [f"{name}-seed-{seed}" for name in ("01-adam-0.1", "09-sgd-0.1") for seed in (0, 3)]
        assert said.split("To do:")[1].split()[:4] == names and "outputs/demo-seeds: 0 of 4 runs" in said
    for typed, folder in [({}, "paper"), ({"overlay": "a/b.yaml,c.yaml"}, "b-c"), ({"seeds": "3"}, "paper-seeds"),
                          ({"study": "01", "overlay": "b.yaml"}, "01-b"), ({"study": "x", "name": "deep/1"}, "deep/1")]:
        assert study.read_options(typed)[1] == f"outputs/{folder}"


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
    for pattern, new in [(r'"parameters"(?=\s*\])', '"lost"'), (r"\A", "<<<<<<< HEAD\n")]:  # a tag; a merge
        (here / study.MASTER).write_text(re.sub(pattern, new, (here / study.MASTER).read_text()))
        with pytest.raises(study.StudyError, match=f"{study.MASTER}: cannot be read"):
            study.plan("paper")


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
    assert {*study.plan("mini", seeds=[0, 10], words=["one", "sgd-0.1"])} == {
        *("one-seed-0 one-seed-10 sgd-0.1-seed-0 sgd-0.1-seed-10".split())}


@pytest.mark.parametrize("content", [
    "epochs: 3\r\nseed: 10\r\n".encode("utf-8-sig"), "epochs: 3\r\nseed: 10\r\n".encode("utf-16"),
    b"epochs: 0003\nseed: 010\n"])
def test_what_a_person_wrote_is_what_is_trained(here, content):
    """Also from an editor on Windows, without numbers to the base of 8; names that begin with a dot are nobody's."""
    write_study(here, one={})
    (here / "params/mini/one.yaml").write_bytes(content)
    (here / "params/mini/.#one.yaml").symlink_to("nowhere")
    (here / "params/mini/._one.yaml").write_bytes(b"\x00\x05\x16\x07")
    assert study.plan("mini") == {"one": notebooks.defaults(MASTER) | {"epochs": 3, "seed": 10}}


@pytest.mark.parametrize("folder, overlays", [(".", []), ("fire10-dense", ["params/overlays/fire10-dense.yaml"])])
def test_the_official_runs_are_those_that_the_files_describe(here, folder, overlays):
    """Also after a parameter with a default has been added."""
    master = nbformat.read(study.MASTER, 4)
    for tag, line in {"parameters": "smoothing = 0.0", "settings": "    smoothing: float = Field(ge=0)"}.items():
        next(cell for cell in master.cells if cell.metadata.get("tags") == [tag]).source += f"\n{line}"
    nbformat.write(master, study.MASTER)
    runs, official = study.plan("paper", overlays), PROJECT / "outputs/reference" / folder
    assert runs.keys() == read_study(official).keys() and runs["09-sgd-0.1"]["smoothing"] == 0.0
    for name, asked in runs.items():
        record = read_record(official / f"{name}.ipynb")
        assert not study.faults_of(record, asked), name
        [fault] = study.faults_of(record, asked | {"smoothing": 0.1})
        assert fault == "was made with smoothing = 0.0, asked for is 0.1"


@pytest.mark.parametrize("change, right", [
    ({}, True), ({"history": 2}, False), ({"history": 2, "status": "diverged"}, True),
    ({"history": 2, "dead_layer": "fire2"}, False), ({"history": 2, "dead_layer": "fire2", "stop": True}, True),
])
def test_a_history_is_shorter_only_for_a_reason(change, right):
    asked = notebooks.defaults(MASTER) | {"epochs": 3, "stop_when_dead": change.get("stop", False)}
    record = {"parameters": asked, "status": "finished", "dead_layer": None} | change
    assert (study.faults_of(record | {"history": [{}] * change.get("history", 3)}, asked) == []) == right


def test_plain_papermill_refuses_a_wrong_name_type_and_range_at_once(tmp_path):
    (tmp_path / "run.yaml").write_text("lerning_rate: 0.1\nepochs: '30'\n")
    options = "-f", "run.yaml", "-p", "seed", "-1", "-p", "batch_norm", "1", "--no-progress-bar"
    said = run("papermill", MASTER, "out.ipynb", *options, folder=tmp_path, fails=True, **ONE_THREAD)
    assert all(f"\n{name}\n" in said for name in ("lerning_rate", "epochs", "seed", "batch_norm")), said
    executed = [cell.source for cell in nbformat.read(tmp_path / "out.ipynb", 4).cells if cell.get("execution_count")]
    assert not any("import keras" in source for source in executed)
