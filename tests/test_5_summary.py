"""The summary notebook: metrics, and studies in every state of completeness."""

import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import PROJECT, SUMMARY, run
from nbformat.v4 import new_code_cell, new_notebook, new_output

import from_notebook

RECORD = "application/scrapbook.scrap.json+json"


def test_class_scores_against_scikit_learn():
    from sklearn.metrics import classification_report, confusion_matrix

    generator = np.random.default_rng(0)
    truth, answers = generator.integers(10, size=500), generator.integers(9, size=500)  # 9 is never answered
    table = from_notebook.load(SUMMARY, "score_classes").score_classes(confusion_matrix(truth, answers, labels=range(10)))
    expected = classification_report(truth, answers, labels=range(10), output_dict=True, zero_division=0)
    for row in table.itertuples():
        scores = expected[str(row.label)]
        assert (row.precision, row.recall, row.f1) == pytest.approx((scores["precision"], scores["recall"], scores["f1-score"]))
        assert row.actual == scores["support"] and row.correct == ((truth == answers) & (truth == row.label)).sum()


def record(optimizer, rate, accuracy=0.9, status="finished", seed=0):
    """A result record as the master notebook makes them, of 100 test images, all but a tenth right."""
    wrong = round(10 * (1 - accuracy))
    matrix = np.eye(10, dtype=int) * (10 - wrong) + np.roll(np.eye(10, dtype=int), 1, axis=1) * wrong
    value = None if status == "diverged" else 0.5
    row = {"epoch": 1, "loss": value, "accuracy": 0.5, "val_loss": value, "val_accuracy": 0.5, "seconds": 1.0}
    return {
        "parameters": {"optimizer": optimizer, "learning_rate": rate, "seed": seed, "dataset": "digits", "epochs": 1,
                       "batch_size": 64, "train_limit": 0},
        "status": status, "test_accuracy": accuracy, "test_loss": value, "confusion_matrix": matrix.tolist(),
        "history": [row | {"val_answers": [1] * 10}],
        "class_counts": {"train": [9] * 10, "validation": [1] * 10, "test": [10] * 10},
        "environment": {"seconds": {"training": 60}},
    }


def write(path, *outputs):
    """An executed notebook with these outputs in one cell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=[new_code_cell("pass", outputs=list(outputs))]), path)


def result(value):
    """A cell output that holds a result record."""
    data = {RECORD: {"name": "result", "data": value, "encoder": "json", "version": 1}}
    return new_output("display_data", data=data)


def summarize(project, *options):
    """Run the summary over outputs/paper; return its folder."""
    done = run("papermill", "notebooks/summary.ipynb", "executed.ipynb", "--no-progress-bar", *options, folder=project)
    assert done.returncode == 0, done.stdout
    return project / "outputs/paper/summary"


def test_every_state_is_shown_as_what_it_is(project):
    folder = project / "outputs/paper"
    write(folder / "04-adam-0.0001.ipynb", result(record("adam", 0.0001)))
    write(folder / "09-sgd-0.1.ipynb", result(record("sgd", 0.1, accuracy=0.1, status="diverged")))
    write(folder / "unfinished/01-adam-0.1.ipynb", new_output("error", ename="RunError", evalue="no <data>", traceback=[]))
    write(folder / "unfinished/02-adam-0.01.ipynb", new_output("stream", name="stdout", text="epoch 3/30: 60 s\n"))
    write(folder / "03-adam-0.001.ipynb")  # executed in place and killed: complete to look at, without a result
    text = (folder / "04-adam-0.0001.ipynb").read_text()
    (folder / "05-rmsprop-0.1.ipynb").write_text(text[: len(text) // 2])
    summary = summarize(project)
    states = pd.read_csv(summary / "runs.csv").set_index("run")[["state", "note"]].fillna("").agg(tuple, axis=1)
    assert states.to_dict() == {
        "01-adam-0.1": ("failed", "RunError: no <data>"), "02-adam-0.01": ("unfinished", "epoch 3/30"),
        "03-adam-0.001": ("unfinished", ""), "04-adam-0.0001": ("finished", ""),
        "05-rmsprop-0.1": ("unreadable", "NotJSONError"), "09-sgd-0.1": ("diverged", ""),
        **{name: ("missing", "") for name in
           ("06-rmsprop-0.01", "07-rmsprop-0.001", "08-rmsprop-0.0001", "10-sgd-0.01", "11-sgd-0.001", "12-sgd-0.0001")},
    }
    assert "Not comparable" in (summary / "comparison.txt").read_text()
    assert "no &lt;data&gt;" in (summary / "index.html").read_text()
    for name in ("states.csv", "comparison.csv", "comparison.tex", "table2.csv", "history.csv", "confusion.csv",
                 "figure3.svg", "figure6.png", "accuracies.png"):
        assert (summary / name).stat().st_size > 100, name


def test_an_empty_study_has_a_summary(project):
    (project / "outputs/paper").mkdir(parents=True)
    comparison = pd.read_csv(summarize(project) / "comparison.csv")
    assert list(comparison["state"]) == ["missing"] * 12 and comparison["paper"].max() == 99.11


def test_seeds_are_put_together_and_a_reference_stands_beside(project):
    for seed, accuracy in enumerate([0.8, 0.9, 1.0]):
        write(project / f"outputs/paper/04-adam-0.0001-seed-{seed}.ipynb", result(record("adam", 0.0001, accuracy, seed=seed)))
    write(project / "outputs/old/04-adam-0.0001.ipynb", result(record("adam", 0.0001, 0.7)))
    summary = summarize(project, "-y", "seeds: [0, 1, 2, 3]", "-p", "reference", "outputs/old")
    comparison = pd.read_csv(summary / "comparison.csv", dtype=str).set_index("configuration")
    row = comparison.loc["04-adam-0.0001"]
    assert (row["here"], row["reference"], row["paper"]) == ("90.00 ± 10.00 (3)", "70.00", "99.11")
    assert row["state"] == "finished, missing" and len(comparison) == 12


def test_a_wrong_folder_is_one_sentence(project):
    done = run("papermill", "notebooks/summary.ipynb", "x.ipynb", "-p", "results", "outputs/nowhere", folder=project)
    assert done.returncode != 0 and "no such folder in" in done.stdout and ": outputs/nowhere" in done.stdout


MEASURED = """
import resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.run(sys.argv[1:]).returncode
print(code, time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.slow
def test_twelve_hundred_runs_take_a_minute_and_a_gigabyte(project):
    """A hundred seeds of each official run, whole executed notebooks with their pictures."""
    folder = project / "outputs/paper"
    folder.mkdir(parents=True)
    for path in sorted((PROJECT / "outputs/reference").glob("*.ipynb")):
        text = path.read_text()
        for seed in range(100):
            (folder / f"{path.stem}-seed-{seed}.ipynb").write_text(text.replace('"seed": 0', f'"seed": {seed}'))
    command = ["papermill", "notebooks/summary.ipynb", "executed.ipynb", "--no-progress-bar"]
    done = run("python", "-c", MEASURED, *command, folder=project)
    code, seconds, kilobytes = map(float, done.stdout.splitlines()[-1].split())
    assert code == 0, done.stdout
    assert pd.read_csv(folder / "summary/runs.csv")["state"].eq("finished").sum() == 1200
    assert seconds <= 60 and kilobytes <= 1e6, (seconds, kilobytes)
