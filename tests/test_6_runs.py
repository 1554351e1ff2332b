"""Real runs by papermill, nbclient and snakemake on the embedded digits. Slow: each trains."""

import re
import shlex
from importlib.util import find_spec

import nbformat
import numpy as np
import pytest
import yaml
from conftest import MASTER, PROJECT, run
from sklearn.metrics import accuracy_score, confusion_matrix

import compare
import study

LEARNS = {"dataset": "digits", "batch_size": 16, "epochs": 6, "initializer": "he_normal", "learning_rate": 0.001}
QUICK = {"dataset": "digits", "batch_size": 50, "epochs": 2, "train_limit": 200}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def execute(project, parameters, name="out.ipynb"):
    """Run the master notebook by papermill; return the finished process and the path of the executed notebook."""
    (project / "run.yaml").write_text(yaml.safe_dump(parameters))
    done = run("papermill", MASTER, project / name, "-f", "run.yaml", "--no-progress-bar", folder=project, **ONE_THREAD)
    return done, project / name


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """The record of a run that learns, its folder beside it."""
    folder = tmp_path_factory.mktemp("learned")
    done, path = execute(folder, LEARNS | {"weights_path": "net.weights.h5"})
    assert done.returncode == 0, done.stdout
    return study.read_record(path), folder


def test_a_run_learns(learned):
    record, _ = learned
    assert record["status"] == "finished" and record["test_accuracy"] > 0.85
    assert [row["epoch"] for row in record["history"]] == [1, 2, 3, 4, 5, 6]
    assert record["history"][-1]["loss"] < record["history"][0]["loss"] / 3


def test_the_record_agrees_with_itself_and_the_data(learned, master):
    record, _ = learned
    labels = master("load_digits28").load_digits28()["y_test"]
    predictions = np.array(list(record["predictions"]), dtype=int)
    assert record["test_accuracy"] == accuracy_score(labels, predictions)
    assert record["confusion_matrix"] == confusion_matrix(labels, predictions, labels=range(10)).tolist()
    assert record["class_counts"]["test"] == np.bincount(labels).tolist()
    assert record["parameters"] | LEARNS == record["parameters"]
    assert record["network"] == {"parameters": 731146, "macs": 12357504}
    assert len(record["digests"]["order"]) == len(record["digests"]["weights"]) == 6


def test_the_saved_weights_give_the_recorded_predictions(learned, master):
    record, folder = learned
    notebook = master("squeezenet", "prepare", "predict_logits", "load_digits28")
    arrays = notebook.load_digits28()
    model = notebook.squeezenet("1.0", initializer="he_normal")
    model.load_weights(folder / "net.weights.h5")
    logits = notebook.predict_logits(model, notebook.prepare(arrays["x_test"], arrays["y_test"])[0])
    assert "".join(map(str, logits.argmax(axis=1))) == record["predictions"]
    assert (folder / "net.weights.h5").stat().st_size < 4e6


def test_a_repetition_is_equal_to_the_bit(tmp_path, count):
    records = [study.read_record(execute(tmp_path, QUICK, name)[1]) for name in ("a.ipynb", "b.ipynb")]
    assert records[0]["digests"] == records[1]["digests"]
    count("repetitions compared, equal to the bit")
    other = study.read_record(execute(tmp_path, QUICK | {"seed": 1}, "c.ipynb")[1])
    assert other["digests"]["data"] == records[0]["digests"]["data"]
    assert other["digests"]["initial_weights"] != records[0]["digests"]["initial_weights"]
    assert other["digests"]["order"] != records[0]["digests"]["order"]


def test_the_first_epoch_of_an_official_run_is_repeated(tmp_path, mnist_path, count):
    """Today's notebook still computes what the reference was computed with: to the bit, or on other processors closely."""
    reference = study.read_record(PROJECT / "outputs/reference/04-adam-0.0001.ipynb")
    told = study.read_parameters(PROJECT / "params/paper/04-adam-0.0001.yaml")
    done, path = execute(tmp_path, told | {"epochs": 1, "data_path": str(mnist_path)})
    assert done.returncode == 0, done.stdout
    repeated = study.read_record(path)
    parted, _ = compare.first_difference(reference, repeated)
    assert parted in (None, "weights after epoch 1"), "data, initial weights and order do not depend on the machine"
    accuracies = [record["history"][0]["val_accuracy"] for record in (reference, repeated)]
    assert abs(accuracies[0] - accuracies[1]) < 0.03  # more than twice what another number of threads makes (summary/tiers.csv)
    if parted is None:
        count("repetitions compared, equal to the bit")


