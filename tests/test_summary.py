"""The summary notebook: studies in every state, seeds grouped by what they computed, cautions, mixtures, scores."""

import json
import shutil

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from conftest import PROJECT, run
from notebooks import defaults, load
from records import RECORD_TYPE

DEFAULTS = defaults(PROJECT / "notebooks/squeezenet_mnist.ipynb")


def record(accuracy=0.9, status="finished", source="a" * 64, cpu="a processor", **parameters):
    """A result record as the master notebook makes them, of 100 test images."""
    wrong = round(10 * (1 - accuracy))
    matrix = np.eye(10, dtype=int) * (10 - wrong) + np.roll(np.eye(10, dtype=int), 1, axis=1) * wrong
    loss = None if status == "diverged" else 0.5
    row = {"epoch": 1, "loss": 0.5, "accuracy": 0.5, "val_loss": loss, "val_accuracy": 0.5, "val_answers": [1] * 10}
    return {
        "parameters": DEFAULTS | parameters, "status": status, "test_accuracy": accuracy, "test_loss": loss,
        "confusion_matrix": matrix.tolist(), "history": [row],
        "class_counts": {"train": [9] * 10, "validation": [1] * 10, "test": [10] * 10},
        "environment": {"seconds": {"training": 60}, "source": source, "cpu": cpu,
                        "finished": "2026-11-25T00:00:00+00:00", "versions": {"keras": "3.13.2"}},
    }


def write(path, *outputs, **parameters):
    """An executed notebook with these outputs; a dict is a result record."""
    def output(value):
        return new_output("display_data", data={RECORD_TYPE: {"data": value}}) if "status" in value else value

    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [new_code_cell("pass", outputs=[*map(output, outputs)])]
    nbformat.write(new_notebook(cells=cells, metadata={"papermill": {"parameters": parameters}}), path)


def summarize(project, *options):
    """Run the summary over outputs/paper; return its folder, its comparison by configuration, and the page."""
    (project / "outputs/paper").mkdir(parents=True, exist_ok=True)
    run("papermill", "notebooks/summary.ipynb", "executed.ipynb", "--no-progress-bar", *options, folder=project)
    summary = project / "outputs/paper/summary"
    comparison = pd.read_csv(summary / "comparison.csv", dtype=str, keep_default_na=False).set_index("configuration")
    return summary, comparison, (summary / "index.html").read_text()


def test_every_state_is_shown_as_what_it_is_and_planned_runs_never_vanish(project):
    folder = project / "outputs/paper"
    names = {"01-adam-0.1": 0.1, "02-adam-0.01": 0.01, "03-adam-0.001": 0.001, "04-adam-0.0001": 0.0001}
    plan = {name: DEFAULTS | {"learning_rate": rate} for name, rate in names.items()}
    sgd = DEFAULTS | {"optimizer": "sgd"}
    plan |= {"09-sgd-0.1": sgd | {"learning_rate": 0.1}, "12-sgd": sgd}
    write(folder / "04-adam-0.0001.ipynb", record())
    write(folder / "09-sgd-0.1.ipynb", record(0.1, "diverged", optimizer="sgd", learning_rate=0.1))
    error = new_output("error", ename="RunError", evalue="no <data>", traceback=[])
    write(folder / "unfinished/01-adam-0.1.ipynb", error)
    write(folder / "unfinished/02-adam-0.01.ipynb", new_output("stream", name="stdout", text="epoch 3/30: 60 s\n"))
    write(folder / "unplanned.ipynb", optimizer="rmsprop", learning_rate=0.1)  # executed in place and killed
    (folder / "03-adam-0.001.ipynb").write_text((folder / "04-adam-0.0001.ipynb").read_text()[:200])
    (folder / "plan.json").write_text(json.dumps({"runs": plan}))
    summary, comparison, page = summarize(project)
    states = pd.read_csv(summary / "runs.csv").set_index("run")[["state", "note"]].fillna("").agg(tuple, axis=1)
    assert states.to_dict() == {
        "01-adam-0.1": ("failed", "RunError: no <data>"), "02-adam-0.01": ("unfinished", "epoch 3/30"),
        "03-adam-0.001": ("unreadable", "NotJSONError"), "04-adam-0.0001": ("finished", ""),
        "09-sgd-0.1": ("diverged", ""), "12-sgd": ("missing", ""), "unplanned": ("unfinished", ""),
    }
    assert list(comparison["model"]) == ["1", "2", "3", "4", "9", "12", "5"]
    assert "no &lt;data&gt;" in page and "href='../unfinished/01-adam-0.1.ipynb'" in page
    for name in ("comparison.tex", "table2.csv", "history.csv", "figure3.svg", "figure6.png", "accuracies.png"):
        assert (summary / name).stat().st_size > 100, name


