"""A real study, small: what fails, what is told, what goes on; data and network of one's own."""

import json
import re

import nbformat
import numpy as np
import pytest

import study
from conftest import copy_project, run, write_study
from records import read_record

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
    and what the batch said. One of the two runs cannot work."""
    folder = copy_project(tmp_path_factory.mktemp("batch") / "Übung 1 – 数字")
    change(folder, r"(?s)\Adef squeezenet.*", NETWORK)
    change(folder, r"model = build\(", "assert settings.optimizer != 'sgd', 'no\\nluck'\nmodel = build(")
    images, labels = np.random.default_rng(0).integers(0, 256, (100, 32, 32), "uint8"), np.arange(100) % 5
    (folder / "my").mkdir()
    np.savez(folder / "my/own.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    write_study(folder, grid={"optimizer": ["adam", "sgd"], "dataset": "my/own.npz", "batch_size": 25, "epochs": 2})
    return folder, run(*COMMAND, "runs=adam,sgd", folder=folder, fails=True)


def test_a_failed_run_is_named_with_its_reason_and_the_others_finish(first):
    folder, said = first
    outputs = folder / "outputs/mini"
    assert "Exception" not in said and "Traceback" not in said and "sgd failed: AssertionError: no luck" in said, said
    assert "outputs/mini: 0 of 2 runs are done" in said and "Not complete. outputs/mini: 1 of 2 runs are done" in said
    assert "adam: test accuracy " in said and (outputs / "adam.weights.h5").exists()
    assert not (outputs / "sgd.ipynb").exists() and (outputs / "unfinished/sgd.ipynb").exists()
    assert (outputs / "summary/comparison.txt").read_text().strip() in said
    assert "Page with all figures: outputs/mini/summary/index.html" in said and said.splitlines()[-1].endswith(
        "To go on: snakemake --cores 1 --config study=mini runs=adam,sgd")
    plan, record = json.loads((outputs / "plan.json").read_text()), read_record(outputs / "adam.ipynb")
    assert plan["study"] == "mini" and [*plan["runs"]] == ["adam", "sgd"] and len(record["confusion_matrix"]) == 5
    assert record["parameters"] | {"weights_path": ""} == plan["runs"]["adam"]


def test_the_same_command_goes_on_and_other_parameters_are_refused(first):
    """What is missing of a summary is made again."""
    folder, _ = first
    outputs = folder / "outputs/mini"
    before = (outputs / "adam.ipynb").stat()
    change(folder, "assert settings.optimizer != 'sgd'", "assert True")
    (outputs / "summary/comparison.txt").unlink()
    assert "never made again" in run(*COMMAND, "--forceall", folder=folder, fails=True)
    said = run(*COMMAND, folder=folder)
    for words in ("outputs/mini: 1 of 2 runs are done; .*", "sgd: test accuracy .*%", "Page with all figures: .*"):
        assert any(re.fullmatch(words, line) for line in said.splitlines()), (words, said)
    after = (outputs / "adam.ipynb").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert not list((outputs / "unfinished").iterdir()) and (outputs / "summary/comparison.txt").exists()
    (folder / "over.yaml").write_text("seed: 6")
    said = run(*COMMAND, "overlay=over.yaml", "name=mini", folder=folder, fails=True)
    assert "adam.ipynb: was made with seed = 0, asked for is 6" in said
    change(folder, r"layers.Conv2D\(8, 3, 4", "layers.Conv2D(9, 3, 4")
    assert "adam.ipynb: was made with another network" in run(*COMMAND, folder=folder, fails=True)


def test_nothing_starts_without_what_it_needs(project):
    images = np.zeros((10, 28, 28), "int8")
    np.savez(project / "int.npz", x_train=images, x_test=images, y_train=images[:, 0, 0], y_test=images[:, 0, 0])
    write_study(project, grid={"dataset": ["mnist", "my/absent.npz", "int.npz"]})
    said = run(*COMMAND, folder=project, fails=True, MNIST_NPZ="gone.npz")
    for words in ("mnist cannot be used: FileNotFoundError.*gone.npz", "absent.npz cannot be used: FileNotFoundError",
                  "int.npz cannot be used: ValueError: .*uint8"):
        assert re.search(words, said) and "Traceback" not in said, said
    assert "torch: not installed here" in run(*COMMAND, folder=project, fails=True, KERAS_BACKEND="torch")
    assert not (project / "outputs").exists()
