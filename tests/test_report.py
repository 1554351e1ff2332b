"""The official records agree with themselves, and the report's numbers with other ways to compute them."""

import shutil

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml

from conftest import PROJECT, run
from records import read_lines, read_record

REFERENCE = PROJECT / "outputs/reference"
SUMMARY = REFERENCE / "summary"
CRITERIA = yaml.safe_load((PROJECT / "paper/criteria.yaml").read_text(encoding="utf-8"))
NETWORKS = {("conv10", "glorot_uniform"): "conv10", ("fire10-dense", "glorot_uniform"): "fire10-dense",
            ("conv10", "lecun_uniform"): "lecun-uniform"}
OUTCOMES = pd.read_csv(SUMMARY / "outcomes.csv")
RECORDS = {}  # all that lie in outputs/reference, by the name that outcomes.csv gives a run's file
for path in [*REFERENCE.glob("*.ipynb"), *REFERENCE.glob("fire10-dense/*.ipynb")]:
    RECORDS[str(path.relative_to(REFERENCE))] = read_record(path)
for path in REFERENCE.rglob("*.jsonl.gz"):
    RECORDS |= {f"{path.relative_to(REFERENCE)}: {name}": record for name, record in read_lines(path).items()}


FRESH = set()  # the runs that the criteria name: network, setting, seed
for network, settings in CRITERIA["fresh"].items():
    for setting, seeds in settings.items():
        first, last = map(int, seeds.split("-"))
        FRESH |= {(network, setting, seed) for seed in range(first, last + 1)}


def test_records_agree_with_themselves_and_with_mnist(mnist_path):
    labels = np.load(mnist_path)["y_test"]
    for name, record in RECORDS.items():
        matrix, history = np.array(record["confusion_matrix"]), record["history"]
        assert matrix.sum(axis=1).tolist() == np.bincount(labels).tolist(), name
        assert record["test_accuracy"] == pytest.approx(np.trace(matrix) / len(labels), abs=1e-9), name
        assert [round(row["epoch"]) for row in history] == [*range(1, len(history) + 1)], name


def test_outcomes_follow_from_matrices_and_histories():
    for row in OUTCOMES.itertuples():
        record, told = RECORDS[row.file], RECORDS[row.file]["parameters"]
        assert row.setting.lower() == f"{told['optimizer']} {told['learning_rate']:g}" and row.seed == told["seed"]
        assert row.network == NETWORKS[told["head"], told["initializer"]]
        columns = [sum(line[digit] for line in record["confusion_matrix"]) for digit in range(10)]
        curves = [epoch[name] for epoch in record["history"] for name in ("accuracy", "val_accuracy")]
        one = max(columns) >= 9900 and record["status"] == "finished"
        collapsed = one and max(x or 0 for x in curves) <= 0.2
        assert (row.outcome == "collapsed") == collapsed and (row.digit == np.argmax(columns)) == one, row.file
        assert collapsed or row.outcome == ("learned" if record["test_accuracy"] > 0.9 else "neither"), row.file
        assert row.epochs == len(record["history"]) and abs(row[6] - 100 * record["test_accuracy"]) < 0.0051


def test_every_official_run_is_counted_once_and_no_other():
    assert not OUTCOMES.duplicated(["setting", "network", "seed"]).any()
    for name, record in RECORDS.items():
        told, plain = record["parameters"], not name.startswith("archive")
        network = NETWORKS.get((told["head"], told["initializer"]))
        if not plain or not network or told["batch_norm"]:
            continue
        setting = f"{told['optimizer']} {told['learning_rate']:g}"
        counts = (network, setting, told["seed"]) in FRESH or told["seed"] < (1 if setting == "sgd 0.1" else 3)
        assert OUTCOMES.set_index("file")["counts"].get(name, False) == counts, name
        short = setting in ("adam 0.001", "rmsprop 0.001") and told["seed"] > 0 or record["status"] == "diverged"
        assert short or len(record["history"]) == 30 or record.get("dead_layer"), f"{name} is not whole"
    assert not OUTCOMES["counts"][OUTCOMES["file"].str.startswith("archive")].any()


def test_all_fresh_runs_are_there_and_younger_than_the_criteria():
    fresh = [row.file for row in OUTCOMES[OUTCOMES["counts"]].itertuples()
             if (row.network, row.setting.lower(), row.seed) in FRESH]
    assert len(fresh) == len(FRESH)
    if not (PROJECT / ".git").exists() or "true" in run("git", "rev-parse", "--is-shallow-repository", folder=PROJECT):
        pytest.skip("no history here: it is needed to show the order")
    first = run("git", "log", "--format=%aI", "--", "paper/criteria.yaml", folder=PROJECT).split()[-1]
    for file in fresh:
        assert pd.Timestamp(RECORDS[file]["environment"]["finished"]) > pd.Timestamp(first), file


def test_the_front_tables():
    first, second = (SUMMARY / "front.md").read_text(encoding="utf-8").replace("\u00a0", " ").split("\n\n")
    rows = [line.strip("|").split("|") for line in first.splitlines()[2:]]
    table = (SUMMARY / "table.csv").read_text(encoding="utf-8").replace("\u00a0", " ")
    assert all(cell in table for row in rows for cell in row) and len(rows) == 12 == table.count("\n") - 1
    cells = {(row[0], "conv10"): row[2] for row in rows}
    head, _, *lines = [line.strip("|\n").split("|") for line in second.splitlines()]
    cells |= {(row[0], network): cell for row in lines for network, cell in zip(head[1:], row[1:])}
    for (setting, network), cell in cells.items():
        mine = OUTCOMES.query("counts and setting == @setting and network == @network")
        digits = mine["digit"][mine["outcome"] == "collapsed"].astype(int).value_counts().sort_index()
        late = mine["digit"][mine["outcome"] == "neither"].dropna().astype(int).value_counts().sort_index()
        expected = [f"{n} × always {digit}" for digit, n in digits.items()]
        expected += [f"{n} × always {digit} after passing 20 %" for digit, n in late.items()]
        diverged = mine["file"].map(lambda name: RECORDS[name]["status"] == "diverged")
        if diverged.any():
            expected.append(f"{diverged.sum()} × diverged")
        rest = mine[mine["digit"].isna() & ~diverged]
        for outcome in ("neither", "learned"):
            values = rest["test accuracy (%)"][rest["outcome"] == outcome]
            ends = "–".join(dict.fromkeys(f"{value:.2f}" for value in (values.min(), values.max())))
            if len(values):
                expected.append(f"{len(values)} × {ends} %")
        assert cell == (", ".join(expected) or "–"), (setting, network)


@pytest.mark.slow
def test_the_report_gives_the_committed_tables_without_a_warning(project, mnist_path):
    shutil.copytree(REFERENCE, project / "outputs/reference")
    names = ("outcomes.csv", "table.csv", "front.md")
    for name in names:
        (project / "outputs/reference/summary" / name).unlink()
    run("papermill", "notebooks/report.ipynb", "x.ipynb", folder=project, MNIST_NPZ=str(mnist_path))
    cells = nbformat.read(project / "x.ipynb", 4).cells
    assert not [o for cell in cells for o in cell.get("outputs", []) if o.output_type in ("stream", "error")]
    assert all((project / "outputs/reference/summary" / n).read_text() == (SUMMARY / n).read_text() for n in names)
