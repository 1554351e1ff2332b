"""The lesson: its exercises accept their solutions and refuse wrong answers; the student's edition runs whole."""

import contextlib
import io
import re

import nbformat
import pandas as pd
import pytest

import notebooks
from conftest import PROJECT, run
from records import read_lines

LESSON = PROJECT / "notebooks/why_training_collapses.ipynb"
CELLS = {cell.id: cell.source for cell in nbformat.read(LESSON, 4).cells}
WRONG = {
    1: [  # ten equally frequent digits; the mean over the digits instead of the images
        "accuracy_of_ones, loss_of_ones = 0.1, np.log(10)",
        "accuracy_of_ones = np.mean(test_labels == 1)\nloss_of_ones = -np.mean(np.log([0.55] + 9 * [0.05]))",
    ],
    2: [  # every convolution counted, also those side by side; the ratio taken to grow as well
        "factor_of_spread, factor_of_ratio = 2 ** 26, 1",
        "factor_of_spread = factor_of_ratio = 2 ** 18",
    ],
    3: ["gentle_rate = 0.001", "gentle_rate = 0.0001"],  # Adam's default; the rate that learns
    4: [  # no faster; faster by the factor 0.9
        "steps_with_momentum = plain_steps",
        "steps_with_momentum = 0.9 * plain_steps",
    ],
    5: ["largest_rate = 0.008", "largest_rate = 0.00001"],  # it dies; twice as much would do
}


@pytest.fixture(scope="module", params=["digits", pytest.param("mnist", marks=pytest.mark.slow)])
def lesson(request, tmp_path_factory):
    """What the lesson's tools and exercises define, as a module, on one data set."""
    copy = nbformat.read(LESSON, 4)
    if request.param == "mnist":
        request.getfixturevalue("mnist_path")
    hurry = {"digits": 'dataset, batch_size, steps = "digits", 8, 100', "mnist": "steps = 200"}[request.param]
    for cell in copy.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source += f"\n{hurry}"
    path = tmp_path_factory.mktemp("lesson") / "lesson.ipynb"
    nbformat.write(copy, path)
    with contextlib.chdir(PROJECT), contextlib.redirect_stdout(io.StringIO()) as said:
        module = notebooks.load(path, "parameters", "tools", "check")
    assert re.findall(r"exercise (\d): no answer yet", said.getvalue()) == list("12345")
    return module


def say(lesson, *sources):
    """Execute sources in the lesson; return the last line that they print."""
    with contextlib.chdir(PROJECT), contextlib.redirect_stdout(io.StringIO()) as said:
        for source in sources:
            exec(source, vars(lesson))
    return said.getvalue().splitlines()[-1]


@pytest.mark.parametrize("number", WRONG)
def test_exercise(lesson, number):
    solution = re.search(r"```python\n(.*?)```", CELLS[f"solution-{number}"], re.DOTALL)[1]
    assert say(lesson, solution, CELLS[f"check-{number}"]) == f"exercise {number}: right"
    for answer in WRONG[number]:
        assert say(lesson, answer, CELLS[f"check-{number}"]).startswith(f"exercise {number}: not yet"), answer


def test_guess_is_scored_with_model_11_either_way(lesson):
    vars(lesson)["display"] = lambda table: None
    for guess, right in [({4, 8, 9, 10}, 12), ({4, 8, 9, 10, 11}, 12), ({4, 8, 10}, 11), ({1}, 7)]:
        assert say(lesson, f"guess = {guess}", CELLS["outcome"]).startswith(f"{right} of 12 right"), guess
    assert say(lesson, "guess = set()", CELLS["outcome"]) == "fill in `guess` first"


def test_measured_numbers_come_from_cells():
    settings = {"0.1", "0.01", "0.001", "0.0001", "0.0005", "0.010", "0.9", "0.999", "0.55", "0.05", "0.008"}
    for cell in nbformat.read(LESSON, 4).cells:
        if cell.cell_type == "markdown":
            assert set(re.findall(r"\d+\.\d+", cell.source)) <= settings, cell.source


