"""A real study, small: what fails, what is told, what goes on; and the tool that compares two results."""

import json
import re

import pytest

import compare
from conftest import MASTER, PROJECT, copy_project, run, write_study
from records import read_record

QUICK = {"dataset": "digits", "batch_size": 50, "epochs": 1, "train_limit": 200}
COMMAND = ("snakemake", "--config", "study=mini")


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A project after the first batch of a study in which two of three runs cannot work: (folder, what it said)."""
    folder = copy_project(tmp_path_factory.mktemp("batch") / "Übung 1 – 数字")
    bad = QUICK | {"train_limit": 1}
    write_study(folder, **{"01-good": QUICK, "02-bad": bad, "03-bad": bad | {"seed": 1}})
    return folder, run(*COMMAND, folder=folder, fails=True, OMP_NUM_THREADS="1")


def test_a_failed_run_is_named_with_its_reason_and_the_others_finish(first):
    folder, said = first
    outputs = folder / "outputs/mini"
    assert "Exception" not in said and "Error" not in said, said
    assert "02-bad failed: train_limit = 1: nothing to train or validate on" in said
    assert "01-good done: test accuracy" in said and "1 of 3 runs are done, 2 failed" in said
    assert (outputs / "01-good.ipynb").exists() and (outputs / "01-good.weights.h5").exists()
    assert not (outputs / "02-bad.ipynb").exists() and (outputs / "unfinished/02-bad.ipynb").exists()
    assert "01-good" in said.split("02-bad failed")[1], "the comparison table"
    assert "Page with all figures: outputs/mini/summary/index.html" in said


def test_the_plan_and_the_record_hold_what_was_asked_for(first):
    folder, _ = first
    plan = json.loads((folder / "outputs/mini/plan.json").read_text())
    assert (plan["study"], plan["overlays"], plan["seeds"]) == ("mini", [], []) and plan["command"] == " ".join(COMMAND)
    record, planned = read_record(folder / "outputs/mini/01-good.ipynb"), plan["runs"]["01-good"]
    assert {k: v for k, v in record["parameters"].items() if k != "weights_path"} == \
           {k: v for k, v in planned.items() if k != "weights_path"}


def test_the_same_command_goes_on_and_other_parameters_are_refused(first):
    """In a terminal, where each run at work has a line, and the whole."""
    folder, _ = first
    outputs = folder / "outputs/mini"
    before = (outputs / "01-good.ipynb").stat()
    mended = QUICK | {"optimizer": "sgd", "epochs": 3}
    write_study(folder, **{"02-bad": mended, "03-bad": mended | {"seed": 1}})
    command = "stty cols 100 rows 30; " + " ".join(COMMAND)
    terminal = ["script", "--return", "--quiet", "--command", command, "/dev/null"]
    said = run(*terminal, folder=folder, OMP_NUM_THREADS="1", TERM="xterm")
    lines = [line.strip() for line in re.split(r"[\r\n]|\x1b\[\w", said)]
    for words in ("02-bad running: epoch ./3, validation accuracy .*%", "03-bad done: test accuracy .*%, finished .*",
                  r"1 of 3 runs are done, 2 running: .*\d/7 .*", "3 of 3 runs are done: 100%.* 7/7 .*"):
        assert any(re.fullmatch(words, line) for line in lines), (words, said)
    after = (outputs / "01-good.ipynb").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert not list((outputs / "unfinished").iterdir())

    write_study(folder, **{"02-bad": mended | {"seed": 6}})
    assert "02-bad.ipynb: was made with seed = 0, now asked for is 6" in run(*COMMAND, folder=folder, fails=True)


@pytest.mark.parametrize("seeds, numbers", [("[0,1]", (0, 1)), ("3", (3,))])
def test_options_as_they_are_typed(project, seeds, numbers):
    options = (f"seeds={seeds}", "runs=[04-adam,09-sgd]", "overlay=params/overlays/demo.yaml")
    said = run("snakemake", "--dry-run", "--config", *options, folder=project)
    names = [f"{name}-seed-{seed}" for name in ("04-adam-0.0001", "09-sgd-0.1") for seed in numbers]
    assert said.split("To do:")[1].split()[:len(names)] == names


def test_nothing_starts_without_mnist(project):
    said = run("snakemake", folder=project, fails=True, MNIST_NPZ=str(project / "absent.npz"))
    assert "MNIST could not be loaded" in said and "absent.npz" in said
    assert not (project / "outputs/paper/unfinished").exists()


def records(change=lambda record: None):
    """An official record, and a copy with something changed."""
    text = json.dumps(read_record(PROJECT / "outputs/reference/12-sgd-0.0001.ipynb"))
    a, b = json.loads(text), json.loads(text)
    change(b)
    return a, b


@pytest.mark.parametrize("change, words", [
    (lambda r: r["digests"]["weights"].__setitem__(3, "0"), "they part at: weights after epoch 4"),
    (lambda r: r["digests"].update(predictions="0"), "they part at: predictions after epoch 30"),
    (lambda r: r["parameters"].update(optimizer="rmsprop"), "optimizer: 'sgd' and 'rmsprop'"),
    (lambda r: r["environment"]["optimizer"].update(name="adam"), "optimizer's configuration"),
    (lambda r: [part.pop() for part in (r["history"], r["digests"]["order"], r["digests"]["weights"])],
     "epochs trained: 30 and 29"),
])
def test_nothing_is_called_equal_that_differs(change, words):
    equal, lines = compare.report(*records(change))
    assert not equal and any(line.startswith(words) for line in lines), lines
    assert compare.report(*records()) == (True, ["equal to the bit in all 66 stages"])


def test_compare_on_the_command_line(capsys):
    official = PROJECT / "outputs/reference"
    one, other = official / "repetition/04-one-thread.ipynb", official / "repetition/04-two-threads.ipynb"
    assert compare.main([one, one]) == 0 and compare.main([one, other]) == 1
    said = capsys.readouterr().out
    assert "they part at: weights after epoch 1" in said and "threads: " in said
    for path, words in {official / "absent.ipynb": "there is no such file", MASTER: "holds no result record"}.items():
        assert compare.main([one, path]) == 2
        assert f"{path.name}: {words}" in capsys.readouterr().err