def test_runs_are_grouped_by_what_they_computed_not_by_their_names(project):
    folder = project / "outputs/paper"
    write(folder / "x-seed-0.ipynb", record(0.8))
    write(folder / "x-seed-1.ipynb", record(0.1, optimizer="sgd", learning_rate=0.1))
    write(folder / "other.ipynb", record(1.0, seed=7, weights_path="elsewhere.weights.h5"))
    for seed, accuracy in enumerate([0.8, 0.9, 1.0]):
        write(folder / f"trial-{'abc'[seed]}.ipynb", record(accuracy, optimizer="rmsprop", seed=seed))
    write(project / "outputs/old/whatever.ipynb", record(0.7, optimizer="rmsprop", epochs=2))
    _, comparison, page = summarize(project, "-p", "reference", "outputs/old")
    assert comparison["here (%)"].to_dict() == {
        "optimizer = adam, learning_rate = 0.0001": "90.00 ± 14.14 (2)", "trial": "90.00 ± 10.00 (3)",
        "x": "10.00",
    }
    assert comparison.loc["trial", ["paper (%)", "old (%)", "state"]].tolist() == ["98.9", "70.00", "3 finished"]
    assert "standard deviation" in page


def test_whatever_departs_from_the_paper_is_named(project):
    folder = project / "outputs/paper"
    write(folder / "04-adam-0.0001.ipynb", record(dataset="digits"))
    write(folder / "04-adam-0.0001-he-normal.ipynb", record(dataset="digits", initializer="he_normal", batch_norm=True))
    (project / "outputs/reference").mkdir()
    shutil.copy(PROJECT / "outputs/reference/04-adam-0.0001.ipynb", project / "outputs/reference")
    summary, comparison, page = summarize(project)
    cautions = ["dataset is digits instead of mnist", "batch_norm is True instead of False in 1 of 2 configurations",
                "initializer is he_normal instead of glorot_uniform in 1 of 2 configurations"]
    for text in (page.replace("&#x27;", "'"), " ".join((summary / "comparison.txt").read_text().split())):
        assert all(caution in text for caution in cautions)
    assert comparison["unlike the paper"].tolist() == ["", "initializer = he_normal; batch_norm = True"]
    assert "on scikit-learn&#x27;s digits" in page and set(comparison["official (%)"]) == {"98.73"}
    assert max(map(len, (summary / "comparison.txt").read_text().splitlines())) <= 100


def test_a_mixture_of_notebooks_or_machines_is_named(project):
    write(project / "outputs/paper/a.ipynb", record())
    write(project / "outputs/paper/b.ipynb", record(seed=1, source="b" * 64))
    assert "they differ in notebook source." in summarize(project)[2]
    write(project / "outputs/paper/b.ipynb", record(seed=1, cpu="another"))
    summary, _, page = summarize(project)
    assert "they differ in processor." in page
    made_by = pd.read_csv(summary / "made_by.csv").to_dict("list")
    assert made_by == {"processor": ["a processor", "another"], "runs": ["a", "b"]}


def test_official_runs_equal_runs_give_equal_files(project):
    (project / "outputs/paper/seeds").mkdir(parents=True)
    for name in ("10-sgd-0.01", "seeds/10-sgd-0.01-seed-1"):
        shutil.copy(PROJECT / f"outputs/reference/{name}.ipynb", project / f"outputs/paper/{name}.ipynb")
    summary, comparison, page = summarize(project)
    first = {path.name: path.read_bytes() for path in summary.iterdir()}
    assert {path.name: path.read_bytes() for path in summarize(project)[0].iterdir()} == first
    assert comparison.loc["10-sgd-0.01", "here (%)"] == "98.47 ± 0.29 (2)" and "Not on the" not in page


def test_class_scores_against_scikit_learn():
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    generator = np.random.default_rng(0)
    truth, answers = generator.integers(10, size=500), generator.integers(9, size=500)  # 9 is never answered
    summary = load(PROJECT / "notebooks/summary.ipynb", "imports", "scores")
    table = summary.score_classes(confusion_matrix(truth, answers, labels=range(10)))
    expected = precision_recall_fscore_support(truth, answers, labels=range(10), zero_division=np.nan)
    assert np.allclose(table[summary.percent].T, 100 * np.array(expected[:3]), equal_nan=True)


@pytest.mark.parametrize("options, message", [
    (["-p", "results", "outputs/nowhere"], ": outputs/nowhere"), ([], "neither executed notebooks nor a plan.json")])
def test_nothing_to_summarize_is_one_sentence(project, options, message):
    (project / "outputs/paper").mkdir(parents=True)
    assert message in run("papermill", "notebooks/summary.ipynb", "x.ipynb", *options, folder=project, fails=True)
