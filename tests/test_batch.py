"""A real study, small: what fails, what is told, what goes on; data and network of one's own; comparing two results."""

import json
import re

import nbformat
import numpy as np
import pytest

import compare
import study
from conftest import MASTER, PROJECT, copy_project, run, write_study
from records import read_record

QUICK = {"dataset": "digits", "batch_size": 50, "epochs": 1}
COMMAND = ("snakemake", "--cores", "1", "--config", "study=mini")
NETWORK = """
def squeezenet(shape=(28, 28, 1), classes=10, head="conv10", dropout=0.0, **options):
    inputs = keras.Input(shape)
    x = layers.Conv2D(8, 3, 4, activation="relu")(inputs)
    return keras.Model(inputs, layers.Dense(classes)(layers.Flatten()(x)))
"""


def change(folder, pattern, new):
    """Replace what a regular expression finds in the cells of a project's master."""
    master = nbformat.read(folder / study.MASTER, 4)
    for cell in master.cells:
        cell.source = re.sub(pattern, lambda found: new, cell.source)
    nbformat.write(master, folder / study.MASTER)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A project after the first batch of a study of a network and images of one's own, 32×32 in 5 classes: its folder,
    and what the batch said. One of the three runs cannot work, for want of memory."""
    folder = copy_project(tmp_path_factory.mktemp("batch") / "Übung 1 – 数字")
    change(folder, r"(?s)\Adef squeezenet.*", NETWORK)
    change(folder, r"model = build\(", "assert settings.batch_size < 60, 'too much\\nmemory'\nmodel = build(")
    images = np.random.default_rng(0).integers(0, 256, (100, 32, 32), "uint8")
    arrays = {"x_train": images, "y_train": np.arange(100) % 5, "x_test": images, "y_test": np.arange(100) % 5}
    (folder / "my").mkdir()
    np.savez(folder / "my/own.npz", **arrays)
    grid = {"batch_size": [25, 60], "optimizer": ["adam", "sgd"]}
    write_study(folder, grid=grid | {"dataset": "my/own.npz", "epochs": 2})
    return folder, run(*COMMAND, "runs=adam,25", folder=folder, fails=True)


def test_a_failed_run_is_named_with_its_reason_and_the_others_finish(first):
    folder, said = first
    outputs, names = folder / "outputs/mini", ["batch_size-25-adam", "batch_size-25-sgd", "batch_size-60-adam"]
    assert "Exception" not in said and "Traceback" not in said, said
    assert "outputs/mini: 0 of 3 runs are done" in said and "2 of 3 runs are done, 1 failed" in said
    assert "batch_size-60-adam failed: AssertionError: too much memory" in said
    assert all(f"{name} done: test accuracy: " in said for name in names[:2])
    assert all((outputs / f"{name}.{kind}").exists() for name in names[:2] for kind in ("ipynb", "weights.h5"))
    assert not (outputs / f"{names[2]}.ipynb").exists() and (outputs / f"unfinished/{names[2]}.ipynb").exists()
    assert (outputs / "summary/comparison.txt").read_text().strip() in said
    assert "Page with all figures: outputs/mini/summary/index.html" in said and said.splitlines()[-1].endswith(
        "To go on: snakemake --cores 1 --config study=mini runs=adam,25")
    plan, record = json.loads((outputs / "plan.json").read_text()), read_record(outputs / f"{names[0]}.ipynb")
    assert plan["study"] == "mini" and [*plan["runs"]] == names and np.shape(record["confusion_matrix"]) == (5, 5)
    assert record["parameters"] | {"weights_path": ""} == plan["runs"][names[0]]


def test_the_same_command_goes_on_and_other_parameters_are_refused(first):
    """In a terminal; what is missing of a summary is made again."""
    folder, _ = first
    outputs = folder / "outputs/mini"
    before = (outputs / "batch_size-25-adam.ipynb").stat()
    change(folder, "assert settings.batch_size < 60", "assert True")
    (outputs / "summary/comparison.txt").unlink()
    command = "stty cols 100 rows 30; " + " ".join(COMMAND)
    terminal = ["script", "--return", "--quiet", "--command", command, "/dev/null"]
    said = run(*terminal, folder=folder, TERM="xterm")
    lines = [line.strip() for line in re.split(r"[\r\n]|\x1b\[\w", said)]
    for words in ("outputs/mini: 2 of 4 runs are done", "batch_size-60-sgd done: test accuracy: .*%",
                  "3 of 4 runs are done, 1 running: .*/8 .*", "4 of 4 runs are done: 100%.* 8/8 .*"):
        assert any(re.fullmatch(words, line) for line in lines), (words, said)
    after = (outputs / "batch_size-25-adam.ipynb").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert not list((outputs / "unfinished").iterdir()) and (outputs / "summary/comparison.txt").exists()
    (folder / "params/mini/over.yaml").write_text("seed: 6")
    (folder / "params/mini/over.yaml").rename(folder / "over.yaml")
    said = run(*COMMAND, "overlay=over.yaml", "name=mini", folder=folder, fails=True)
    assert "batch_size-25-adam.ipynb: was made with seed = 0, asked for is 6" in said


@pytest.mark.parametrize("parameters, variables, words", [
    ({"dataset": "mnist"}, {"MNIST_NPZ": "absent.npz"}, "dataset mnist cannot be used: FileNotFoundError.*absent.npz"),
    ({"dataset": "my/absent.npz"}, {}, "dataset my/absent.npz cannot be used: FileNotFoundError"),
    ({"dataset": "signed.npz"}, {}, "dataset signed.npz cannot be used: ValueError: .*uint8"),
    (QUICK, {"KERAS_BACKEND": "torch"}, "KERAS_BACKEND=torch: not installed here"),
])
def test_nothing_starts_without_what_it_needs(project, parameters, variables, words):
    images = np.zeros((10, 28, 28), "int8")
    np.savez(project / "signed.npz", x_train=images, x_test=images, y_train=images[:, 0, 0], y_test=images[:, 0, 0])
    write_study(project, one=parameters)
    said = run(*COMMAND, folder=project, fails=True, **variables)
    assert re.search(words, said) and "Traceback" not in said, said
    assert not (project / "outputs").exists()


def records(change=lambda record: None):
    """An official record, and a copy with something changed."""
    text = json.dumps(read_record(PROJECT / "outputs/reference/12-sgd-0.0001.ipynb"))
    a, b = json.loads(text), json.loads(text)
    change(b)
    return a, b


def as_today(record):
    """Change an older record to what the notebook writes now."""
    record["digests"] = {**record["digests"], "data": "of all"}
    del record["digests"]["order"], record["parameters"]["backend"]


@pytest.mark.parametrize("change, words", [
    (lambda r: r["digests"]["weights"].__setitem__(3, "0"), "they part at: weights after epoch 4"),
    (lambda r: r["digests"].update(predictions="0"), "they part at: predictions after epoch 30"),
    (lambda r: r["parameters"].update(optimizer="rmsprop"), "optimizer: 'sgd' and 'rmsprop'"),
    (lambda r: [part.pop() for part in (r["history"], r["digests"]["order"], r["digests"]["weights"])],
     "epochs trained: 30 and 29"),
])
def test_nothing_is_called_equal_that_differs(change, words):
    equal, lines = compare.report(*records(change))
    assert not equal and any(line.startswith(words) for line in lines), lines
    assert compare.report(*records()) == (True, ["equal to the bit in all 66 stages"])
    assert compare.report(*records(as_today)) == (True, ["equal to the bit in all 32 stages"])


def test_compare_on_the_command_line(capsys):
    one, other = (PROJECT / f"outputs/reference/{folder}/04-adam-0.0001.ipynb" for folder in (".", "fire10-dense"))
    assert compare.main([one, one]) == 0 and compare.main([one, other]) == 1
    said = capsys.readouterr().out
    assert "they part at: initial weights" in said and "head: 'conv10' and 'fire10-dense'" in said
    for path in (one.with_name("absent.ipynb"), MASTER):
        assert compare.main([one, path]) == 2
        assert f"{path.name}: holds no result record" in capsys.readouterr().err
