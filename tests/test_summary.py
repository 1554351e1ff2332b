"""The summary: studies in every state, beside paper and official runs, from notebooks that nobody can trust."""

import json
import shutil

import numpy as np
import pandas as pd
from nbformat.v4 import new_code_cell, new_notebook, new_output

from conftest import PROJECT, run
from notebooks import defaults
from records import RECORD_TYPE, read_record, read_run, read_study

DEFAULTS = defaults(PROJECT / "notebooks/squeezenet_mnist.ipynb")
DIGITS = {"dataset": "digits", "batch_size": 8, "epochs": 3}
HOSTILE = "<script>alert(1)</script>\x1b[31m"


def record(matrix=((9, 1), (3, 7)), accuracy=0.9, status="finished", **parameters):
    """A result record as the master makes them, one epoch long; accuracy: that of the epoch, in training."""
    loss = 0.5 if status == "finished" else None
    return {
        "parameters": DEFAULTS | parameters, "status": status, "test_loss": loss, "dead_layer": None,
        "test_accuracy": float(np.trace(matrix) / np.sum(matrix)), "confusion_matrix": np.array(matrix).tolist(),
        "history": [{"epoch": 1, "loss": loss, "accuracy": accuracy, "val_loss": loss, "val_accuracy": accuracy}],
        "environment": {"cpu": "a processor", "threads": "1", "versions": {"keras": "3.13.2"}},
    }


def write(path, *outputs, papermill=None):
    """An executed notebook with these outputs; what is no output is its result record."""
    outputs = [output if hasattr(output, "output_type") else
               new_output("display_data", data={RECORD_TYPE: {"data": output}}) for output in outputs]
    path.parent.mkdir(parents=True, exist_ok=True)
    notebook = new_notebook(cells=[new_code_cell("pass", outputs=outputs)], metadata={"papermill": papermill or {}})
    path.write_text(json.dumps(notebook))


def summarize(project, **options):
    """Run the summary of outputs/mine; return its folder, its comparison and its runs by name, and the page."""
    run("python", "workflow/summarize.py", "outputs/mine", folder=project, **options)
    summary = project / "outputs/mine/summary"
    comparison, runs = (pd.read_csv(summary / f"{name}.csv", index_col=0) for name in ("comparison", "runs"))
    text = (summary / "comparison.txt").read_text()
    assert all(len(line) <= 100 and line.isprintable() for line in text.splitlines())
    return summary, comparison, runs, (summary / "index.html").read_text()


def constant(k, only):
    """The confusion matrix of a network that gives ten images of each class one prediction."""
    return np.eye(k, dtype=int)[[only] * k] * 10


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
        "text": good | {"test_accuracy": "0.9"}, "nan": good | {"test_accuracy": float("nan")},
        "oblong": good | {"confusion_matrix": [[1, 2], [3]]}, "empty": good | {"confusion_matrix": []},
        "history": good | {"history": [{"epoch": 1}]}, "odd": good | {"parameters": DEFAULTS | {"batch_size": 0}}}
    for name, one in malformed.items():
        write(folder / f"{name}.ipynb", one)
    write(folder / "papermill.ipynb", good, papermill=["odd"])
    write(folder / "duration.ipynb", good, papermill={"duration": HOSTILE})
    for name, text in {"cut": (folder / "good.ipynb").read_text()[:500], "merge": "<<<<<<< HEAD\n{}", "<b>#?": "[]"}.items():
        (folder / f"{name}.ipynb").write_text(text)
    (folder / "plan.json").write_text(json.dumps({"runs": {"good": DEFAULTS, "planned": DEFAULTS | {"epochs": 2}}}))
    _, comparison, runs, page = summarize(project)
    known = {"good": "learned", "told": "learned", "record-then-error": "learned", "diverged": "diverged",
             "failed": "failed", "unfinished": "unfinished", "planned": "missing"}
    unreadable = [*malformed, "papermill", "duration", "cut", "merge", "<b>#?"]
    assert runs["outcome"].to_dict() == known | dict.fromkeys(unreadable, "unreadable")
    assert runs.loc[unreadable, "note"].notna().all() and runs.loc["unfinished", "note"] == "Epoch 2/3"
    assert len(comparison) == 5 + len(unreadable) + 2
    assert not {"<script", "<b>", "\x1b"} & {mark for mark in ("<script", "<b>", "\x1b") if mark in page}
    (folder / "plan.json").write_text('{"runs": ["odd"]}')
    assert "planned" not in read_study(folder) and read_run(folder / "nowhere.ipynb")["state"] == "unreadable"