def test_arms_are_those_of_the_lesson_and_show_what_its_cards_say(lesson):
    table = pd.read_csv(PROJECT / "outputs/reference/summary/arms.csv")
    for _, rows in table.groupby("dataset"):
        assert list(rows["arm"].unique()) == list(lesson.arms)
        assert list(rows["seed"]) == 5 * list(range(5)) and (rows["steps"] == 300).all()
    assert (table["constant"] == table["answer"].notna()).all()
    assert (table["dead"] == table["dead_layer"].notna()).all() and not (table["dead"] & ~table["constant"]).any()
    dead = table.groupby(["dataset", "arm"])["dead"].sum().unstack("dataset")[["digits", "mnist"]].T.to_dict("list")
    assert dead == {"everything": [5, 1], "no biases": [0, 0], "conv10's bias only": [0, 0],
                    "all biases but conv10's": [5, 2], "biases alone": [2, 0]}
    assert (table["constant"] & ~table["dead"]).any()
    fate = table.query("dataset == 'mnist' and arm == 'everything' and seed == 3").iloc[0]
    longer = read_lines(PROJECT / "outputs/reference/three-epochs.jsonl.gz")["03-adam-0.001-seed-3"]
    assert not fate["dead"] and fate["accuracy"] > 0.9 and longer["environment"]["threads"]["OMP_NUM_THREADS"] == "1"
    assert longer["dead_layer"] and longer["history"][0]["accuracy"] < 0.12  # of all of the first epoch
    with contextlib.chdir(PROJECT), contextlib.redirect_stdout(io.StringIO()) as said:
        exec(CELLS["arms-official"], vars(lesson))
    p = {name: float(value) for name, value in re.findall(r"(\w+): p = (\S+)", said.getvalue())}
    assert p["digits"] < 0.001 < 0.05 < p["mnist"]


EXECUTED = [PROJECT / f"outputs/reference/summary/{name}.ipynb" for name in ("first_network", LESSON.stem)]


@pytest.mark.parametrize("edition", EXECUTED, ids=lambda path: path.stem)
def test_an_executed_edition_is_todays_notebook_executed(edition):
    executed = {cell.id: cell for cell in nbformat.read(edition, 4).cells}
    for cell in nbformat.read(LESSON.with_name(edition.name), 4).cells:
        assert executed[cell.id].source == cell.source, cell.id
        assert cell.cell_type == "markdown" or executed[cell.id].execution_count, cell.id


@pytest.mark.slow
def test_the_students_edition_has_no_solutions_and_runs_whole(tmp_path):
    remove = "--TagRemovePreprocessor.enabled=True --TagRemovePreprocessor.remove_cell_tags=solution"
    run("jupyter", "nbconvert", LESSON, *remove.split(), "--to", "notebook", "--output-dir", tmp_path, folder=PROJECT)
    both = [{cell.id for cell in nbformat.read(path, 4).cells} for path in (LESSON, tmp_path / LESSON.name)]
    assert {f"solution-{number}" for number in WRONG} <= both[0] - both[1]
    assert not [name for name in both[1] if "solution" in name]
    options = f"-p dataset digits -p batch_size 8 -p steps 40 -p seeds 1 -p arms_path {tmp_path}/arms.csv"
    run("papermill", tmp_path / LESSON.name, tmp_path / "out.ipynb", *options.split(), folder=PROJECT)
    cells = {cell.id: cell for cell in nbformat.read(tmp_path / "out.ipynb", 4).cells}
    for live in ("first-network", "units-dying"):  # updated in place
        assert ["image/png" in output.get("data", {}) for output in cells[live].outputs] == [True]
    assert len(pd.read_csv(tmp_path / "arms.csv")) == 5
