"""The summary: studies in every state, beside paper and official runs, from notebooks that nobody can trust."""

import json
import re
import shutil

import numpy as np
import pandas as pd
from nbformat.v4 import new_code_cell, new_notebook, new_output
from sklearn.metrics import classification_report

from conftest import PROJECT, run
from notebooks import defaults
from records import RECORD_TYPE, read_record, read_run, read_study

DEFAULTS = defaults(PROJECT / "notebooks/squeezenet_mnist.ipynb")
COMMAND = ["python", "workflow/summarize.py", "outputs/mine"]
HOSTILE = "<script>alert(1)</script>\x1b[31m"


def record(matrix=((9, 1), (3, 7)), accuracy=0.9, status="finished", **parameters):
    """A result record as the master makes them, one epoch long; accuracy: that of the epoch, in training."""
    loss = 0.5 if status == "finished" else None
    return {
        "parameters": DEFAULTS | parameters, "status": status, "test_loss": loss, "dead_layer": None,
        "test_accuracy": float(np.trace(matrix) / np.sum(matrix)), "confusion_matrix": np.array(matrix).tolist(),
        "history": [{"epoch": 1, "loss": loss, "accuracy": accuracy, "val_loss": loss, "val_accuracy": accuracy}],
        "environment": {"cpu": "a processor", "threads": "1", "versions": {"keras": "3.13.2"}}}


def write(path, *outputs, papermill=None):
    """An executed notebook with these outputs; what is no output is its result record."""
    outputs = [output if hasattr(output, "output_type") else
               new_output("display_data", data={RECORD_TYPE: {"data": output}}) for output in outputs]
    path.parent.mkdir(parents=True, exist_ok=True)
    notebook = new_notebook(cells=[new_code_cell("pass", outputs=outputs)], metadata={"papermill": papermill or {}})
    path.write_text(json.dumps(notebook))


def summarize(project):
    """Run the summary of outputs/mine; return its folder, its comparison, its runs, and the page."""
    run(*COMMAND, folder=project)
    summary = project / "outputs/mine/summary"
    comparison, runs = (pd.read_csv(summary / f"{name}.csv", index_col=0) for name in ("comparison", "runs"))
    text = (summary / "comparison.txt").read_text()
    assert all(len(line) <= 100 and line.isprintable() for line in text.splitlines())
    return summary, comparison, runs, (summary / "index.html").read_text()


def test_every_state_is_named_and_nothing_a_notebook_says_is_trusted(project):
    folder, good = project / "outputs/mine", record()
    error = new_output("error", ename="ValueError", evalue=f"no data\n{HOSTILE}", traceback=[])
    write(folder / "good.ipynb", record(seed=1) | {"dead_layer": HOSTILE, HOSTILE: HOSTILE})
    write(folder / "told.ipynb", record(initializer=HOSTILE) | {"environment": {"versions": {HOSTILE: HOSTILE}}})
    write(folder / "record-then-error.ipynb", record(seed=2), error)
    write(folder / "diverged.ipynb", record(status="diverged", learning_rate=0.1))
    write(folder / "unfinished/failed.ipynb", error, papermill={"parameters": {"optimizer": HOSTILE}})
    write(folder / "unfinished/unfinished.ipynb", new_output("stream", text="Epoch 1/3\nEpoch 2/3\n"))
    write(folder / ".dot.ipynb", good)
    malformed = {
        "list": [good], "nothing": None, "status": good | {"status": HOSTILE},
        "without": {k: v for k, v in good.items() if k != "parameters"}, "nested": good | {"dead_layer": [[[]]]},
        "text": good | {"test_accuracy": "0.9"}, "no-number": good | {"test_accuracy": float("nan")},
        "oblong": good | {"confusion_matrix": [[1, 2], [3]]}, "empty": good | {"confusion_matrix": []},
        "history": good | {"history": [{"epoch": 1}]}, "odd": good | {"parameters": DEFAULTS | {"batch_size": 0}},
        "foreign": good | {"parameters": {"colour": "red"}}}
    for name, one in malformed.items():
        write(folder / f"{name}.ipynb", one)
    write(folder / "papermill.ipynb", good, papermill=["odd"])
    write(folder / "duration.ipynb", good, papermill={"duration": HOSTILE})
    write(folder / "words.ipynb", error, papermill={"parameters": {"learning_rate": "0.1"}})
    write(folder / "a-list.ipynb", error, papermill={"parameters": {"optimizer": ["adam"]}})
    texts = {"cut": '{"cells": [', "merge": "<<<<<<< HEAD\n{}", "<b>#?": "[]", "blank": ""}
    for name, text in texts.items():
        (folder / f"{name}.ipynb").write_text(text)
    (folder / "plan.json").write_text(json.dumps({"runs": {"good": DEFAULTS, "planned": DEFAULTS | {"epochs": 2}}}))
    _, comparison, runs, page = summarize(project)
    known = {"good": "has begun", "told": "has begun", "record-then-error": "has begun", "diverged": "diverged",
             "failed": "failed", "unfinished": "unfinished", "planned": "missing"}
    unreadable = [*malformed, "papermill", "duration", "words", "a-list", *texts]
    assert runs["outcome"].to_dict() == known | dict.fromkeys(unreadable, "unreadable")
    assert runs.loc[unreadable, "note"].notna().all() and runs.loc["unfinished", "note"] == "Epoch 2/3"
    assert comparison["seeds"].sum() == 4 and not [mark for mark in ("<script>alert", "<b>", "\x1b") if mark in page]
    assert ".dot" not in read_study(folder) and read_run(folder / "nowhere.ipynb")["state"] == "unreadable"


