"""The master notebook: data, network, order of the images, dead layers, and what its cells do when run again."""

import re
from typing import get_args

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient
from scipy.special import softmax
from sklearn.metrics import accuracy_score, log_loss

from conftest import MASTER, PROJECT
from notebooks import load
from records import RECORD_TYPE

CELLS = {cell.id: cell for cell in nbformat.read(MASTER, 4).cells}


@pytest.fixture(scope="module")
def master():
    """The master's definitions, as a module."""
    return load(MASTER, "settings", "imports", "data", "network", "training")


def test_colabs_choices_are_those_of_the_class(master):
    for name, field in master.Settings.model_fields.items():
        assert f"`{name}`" in CELLS["parameters-text"].source
        note = re.search(rf"(?m)^{name} = .*# @param (\[.*?\]|{{.*?}})", CELLS["parameters"].source)[1]
        kind = {str: "string", int: "integer", float: "number", bool: "boolean"}.get(field.annotation)
        if note.startswith("["):
            choices = re.findall('"(.*?)"', note)
            assert tuple(choices) == get_args(field.annotation) or "|".join(choices) in str(field.metadata)
        else:
            assert f'"{kind}"' in note


def test_a_broken_file_is_refused_and_left_as_it_is(master, mnist_path, tmp_path, monkeypatch):
    path = tmp_path / "mnist.npz"
    monkeypatch.setenv("MNIST_NPZ", str(path))
    with np.load(mnist_path) as file:
        arrays = dict(file)
    for content, words in [
        (b"PK\x03\x04 truncated", "zip"), (arrays | {"x_test": arrays["x_test"] ^ 1}, "not MNIST"),
        (arrays | {"x_train": arrays["x_train"].view("int8")}, "uint8"),
        (arrays | {"y_test": arrays["y_test"][1:]}, "labels"),
    ]:
        path.write_bytes(content) if isinstance(content, bytes) else np.savez(path, **content)
        before = path.read_bytes()
        with pytest.raises(Exception, match=words):
            master.split_data("mnist")
        assert path.read_bytes() == before


def test_parts_of_mnist(master, mnist_path, monkeypatch):
    monkeypatch.setenv("MNIST_NPZ", str(mnist_path))
    (x, y), (x_val, y_val), (x_test, _), _ = master.split_data("mnist")
    with np.load(mnist_path) as file:
        assert np.array_equal(np.concatenate([x, x_val])[..., 0] * np.float32(255), file["x_train"])
        assert np.array_equal(np.concatenate([y, y_val]), file["y_train"])
    assert x.shape == (54000, 28, 28, 1) and x.dtype == "float32" and x.max() == 1 and len(x_test) == 10000


def test_each_epoch_has_every_image_once_in_an_order_of_its_own(master):
    images, labels = np.zeros((10, 28, 28, 1)), np.arange(10)
    def orders(seed):
        got = [batch for _, batch in master.batches(images, labels, batch_size=4, seed=seed, epochs=2)]
        assert [len(batch) for batch in got] == [4, 4, 2, 4, 4, 2]
        return np.concatenate(got).reshape(2, 10)

    assert orders(0)[0].tolist() == [7, 4, 5, 1, 9, 8, 6, 2, 0, 3]  # the official runs depend on it
    assert (orders(0) == orders(0)).all() and (orders(0) != orders(1)).any() and (orders(0)[0] != orders(0)[1]).any()
    assert (np.sort(orders(3)) == labels).all()


def test_squeezenet_has_the_published_size_and_its_switches(master):
    """1,000 classes and colour images as published; 10 classes and grey ones by arithmetic from that."""
    assert master.squeezenet((224, 224, 3), classes=1000).count_params() == 1248424
    model = master.squeezenet(initializer="he_normal")
    assert model.count_params() == 1248424 - 2 * 96 * 7**2 - 990 * 513 == 731146
    kernels = [layer.kernel_initializer for layer in model.layers if hasattr(layer, "kernel_initializer")]
    assert [type(kernel).__name__ for kernel in kernels] == 26 * ["HeNormal"]
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert shapes | {
        "conv1": (14, 14, 96), "fire2": (7, 7, 128), "fire4": (7, 7, 256), "fire5": (4, 4, 256),
        "fire8": (4, 4, 512), "fire9": (2, 2, 512), "conv10": (2, 2, 10),
    } == shapes
    for options, name in [({"head": "fire10-dense"}, "dense"), ({"batch_norm": True}, "fire9_expand3x3_norm")]:
        assert name in {layer.name for layer in master.squeezenet(**options).layers} - set(shapes)
    assert master.squeezenet(dropout=0.5).get_layer("dropout").rate == 0.5


