"""A real study, small: what fails, what is told, what goes on; and the tool that compares two results."""

import json
import re

import pytest
import yaml

import compare
from conftest import MASTER, PROJECT, copy_project, run
from records import read_record

QUICK = {"dataset": "digits", "batch_size": 50, "epochs": 1, "train_limit": 200}
COMMAND = ("snakemake", "--config", "study=mini")


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A project after the first batch of a study in which one of two runs cannot work: (folder, process)."""
    folder = copy_project(tmp_path_factory.mktemp("batch") / "Übung 1 – 数字")
    (folder / "params/mini").mkdir()
    for name, change in {"01-good": {}, "02-bad": {"train_limit": 1}}.items():
        (folder / f"params/mini/{name}.yaml").write_text(yaml.safe_dump(QUICK | change))
    return folder, run(*COMMAND, folder=folder, OMP_NUM_THREADS="1")


def test_a_failed_run_is_named_with_its_reason_and_the_others_finish(first):
    folder, done = first
    outputs = folder / "outputs/mini"
    assert done.returncode != 0 and "Exception" not in done.stdout and "Error" not in done.stdout, done.stdout
    assert "02-bad failed: train_limit = 1: nothing to train or validate on" in done.stdout
    assert "01-good done: test accuracy" in done.stdout and "1 of 2 runs are done, 1 failed" in done.stdout
    assert (outputs / "01-good.ipynb").exists() and (outputs / "01-good.weights.h5").exists()
    assert not (outputs / "02-bad.ipynb").exists() and (outputs / "unfinished/02-bad.ipynb").exists()
    assert "01-good" in done.stdout.split("02-bad failed")[1], "the comparison table"
    assert "Page with all figures: outputs/mini/summary/index.html" in done.stdout


def test_the_plan_and_the_record_hold_what_was_asked_for(first):
    folder, _ = first
    plan = json.loads((folder / "outputs/mini/plan.json").read_text())
    assert (plan["study"], plan["overlays"], plan["seeds"]) == ("mini", [], []) and plan["command"] == " ".join(COMMAND)
    record, planned = read_record(folder / "outputs/mini/01-good.ipynb"), plan["runs"]["01-good"]
    assert {k: v for k, v in record["parameters"].items() if k != "weights_path"} == \
           {k: v for k, v in planned.items() if k != "weights_path"}


def test_in_a_terminal_a_line_for_each_run_and_one_for_the_whole(project):
    (project / "params/mini").mkdir()
    for seed in (0, 1):
        (project / f"params/mini/run-{seed}.yaml").write_text(yaml.safe_dump(QUICK | {"epochs": 3, "seed": seed}))
    command = "stty cols 100 rows 30; " + " ".join(COMMAND)
    terminal = ["script", "--return", "--quiet", "--command", command, "/dev/null"]
    done = run(*terminal, folder=project, OMP_NUM_THREADS="1", TERM="xterm")
    lines = [line.strip() for line in re.split(r"[\r\n]|\x1b\[\w", done.stdout)]
    assert done.returncode == 0, done.stdout
    for words in ("run-0 running: epoch ./3, validation accuracy .*%", "run-1 done: test accuracy .*%, finished .*",
                  r"0 of 2 runs are done, 2 running: .*\d/6 .*", "2 of 2 runs are done: 100%.* 6/6 .*"):
        assert any(re.fullmatch(words, line) for line in lines), (words, done.stdout)


def test_the_same_command_goes_on_and_other_parameters_are_refused(first):
    folder, _ = first
    outputs = folder / "outputs/mini"
    before = (outputs / "01-good.ipynb").stat()
    (folder / "params/mini/02-bad.yaml").write_text(yaml.safe_dump(QUICK | {"optimizer": "sgd"}))
    second = run(*COMMAND, folder=folder, OMP_NUM_THREADS="1")
    assert second.returncode == 0, second.stdout
    after = (outputs / "01-good.ipynb").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert not list((outputs / "unfinished").iterdir())

    (folder / "params/mini/02-bad.yaml").write_text(yaml.safe_dump(QUICK | {"optimizer": "sgd", "seed": 6}))
    third = run(*COMMAND, folder=folder)
    assert third.returncode != 0 and "02-bad.ipynb: was made with seed = 0, now asked for is 6" in third.stdout


@pytest.mark.parametrize("seeds, numbers", [("[0,1]", (0, 1)), ("3", (3,))])
def test_options_as_they_are_typed(project, seeds, numbers):
    options = (f"seeds={seeds}", "runs=[04-adam,09-sgd]", "overlay=params/overlays/demo.yaml")
    done = run("snakemake", "--dry-run", "--config", *options, folder=project)
    names = [f"{name}-seed-{seed}" for name in ("04-adam-0.0001", "09-sgd-0.1") for seed in numbers]
    assert done.returncode == 0 and done.stdout.split("To do:")[1].split()[:len(names)] == names, done.stdout


def test_nothing_starts_without_mnist(project):
    done = run("snakemake", folder=project, MNIST_NPZ=str(project / "absent.npz"))
    assert done.returncode != 0 and "MNIST could not be loaded" in done.stdout and "absent.npz" in done.stdout
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


def test_compare_on_the_command_line():
    official, command = PROJECT / "outputs/reference", ["python", "workflow/compare.py"]
    one, other = official / "repetition/04-one-thread.ipynb", official / "repetition/04-two-threads.ipynb"
    assert run(*command, one, one, folder=PROJECT).returncode == 0
    done = run(*command, one, other, folder=PROJECT)
    assert done.returncode == 1 and "they part at: weights after epoch 1" in done.stdout and "threads: " in done.stdout
    done = run(*command, one, official / "absent.ipynb", folder=PROJECT)
    assert done.returncode == 2 and "absent.ipynb: there is no such file" in done.stdout
    done = run(*command, one, MASTER, folder=PROJECT)
    assert done.returncode == 2 and "holds no result record" in done.stdout