def test_beside_paper_and_official_runs_seeds_are_averaged_and_copies_never_counted(project):
    official, folder = "outputs/reference/10-sgd-0.01.ipynb", project / "outputs/mine"
    (project / official).parent.mkdir(parents=True)
    shutil.copy(PROJECT / official, project / official)
    for seed, matrix in enumerate([((8, 2), (0, 10)), ((10, 0), (0, 10))]):
        write(folder / f"seed-{seed}.ipynb", record(matrix, seed=seed))
    write(folder / "seed-0-copy.ipynb", record(((8, 2), (0, 10)), weights_path="other.weights.h5"))
    write(folder / "seed-1-again.ipynb", record(((9, 1), (0, 10)), seed=1))
    old = record(((0, 5), (0, 5)), 0.5, learning_rate=0.1, momentum=0.0)
    del old["parameters"]["stop_when_dead"], old["dead_layer"]
    write(folder / "old.ipynb", old)
    matrix = np.eye(10, dtype=int)[[3] * 10]  # all predictions are 3
    digits = {"dataset": "digits", "batch_size": 8, "optimizer": "sgd"}
    write(folder / "early.ipynb", record(matrix, 0.1, learning_rate=0.01, **digits))
    other = record(matrix, 0.1, learning_rate=0.01, **digits | {"batch_size": 9})
    strange = {"digests": {"initial_weights": "other"}}
    write(folder / "another-network.ipynb", other | strange)
    write(folder / "another-on-mnist.ipynb", record(optimizer="sgd", learning_rate=0.01) | strange)
    dead = record(matrix, 0.1, learning_rate=0.001, **digits) | {"dead_layer": "fire9_squeeze"}
    write(folder / "dead.ipynb", dead)
    summary, comparison, runs, _ = summarize(project)
    assert "another network" in (summary / "comparison.txt").read_text()
    assert runs.loc["another-network", "outcome"] == "collapsed: predicts only 3; no layer is dead"
    mine = comparison.loc["Adam 0.0001, batch_size 64, dataset mnist"]
    assert mine["here"] == "95.00 ± 7.07" and mine["seeds"] == 2 and mine["paper"] == 99.11
    assert comparison["paper"].notna().sum() == 2 and comparison["official"].notna().sum() == 1
    assert runs.index[runs["outcome"].str.contains("seed-")].tolist() == ["seed-0-copy", "seed-1-again"]
    assert runs.loc["old", "outcome"].endswith("only 1") and "only 3; fire9" in runs.loc["dead", "outcome"]
    begun = min(row["epoch"] for row in read_record(PROJECT / official)["history"] if row["accuracy"] > 0.2)
    assert all(number in runs.loc["early", "outcome"] for number in ("169 steps", f"{844 * begun:,}"))


def test_own_data_has_no_paper_and_a_full_disk_leaves_the_former_summary(project):
    generator = np.random.default_rng(0)
    truth, predictions = generator.integers(5, size=300), generator.integers(4, size=300)  # 4 is never predicted
    matrix = pd.crosstab(truth, predictions).reindex(columns=range(5), fill_value=0).to_numpy()
    (project / "outputs/mine").mkdir(parents=True)
    (project / "outputs/mine/plan.json").write_text("{")
    assert "neither executed" in run(*COMMAND, folder=project, fails=True)
    write(project / "outputs/mine/own.ipynb", record(matrix, dataset="own.npz"))
    summary, comparison, _, page = summarize(project)
    assert "paper" not in comparison and "paper" not in page.partition("<body")[2].lower() and "plan.json" in page
    report = classification_report(truth, predictions, output_dict=True, zero_division=0)
    expected = 100 * pd.DataFrame(report).T.iloc[:5, :3]
    assert np.allclose(pd.read_csv(summary / "scores.csv", index_col=0), expected)
    assert not re.search(r"""(src|href)=["']?(http|//)|url\(["']?(http|//)|import .http""", page)
    first = {path.name: path.read_bytes() for path in summary.iterdir()}
    said = run("bash", "-c", f"ulimit -f 64; {' '.join(COMMAND)}", folder=project, fails=True)
    assert "outputs/mine" in said.splitlines()[-1] and "Traceback" not in said
    assert {path.name: path.read_bytes() for path in summary.iterdir()} == first
    (summary / "index.html").unlink()
    (summary / "foreign.csv").write_text("of the report")
    assert {path.name for path in summarize(project)[0].iterdir()} == {*first, "foreign.csv"}
    assert {path.name for path in summary.parent.iterdir()} == {"own.ipynb", "plan.json", "summary"}
