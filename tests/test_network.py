"""The master notebook: data, network, order of the images, optimizers, and what its cells do when run again."""

import ast
import re
from functools import partial

import matplotlib
import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, log_loss

from conftest import MASTER, PROJECT
from notebooks import load
from records import RECORD_TYPE, read_record

CELLS = {cell.id: cell for cell in nbformat.read(MASTER, 4).cells}


@pytest.fixture(scope="module")
def master():
    """The master's definitions, as a module."""
    return load(MASTER, "check", "imports", "data", "network", "training")


def test_mnist_is_downloaded_and_checked_and_a_broken_file_is_left_as_it_is(master, mnist_path, tmp_path, monkeypatch):
    utils, cache = master.keras.utils, tmp_path / "datasets" / "mnist.npz"
    monkeypatch.setattr(utils, "get_file", partial(utils.get_file, cache_dir=tmp_path))
    monkeypatch.setattr(master, "mnist_url", "http://127.0.0.1:9/mnist.npz")
    monkeypatch.delenv("MNIST_NPZ", raising=False)
    with pytest.raises(master.RunError, match="127.0.0.1:9.*\n.*dataset to 'digits'"):
        master.load_mnist()
    assert not cache.exists()
    monkeypatch.setattr(master, "mnist_url", mnist_path.as_uri())
    arrays = master.load_mnist()
    assert arrays["x_train"].shape == (60000, 28, 28) and cache.read_bytes() == mnist_path.read_bytes()
    for content, words in [
        (b"", "No data left"), (b"PK\x03\x04 truncated", "zip"), (b"no archive", "allow_pickle"),
        (arrays | {"x_test": np.array([{"a": 1}], dtype=object)}, "allow_pickle"),
        ({"x_train": arrays["x_train"]}, "y_train"), (arrays | {"x_test": arrays["x_test"] ^ 1}, "differ from MNIST's"),
    ]:
        cache.write_bytes(content) if isinstance(content, bytes) else np.savez(cache, **content)
        before = cache.read_bytes()
        with pytest.raises(master.RunError, match=words) as error:
            master.load_mnist()
        assert str(cache) in str(error.value) and "set data_path" in str(error.value)
        assert cache.read_bytes() == before


