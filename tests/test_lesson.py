"""The lesson: the cell to paste, the exercises and their checks, the counts, both editions."""

import contextlib
import io
import re

import keras
import nbformat
import numpy as np
import pandas as pd
import pytest
from keras import layers

import notebooks
from conftest import PROJECT

LESSON = PROJECT / "notebooks/why_training_collapses.ipynb"
CELLS = {cell.id: cell for cell in nbformat.read(LESSON, 4).cells}
EXECUTED = [PROJECT / f"outputs/reference/summary/{name}.ipynb" for name in ("first_network", LESSON.stem)]
WRONG = {  # side by side counted as in a row, the ratio taken to grow; chains too short and too long
    1: ["factor_of_mean, factor_of_ratio = 2 ** 24, 1", "factor_of_mean = factor_of_ratio = 2 ** 16"],
    2: ["longest = 1", "longest = 8"],
}


def said(namespace, *sources):
    """Execute sources in the project's folder; return what they print."""
    with contextlib.chdir(PROJECT), contextlib.redirect_stdout(io.StringIO()) as text:
        for source in sources:
            exec(source, namespace)
    return text.getvalue()


def squeezenet_1_1(inputs):
    """SqueezeNet v1.1, with ReLU inside its convolutions."""
    x = layers.Conv2D(64, 3, strides=2, activation="relu")(inputs)
    for number, squeeze in enumerate([16, 16, 32, 32, 48, 48, 64, 64]):
        x = layers.MaxPooling2D(3, 2)(x) if number in (0, 2, 4) else x
        x = layers.Conv2D(squeeze, 1, activation="relu")(x)
        sides = [layers.Conv2D(4 * squeeze, size, padding="same", activation="relu") for size in (1, 3)]
        x = layers.Concatenate()([side(x) for side in sides])
    x = layers.Conv2D(10, 1, activation="relu", name="last_relu")(layers.Dropout(0.5)(x))
    return keras.Model(inputs, layers.Softmax()(layers.GlobalAveragePooling2D()(x)))


def plain_cnn(inputs):
    """Two convolutions and two dense layers."""
    return keras.Sequential([
        inputs, layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(), layers.Conv2D(16, 3, name="second"),
        layers.ReLU(name="second_relu"), layers.Flatten(), layers.Dense(32, activation="relu"), layers.Dense(10)])


def resnet(inputs):
    """ResNet50 of keras.applications."""
    return keras.applications.ResNet50(weights=None, input_tensor=inputs, classes=10)


@pytest.mark.parametrize("build, relus, killed, cure", [
    (squeezenet_1_1, 26, "last_relu", "He initialisation"), (plain_cnn, 3, "second", "batch normalisation"),
    (resnet, 49, "conv4_block2_1_bn", "batch normalisation")])
def test_is_yours_dead_names_the_dead_layer_and_what_to_try(build, relus, killed, cure):
    keras.utils.set_random_seed(0)
    model, images = build(keras.Input((64, 64, 3))), np.random.default_rng(0).random((20, 64, 64, 3), "float32")
    pasted = {"keras": keras, "np": np, "model": model, "images": images}
    alive = said(pasted, CELLS["is-yours-dead"].source, "is_yours_dead(model, images)")
    assert alive.count("dead:") == relus and "No layer is dead" in alive and cure in alive
    layer = model.get_layer(killed)
    first, shift, *rest = layer.get_weights()  # the bias, or batch normalisation's beta
    layer.set_weights([first, shift - 1e6, *rest])
    dead = said(pasted, "is_yours_dead(model, images)")
    assert re.findall("100% dead: (.*) <--", dead)[0].startswith(killed.removesuffix("_bn"))
    assert "A layer is dead" in dead and cure in dead and len(CELLS["is-yours-dead"].source.splitlines()) <= 15


def test_in_the_counts_the_demonstration_does_not_fail():
    ours = pd.read_csv(PROJECT / "outputs/reference/lesson.csv", keep_default_na=False)
    one = (ours["different predictions"] == 1).groupby(ours["case"]).mean()
    assert one["as it is"] >= 0.9 and not one[["no biases", "He initialisation", "batch normalisation"]].any()


@pytest.fixture(scope="module")
def lesson():
    """What the lesson's tools and exercises define, a dict."""
    with contextlib.chdir(PROJECT), contextlib.redirect_stdout(io.StringIO()) as text:
        names = vars(notebooks.load(LESSON, "parameters", "tools", "check"))
    assert re.findall(r"exercise (\d): no answer yet", text.getvalue()) == [str(number) for number in WRONG]
    return names


def test_the_demonstration_collapses(lesson):
    fate = lesson["trial"](seed=0)
    assert fate["different predictions"] == 1 and fate["loss"] > 2.29 and {"case", *fate} == {*lesson["table"]}


@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_exercise(lesson, number):
    solution, check = CELLS[f"solution-{number}"], CELLS[f"check-{number}"].source
    right = re.search(r"```python\n(.*?)```", solution.source, re.DOTALL)[1]
    assert solution.metadata["tags"] == ["solution"], "`make editions` leaves it out by this tag"
    assert said(lesson, right, check) == f"exercise {number}: right\n"
    for answer in WRONG[number]:
        assert said(lesson, answer, check) == f"exercise {number}: not yet\n", answer


@pytest.mark.parametrize("edition", EXECUTED, ids=lambda path: path.stem)
def test_an_executed_edition_is_todays_notebook_executed(edition):
    executed = {cell.id: cell for cell in nbformat.read(edition, 4).cells}
    for cell in nbformat.read(LESSON.with_name(edition.name), 4).cells:
        assert executed[cell.id].source == cell.source, cell.id
        assert cell.cell_type == "markdown" or executed[cell.id].execution_count, cell.id