@pytest.mark.parametrize("killed, image, dead", [
    (["fire9_squeeze", "fire5_squeeze"], 1, True), ([], 0, True), ([], 1, False)])
def test_a_dead_layer_is_found_and_stops_the_training(master, killed, image, dead):
    """Not one that still changes, nor one that is 0 for most images only."""
    settings = master.Settings(**{name: value for name, value in vars(load(MASTER, "parameters")).items()
                                  if name in master.Settings.model_fields} | {"optimizer": "sgd"})
    x = np.zeros((600, 28, 28, 1), "float32")
    x[-1] = image
    model = master.build(settings, x.shape[1:], classes=10, steps=6)
    for name in killed:
        bias = model.get_layer(name).bias
        bias.assign(np.full(bias.shape, -1e6, "float32"))
    callback = master.FindDeadLayer(x, stop=True)
    history = model.fit(x, np.arange(600) % 10, batch_size=100, epochs=3, callbacks=[callback], verbose=0)
    assert callback.found == ("fire9_squeeze" if dead else None) and len(history.epoch) == (1 if dead else 3)


def test_evaluate_against_scikit_learn(master):
    images, labels = np.random.default_rng(0).normal(size=(70, 28, 28, 1)), np.arange(70) % 10
    model = master.keras.Sequential([master.layers.Flatten(), master.layers.Dense(10)])
    loss, accuracy, predictions = master.evaluate(model, images, labels)
    logits = model(images).numpy()
    assert (predictions == logits.argmax(axis=1)).all() and accuracy == accuracy_score(labels, predictions)
    assert loss == pytest.approx(log_loss(labels, softmax(logits, axis=1), labels=range(10)), rel=1e-5)


def cells(*names, **values):
    """Copies of the master's cells, in the order of their names, with other values typed in as parameters."""
    copies = [nbformat.v4.new_code_cell(CELLS[name].source) for name in names]
    for name, value in values.items():
        copies[0].source, n = re.subn(rf"(?m)^{name} = [^#]*", f"{name} = {value!r}  ", copies[0].source)
        assert n == 1
    return copies


def test_cells_run_again_leave_the_record_true(tmp_path):
    """In one kernel: all, twice; other parameters, not trained; trained, not tested; tested."""
    small = {"dataset": "digits", "epochs": 1, "batch_size": 50, "weights_path": "first.weights.h5"}
    other = {"optimizer": "sgd", "learning_rate": 0.1, "seed": 7, "weights_path": ""}
    code = [name for name, cell in CELLS.items() if cell.cell_type == "code"]
    again = ["train", "test", "record"]
    notebook = nbformat.v4.new_notebook(cells=[
        *cells(*code, **small), *cells("parameters", "settings", *again, **small | {"weights_path": ""}),
        *cells("parameters", "settings", "record", "train", "record", "test", "found", "record",
               **small | other), *cells("parameters", "settings", "train", "test", "record", **small),
    ])
    NotebookClient(notebook, allow_errors=True, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    errors = [output.ename for output in outputs if output.output_type == "error"]
    assert errors == ["AssertionError", "FileExistsError"]
    records = [output.data[RECORD_TYPE]["data"] for output in outputs if RECORD_TYPE in output.get("data", {})]
    for record in records:
        del record["environment"], record["parameters"]["weights_path"]
    first, again, untrained, new, refused = records
    del small["weights_path"], other["weights_path"]
    assert first == again == untrained and new == refused and first["parameters"].items() >= small.items()
    assert new["parameters"] == first["parameters"] | other and len(new["history"]) == 1
    assert new["digests"]["initial_weights"] != first["digests"]["initial_weights"]


def test_the_accuracies_in_the_notebook_are_the_papers():
    cell = {"pd": pd}
    exec(CELLS["paper"].source, cell)
    models = pd.read_csv(PROJECT / "paper/models.csv").pivot(
        index="learning_rate", columns="optimizer", values="accuracy_percent")
    pd.testing.assert_frame_equal(cell["paper"].sort_index(), models, check_names=False)