def test_digits_keep_scikit_learns_values(master):
    digits, arrays = load_digits(), master.load_digits28()
    images = np.concatenate([arrays["x_train"], arrays["x_test"]])
    assert images.shape == (1797, 28, 28) and images.dtype == "uint8"
    # the centre of each 3×3 block lies wholly inside it, so the mean there is the pixel itself
    assert (images[:, 3:27:3, 3:27:3] == digits.images.astype(int) * 255 // 16).all()
    assert (np.concatenate([arrays["y_train"], arrays["y_test"]]) == digits.target).all()


def test_ten_digits_show_what_their_titles_say(master, monkeypatch):
    """With so few images that some digits are missing, 0 among them."""
    arrays = master.load_digits28()
    images, labels = master.prepare(arrays["x_train"][1:7], arrays["y_train"][1:7])
    monkeypatch.setattr(matplotlib.pyplot, "show", lambda: None)
    shown = vars(master) | {"settings": None, "load_data": lambda settings: ({"train": (images, labels)}, None)}
    exec(CELLS["ten-digits"].source, shown)
    pictures = {ax.get_title(): ax.images[0].get_array() for ax in shown["axes"] if ax.images}
    assert [*pictures] == list("123456")
    assert all((pictures[str(digit)] == images[digit - 1, ..., 0]).all() for digit in range(1, 7))


def test_order_depends_on_seed_and_epoch_alone(master):
    orders = {tuple(master.image_order(1000, seed, epoch)) for seed in (0, 1) for epoch in (1, 2) for _ in range(2)}
    assert len(orders) == 4 and all(sorted(order) == list(range(1000)) for order in orders)
    assert master.image_order(10, 0, 1).tolist() == [7, 4, 5, 1, 9, 8, 6, 2, 0, 3]  # the official runs depend on it


def test_squeezenet_has_the_published_sizes_and_its_switches(master):
    """1,000 classes and colour images as published; 10 classes and grey ones by arithmetic from that."""
    for version, published, filters, kernel in [("1.0", 1248424, 96, 7), ("1.1", 1235496, 64, 3)]:
        assert master.squeezenet(version, shape=(224, 224, 3), classes=1000).count_params() == published
        model = master.squeezenet(version, initializer="he_normal")
        assert model.count_params() == published - 2 * filters * kernel**2 - 990 * 513
        kernels = [layer.kernel_initializer for layer in model.layers if hasattr(layer, "kernel_initializer")]
        assert [type(kernel).__name__ for kernel in kernels] == 26 * ["HeNormal"]
    shapes = {layer.name: layer.output.shape[1:] for layer in master.squeezenet("1.0").layers}
    assert shapes | {
        "conv1": (14, 14, 96), "fire2": (7, 7, 128), "fire4": (7, 7, 256), "fire5": (4, 4, 256),
        "fire8": (4, 4, 512), "fire9": (2, 2, 512), "conv10": (2, 2, 10),
    } == shapes
    for options, name in [
        ({"head": "conv10-relu"}, "conv10_relu"), ({"head": "fire10-dense"}, "dense"),
        ({"dropout": 0.5}, "dropout"), ({"batch_norm": True}, "fire9_expand3x3_norm"),
    ]:
        assert name in {layer.name for layer in master.squeezenet(**options).layers} - set(shapes)


def test_a_dead_layer_is_found_and_a_silent_image_is_no_dead_layer(master):
    images = np.zeros((600, 28, 28, 1), "float32")
    model = master.squeezenet(initializer="he_normal")
    assert master.find_dead_layer(model, images) == "fire2_squeeze_relu"  # without biases 0 stays 0
    images[-1] = 1
    assert master.find_dead_layer(model, images) is None
    for name in ("fire7_squeeze", "fire5_squeeze"):
        model.get_layer(name).bias.assign(-1e6 * np.ones(model.get_layer(name).bias.shape))
    assert master.find_dead_layer(model, images) == "fire5_squeeze_relu"


def test_macs_and_warm_up_by_hand(master):
    layers = master.layers
    kernels = layers.Conv2D(4, 3, 2, "same"), layers.Flatten(), layers.Dense(5)
    model = master.keras.Sequential([layers.Input((6, 6, 3)), *kernels])
    assert master.count_macs(model) == 9 * 27 * 4 + 36 * 5  # 3·3 positions, 3·3·3 weights, 4 filters; 36 to 5
    optimizer = master.make_optimizer("sgd", 0.5, momentum=0.9, warmup_steps=10)
    assert [float(optimizer._learning_rate(step)) for step in (0, 5, 10, 1000)] == pytest.approx([0, 0.25, 0.5, 0.5])
    assert optimizer.momentum == 0.9 and type(master.make_optimizer("rmsprop", 0.1)).__name__ == "RMSprop"


def test_evaluate_against_scikit_learn(master):
    images, labels = np.random.default_rng(0).normal(size=(70, 28, 28, 1)), np.arange(70) % 10
    model = master.keras.Sequential([master.layers.Flatten(), master.layers.Dense(10)])
    loss, accuracy, logits = master.evaluate(model, images, labels, chunk=32)  # 32 + 32 + 6
    assert np.allclose(logits, model.predict(images, verbose=0), atol=1e-5)
    assert loss == pytest.approx(log_loss(labels, softmax(logits, axis=1), labels=range(10)), rel=1e-5)
    assert accuracy == accuracy_score(labels, logits.argmax(axis=1))


def cells(*names, **values):
    """Copies of the master's cells, in the order of their names, with other values typed in as parameters."""
    copies = [nbformat.v4.new_code_cell(CELLS[name].source) for name in names]
    for name, value in values.items():
        copies[0].source, n = re.subn(rf"(?m)^{name} = [^#]*", f"{name} = {value!r}  ", copies[0].source)
        assert n == 1
    return copies


def test_cells_run_again_leave_the_record_true(tmp_path):
    """In one kernel: all; trained again; other parameters, not trained; trained, not tested; tested."""
    small = {"dataset": "digits", "train_limit": 200, "epochs": 1, "batch_size": 10}
    other = {"optimizer": "sgd", "learning_rate": 0.1, "seed": 7}
    definitions = [name for name, cell in CELLS.items() if "tags" in cell.metadata or name == "settings"]
    record = ["record-what", "record"]
    notebook = nbformat.v4.new_notebook(cells=[
        *cells(*definitions, *2 * ["train", "test", *record], **small),
        *cells("parameters", *record, "train", "record-what", "test", *record, **small | other),
    ])
    NotebookClient(notebook, allow_errors=True, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    [error] = [output.evalue for output in outputs if output.output_type == "error"]
    assert "not trained to its end and tested" in error
    records = [output.data[RECORD_TYPE]["data"] for output in outputs if RECORD_TYPE in output.get("data", {})]
    for record in records:
        del record["environment"], record["history"][0]["seconds"], record["history"][0]["cpu_seconds"]
    first, again, untrained, new = records
    assert first == again == untrained and first["parameters"].items() >= small.items()
    assert new["parameters"] == first["parameters"] | other and len(new["history"]) == 1
    assert new["digests"]["initial_weights"] != first["digests"]["initial_weights"]


def test_the_accuracies_in_the_text_are_the_papers_and_the_official_ones():
    stated = ast.parse(CELLS["paper"].source).body[0]
    models = pd.read_csv(PROJECT / "paper/models.csv").sort_values("learning_rate", ascending=False)
    in_paper = {name: group.to_list() for name, group in models.groupby("optimizer")["accuracy_percent"]}
    assert stated.targets[0].id == "paper" and ast.literal_eval(stated.value) == in_paper
    paths = [path for place in (".", "seeds") for path in PROJECT.glob(f"outputs/reference/{place}/04-*.ipynb")]
    accuracies = [f"{100 * read_record(path)['test_accuracy']:.2f}" for path in paths]
    assert f"ended at {' and '.join(', '.join(sorted(accuracies)).rsplit(', ', 1))} %" in CELLS["title"].source
