"""A real study, small: what fails, what is told, what goes on; and the tools that look at its results."""

import json

import pytest
import yaml

import compare
import progress
import study
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
    assert record["environment"]["source"] == study.source_digest(MASTER)


def test_progress_tells_the_truth_of_a_study_that_stands_still(first):
    folder, _ = first
    done = run("python", "workflow/progress.py", "outputs/mini", folder=folder)
    assert "1 of 2 runs are done, 1 failed" in done.stdout
    assert "02-bad failed: train_limit" in done.stdout and "To go on: snakemake --config study=mini" in done.stdout


def test_the_display_renews_its_lines_in_a_terminal(tmp_path, monkeypatch, capfd):
    """Two runs on their way; then one ends: its line stays, the lines below are written anew."""
    (tmp_path / "logs").mkdir()
    epoch = "epoch 2/5: 1.5 s, loss 1.0, accuracy 50.00%, validation loss 1.0, accuracy 61.00%\n"
    logs = [open(tmp_path / f"logs/{name}.log", "w") for name in "ab"]
    for log in logs:
        progress.fcntl.flock(log, progress.fcntl.LOCK_EX)
        print(epoch, file=log, flush=True)
    display = progress.Display(tmp_path, {"a": 5, "b": 5})
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    display.show()
    first = capfd.readouterr().err
    assert first.splitlines()[:2] == [f"{name} running: epoch 2/5, validation accuracy 61.00%" for name in "ab"]
    assert first.splitlines()[2].startswith("0 of 2 runs are done, 2 running; about 0:00:06 left")
    print("sgd: test accuracy 9.09%, finished", file=logs[0], flush=True)
    (tmp_path / "a.ipynb").touch()
    display.show()
    second = capfd.readouterr().err
    assert second.startswith("\033[3F\033[Ja done: test accuracy 9.09%, finished\nb running: ")
    logs[1].close()
    assert progress.read_state(tmp_path, "b")["word"] == "waiting", "nobody makes it any more"


def test_the_same_command_goes_on_and_other_parameters_or_sources_are_noticed(first):
    folder, _ = first
    outputs = folder / "outputs/mini"
    before = (outputs / "01-good.ipynb").stat()
    (folder / "params/mini/02-bad.yaml").write_text(yaml.safe_dump(QUICK | {"optimizer": "sgd"}))
    path = folder / study.MASTER
    path.write_text(path.read_text().replace("import hashlib", "import hashlib, abc"))
    second = run(*COMMAND, folder=folder, OMP_NUM_THREADS="1")
    assert second.returncode == 0, second.stdout
    assert "made by another version of the master notebook, and kept: 01-good" in second.stdout
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
    done = run(*command, "--csv", one, other, folder=PROJECT)
    assert done.stdout.splitlines()[1] in (official / "summary/tiers.csv").read_text()
