"""Wrong parameters are refused, with the name, the value and the fix."""

import pytest
from conftest import MASTER

import from_notebook
import study

WRONG = [
    ({"optimizer": "Adm"}, ["optimizer = 'Adm'", "'adam', 'rmsprop' or 'sgd'", "did you mean 'adam'"]),
    ({"learning_rate": "1e-4"}, ["learning_rate = '1e-4'", "without quotes and as 0.0001"]),
    ({"learning_rate": float("nan")}, ["learning_rate = nan", "finite"]),
    ({"learning_rate": -0.1}, ["learning_rate = -0.1", "greater than 0"]),
    ({"epochs": True}, ["epochs = True (bool)", "valid integer"]),
    ({"epochs": 2.5}, ["epochs = 2.5"]),
    ({"seed": 2**32}, ["seed = 4294967296", "less than 4294967296"]),
    ({"lerning_rate": 0.1}, ["lerning_rate is not a parameter", "did you mean learning_rate"]),
    ({"squeezenet_version": 1.2}, ["squeezenet_version = '1.2'", "'1.0' or '1.1'"]),
    ({"epochs": "3"}, ["epochs = '3' (str)", "write it without quotes"]),
    ({"momentum": 0.9}, ["momentum = 0.9", "adam"]),
    ({"weights_path": "no-such-folder/a.weights.h5"}, ["weights_path", "does not exist"]),
    ({"weights_path": "model.h5"}, ["weights_path = 'model.h5'"]),
]


@pytest.mark.parametrize("change, said", WRONG, ids=lambda value: str(value)[:40])
def test_wrong_value_is_explained(master, change, said):
    notebook = master("check_parameters", "RunError")
    with pytest.raises(notebook.RunError) as error:
        notebook.check_parameters(from_notebook.parameters(MASTER) | change)
    for words in said:
        assert words in str(error.value)


def test_all_faults_are_reported_at_once(master):
    notebook = master("check_parameters", "RunError")
    with pytest.raises(notebook.RunError, match="3 wrong") as error:
        notebook.check_parameters(from_notebook.parameters(MASTER) | {"epochs": 0, "head": "x", "sead": 1})
    assert all(name in str(error.value) for name in ("epochs", "head", "sead"))


def test_existing_weights_are_not_overwritten(master, tmp_path):
    notebook = master("check_parameters", "RunError")
    mine = tmp_path / "mine.weights.h5"
    mine.write_text("mine")
    with pytest.raises(notebook.RunError, match="exists already"):
        notebook.check_parameters(from_notebook.parameters(MASTER) | {"weights_path": str(mine)})
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("content, said", [
    ("epochs: 1\nepochs: 2\n", "line 2: epochs is given twice"),
    ("", "should hold lines like"),
    ("- adam\n", "should hold lines like"),
    ("optimizer:\tadam: 3\n", "line 1"),
    ("\ufeffepochs: 1\n", "byte order mark"),
])
def test_unreadable_parameter_file_is_named(tmp_path, content, said):
    path = tmp_path / "run.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(study.StudyError, match=said) as error:
        study.read_parameters(path)
    assert str(path) in str(error.value)


def test_plan_names_the_file_of_each_fault(project, monkeypatch):
    monkeypatch.chdir(project)
    (project / "params/paper/02-adam-0.01.yaml").write_text("optimizer: adam\nlearning_rate: 2.0\n")
    (project / "overlay.yaml").write_text("epoch: 1\n")
    with pytest.raises(study.StudyError) as error:
        study.plan("paper", ["overlay.yaml"])
    assert "params/paper/02-adam-0.01.yaml: learning_rate = 2.0" in str(error.value)
    assert str(error.value).count("overlay.yaml: epoch is not a parameter: did you mean epochs?") == 1


def test_overlays_and_seeds_win(project, monkeypatch):
    monkeypatch.chdir(project)
    runs = study.plan("paper", ["params/demo.yaml"], seeds=[0, 3])
    assert len(runs) == 24
    run = runs["04-adam-0.0001-seed-3"]
    assert (run.parameters["dataset"], run.parameters["seed"], run.parameters["optimizer"]) == ("digits", 3, "adam")


def test_a_version_may_be_typed_as_a_number(master):
    given = from_notebook.parameters(MASTER) | {"squeezenet_version": 1.1}
    assert master("check_parameters").check_parameters(given).squeezenet_version == "1.1"