def test_a_diverging_run_is_a_result(tmp_path):
    done, path = execute(tmp_path, QUICK | {"optimizer": "sgd", "learning_rate": 1.0, "initializer": "he_normal", "momentum": 0.9})
    record = study.read_record(path)
    assert done.returncode == 0, done.stdout
    assert record["status"] == "diverged" and record["history"][-1]["loss"] is None
    assert "NaN" not in path.read_text().split("scrapbook")[1]


def test_wrong_parameters_end_a_plain_papermill_run_at_once(tmp_path):
    done, path = execute(tmp_path, {"lerning_rate": 0.1, "epochs": "30"})
    assert done.returncode != 0
    assert "lerning_rate is not a parameter: did you mean learning_rate?" in done.stdout
    assert "epochs = '30' (str)" in done.stdout
    cells = nbformat.read(path, 4).cells
    assert not any("import keras" in cell.source for cell in cells if cell.get("execution_count"))


def test_nbclient_alone_executes_the_notebook(tmp_path):
    """As in Colab: no papermill, the values typed into the parameters cell."""
    from nbclient import NotebookClient

    notebook = nbformat.read(MASTER, 4)
    cell = next(c for c in notebook.cells if c.metadata.get("tags") == ["parameters"])
    for name, value in {"dataset": '"digits"', "epochs": "1", "train_limit": "200"}.items():
        cell.source = "\n".join(
            f"{name} = {value}" if line.startswith(f"{name} =") else line for line in cell.source.splitlines()
        )
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    nbformat.write(notebook, tmp_path / "out.ipynb")
    assert study.read_record(tmp_path / "out.ipynb")["parameters"]["train_limit"] == 200


def test_a_study_runs_skips_fails_and_recovers(project):
    """Three runs of which one cannot work: the others finish, the summary says so, a second call mends it."""
    folder, outputs = project / "params/mini", project / "outputs/mini"
    folder.mkdir()
    for name, change in {"01-good": {}, "02-bad": {"train_limit": 1}, "03-good": {"seed": 5}}.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(QUICK | {"optimizer": "adam"} | change))
    command = ["snakemake", "--config", "study=mini", "progress=3"]

    first = run(*command, folder=project)
    assert first.returncode != 0
    assert sorted(path.name for path in outputs.glob("*.ipynb")) == ["01-good.ipynb", "03-good.ipynb"]
    assert "train_limit = 1 leaves nothing" in (outputs / "logs/02-bad.log").read_text()
    assert (outputs / "unfinished/02-bad.ipynb").exists()
    assert "of 3 runs done" in first.stdout and "1 failed" in (outputs / "summary/index.html").read_text()

    before = (outputs / "01-good.ipynb").stat().st_mtime_ns
    (folder / "02-bad.yaml").write_text(yaml.safe_dump(QUICK | {"optimizer": "sgd"}))
    second = run(*command, folder=project)
    assert second.returncode == 0, second.stdout
    assert (outputs / "01-good.ipynb").stat().st_mtime_ns == before
    assert "3 finished" in (outputs / "summary/index.html").read_text()
    assert not list((outputs / "unfinished").glob("*.ipynb"))

    (folder / "03-good.yaml").write_text(yaml.safe_dump(QUICK | {"optimizer": "adam", "seed": 6}))
    third = run(*command, folder=project)
    assert third.returncode != 0 and "was made with seed = 5, now asked for is 6" in third.stdout


def test_the_batch_starts_nothing_on_wrong_parameters(project):
    (project / "wrong.yaml").write_text("dataset: digits\nepochs: none\n")
    done = run("snakemake", "--config", "overlay=wrong.yaml", folder=project)
    assert done.returncode != 0 and "wrong.yaml: epochs = 'none' (str)" in done.stdout
    assert "Traceback" not in done.stdout and not (project / "outputs").exists()


def test_the_batch_starts_nothing_without_mnist(project):
    done = run("snakemake", folder=project, MNIST_NPZ=str(project / "absent.npz"))
    assert done.returncode != 0 and "MNIST could not be loaded" in done.stdout and "absent.npz" in done.stdout
    assert not list((project / "outputs/paper").glob("unfinished/*"))


def test_the_batch_understands_each_command_of_the_readme(project):
    block = re.search(r"^snakemake  .*?```", (PROJECT / "README.md").read_text(), re.MULTILINE | re.DOTALL)[0]
    commands = [shlex.split(line.partition("#")[0]) for line in block.splitlines() if line.startswith("snakemake")]
    assert len(commands) >= 4
    for command in commands:
        done = run(*command, "-n", folder=project)
        if "overlay=params/jax.yaml" in command and not find_spec("jax"):
            # without the extra package the command has to be refused, by one message that says what to install
            assert done.returncode != 0 and "pip install jax" in done.stdout and "Traceback" not in done.stdout
            continue
        assert done.returncode == 0, done.stdout
        assert done.stdout.count("\nrule run:") == (36 if any("seeds" in word for word in command) else 12)