def test_beside_the_paper_seeds_are_averaged_and_copies_never_counted(project):
    folder = project / "outputs/mine"
    for seed, matrix in enumerate([((8, 2), (0, 10)), ((10, 0), (0, 10))]):
        write(folder / f"04-seed-{seed}.ipynb", record(matrix, seed=seed))
    write(folder / "copy.ipynb", record(((8, 2), (0, 10)), weights_path="elsewhere.weights.h5", stop_when_dead=True))
    write(folder / "once-more.ipynb", record(((9, 1), (0, 10)), seed=1))
    old = record(constant(2, 1), 0.5, learning_rate=0.1)
    old["parameters"] = {k: v for k, v in old["parameters"].items() if k != "stop_when_dead"} | {"momentum": 0.0}
    write(folder / "old.ipynb", old)
    write(folder / "dense.ipynb", record(head="fire10-dense", batch_size=32))
    _, comparison, runs, page = summarize(project)
    mine = comparison.loc["Adam 0.0001, batch_size 64, head conv10"]
    assert mine["here"] == "95.00 ± 7.07" and mine["seeds"] == 2 and mine["paper"] == 99.11
    assert comparison["paper"].isna().tolist() == [False, True, False]
    assert runs["outcome"].str.contains("04-seed-").tolist() == [False, False, True, False, False, True]
    assert runs.loc["old", "outcome"].endswith("only 1") and "fire10-dense" in page and "official" not in comparison


def test_on_the_digits_the_official_result_says_which_settings_cannot_have_begun(project):
    for place in ("", "fire10-dense"):
        for path in (PROJECT / "outputs/reference" / place).glob("*.ipynb"):
            (project / "outputs/reference" / place).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, project / "outputs/reference" / place)
    settings = {"begun": ("sgd", 0.1, 0.9), "early": ("sgd", 0.01, 0.1), "dead": ("sgd", 0.001, 0.1), "late": ("adam", 0.1, 0.1)}
    for name, (optimizer, rate, accuracy) in settings.items():
        matrix = np.eye(10, dtype=int) if name == "begun" else constant(10, 3)
        mine = record(matrix, accuracy, optimizer=optimizer, learning_rate=rate, **DIGITS)
        write(project / "outputs/mine" / f"{name}.ipynb", mine | {"dead_layer": "fire9_squeeze" if name == "dead" else None})
    _, comparison, runs, _ = summarize(project)
    path = project / "outputs/reference/10-sgd-0.01.ipynb"
    needed = 844 * min(row["epoch"] for row in read_record(path)["history"] if row["accuracy"] > 0.2)
    assert "169 steps" in runs.loc["early", "outcome"] and f"{needed:,}" in runs.loc["early", "outcome"]
    assert runs["outcome"].str.startswith("collapsed: predicts only 3").to_dict() == {
        "begun": False, "dead": True, "early": False, "late": True}
    assert comparison.loc["SGD 0.01", "official"] == round(100 * read_record(path)["test_accuracy"], 2)
    assert "paper" not in comparison


def test_own_data_has_no_paper_and_a_full_disk_leaves_the_former_summary(project):
    from sklearn.metrics import classification_report

    generator = np.random.default_rng(0)
    truth, predictions = generator.integers(5, size=300), generator.integers(4, size=300)  # 4 is never predicted
    matrix = pd.crosstab(truth, predictions).reindex(columns=range(5), fill_value=0).to_numpy()
    write(project / "outputs/mine/own.ipynb", record(matrix, dataset="own.npz"))
    (project / "outputs/mine/plan.json").write_text("{")
    summary, comparison, _, page = summarize(project)
    assert "paper" not in comparison and "paper" not in page.lower() and "plan.json" in page
    report = pd.DataFrame(classification_report(truth, predictions, output_dict=True, zero_division=0)).T.iloc[:5, :3]
    assert np.allclose(pd.read_csv(summary / "scores.csv").iloc[:, 1:], 100 * report)
    first = {path.name: path.read_bytes() for path in summary.iterdir()}
    assert "http" not in page and all(path.suffix != ".png" or path.stat().st_size > 5000 for path in summary.iterdir())
    said = run("bash", "-c", "ulimit -f 64; python workflow/summarize.py outputs/mine", folder=project, fails=True)
    assert "outputs/mine" in said.splitlines()[-1] and "Traceback" not in said
    assert {path.name: path.read_bytes() for path in summary.iterdir()} == first
    (summary / "index.html").unlink()
    (summary / "foreign.csv").write_text("of the report")
    assert {path.name for path in summarize(project)[0].iterdir()} == {*first, "foreign.csv"}
    assert {path.name for path in (project / "outputs/mine").iterdir()} == {"own.ipynb", "plan.json", "summary"}


def test_nothing_to_summarize_is_told_in_a_line(project):
    (project / "outputs/mine").mkdir(parents=True)
    assert "neither executed" in run("python", "workflow/summarize.py", "outputs/mine", folder=project, fails=True)
