"""Wrong parameters are refused, with the name, the value and the fix."""

import json

import jsonschema
import nbformat
import pytest
import wrong_inputs
import yaml
from conftest import MASTER, PROJECT, run

import from_notebook
import schema
import study


@pytest.fixture
def wrong_study(project, monkeypatch):
    """A project whose study `wrong` has each wrong parameter file."""
    monkeypatch.chdir(project)
    (project / "params/wrong").mkdir()
    for name, (content, *_) in wrong_inputs.FILES.items():
        content = content.encode() if isinstance(content, str) else content
        (project / f"params/wrong/{name}.yaml").write_bytes(content)
    return project


def test_each_wrong_file_is_refused_with_file_key_and_fix(wrong_study):
    """All at once, in one message, one line (or two) a file."""
    with pytest.raises(study.StudyError) as error:
        study.plan("wrong")
    text = str(error.value)
    assert len(wrong_inputs.FILES) >= 40 and not (wrong_study / "pwned").exists()
    for name, (_, words, _) in wrong_inputs.FILES.items():
        said = " ".join(line for line in text.splitlines() if f"params/wrong/{name}.yaml" in line)
        assert all(word in said for word in words), (name, said)


def test_the_batch_refuses_them_before_any_run(wrong_study, count):
    done = run("snakemake", "--config", "study=wrong", folder=wrong_study)
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert all(f"params/wrong/{name}.yaml" in done.stdout for name in wrong_inputs.FILES)
    assert not (wrong_study / "outputs").exists() and not (wrong_study / "pwned").exists()
    count("wrong parameter files, refused by the batch before any run", len(wrong_inputs.FILES))


@pytest.mark.parametrize("words, said", wrong_inputs.BATCH, ids=lambda value: " ".join(value)[:40])
def test_the_batch_refuses_a_wrong_option(project, words, said, count):
    done = run("snakemake", "-n", "--config", *words, folder=project)  # would start a study if it were not refused
    assert done.returncode != 0 and "Traceback" not in done.stdout and not (project / "outputs").exists()
    assert all(word in done.stdout for word in said), done.stdout
    count("wrong command lines, refused")


@pytest.mark.parametrize("name", ["epochs-true", "name-is-statements", "name-twice", "empty"])
def test_plain_papermill_refuses_a_wrong_file(project, name):
    papermill_refuses(project, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", wrong_inputs.FILES)
def test_plain_papermill_refuses_every_wrong_file(project, name, count):
    papermill_refuses(project, name)
    count("wrong parameter files, refused by plain papermill before training")
    if name in wrong_inputs.OWN_WORDS:
        count("of these, those that papermill itself cannot read, in its words")


def papermill_refuses(project, name):
    """papermill, given a wrong file, ends before Keras is imported, with our words where it got as far as the notebook."""
    content, words, _ = wrong_inputs.FILES[name]
    (project / "wrong.yaml").write_bytes(content.encode() if isinstance(content, str) else content)
    said = refused_by_papermill(project, "-f", "wrong.yaml")
    assert name in wrong_inputs.OWN_WORDS or all(word in said for word in [*words, "wrong.yaml"]), said
    assert not (project / "pwned").exists()


@pytest.mark.slow
@pytest.mark.parametrize("options, words", wrong_inputs.PAPERMILL, ids=lambda value: " ".join(value)[:40])
def test_plain_papermill_refuses_a_wrong_option(project, options, words, count):
    said = refused_by_papermill(project, *options, keras=options[1] == "data_path")
    assert all(word in said for word in words), said
    count("wrong command lines, refused")


@pytest.mark.slow
def test_a_wrong_value_on_the_command_line_is_not_blamed_on_the_file(project):
    file = "params/paper/04-adam-0.0001.yaml"
    said = refused_by_papermill(project, "-f", file, "-p", "learning_rate", "2", "-y", "{head: x}")
    assert "\n  learning_rate = 2" in said and "head = 'x'" in said and f"{file}: " not in said, said


def refused_by_papermill(project, *options, keras=False):
    """Run papermill with these options, which must fail before Keras is imported (or the data loaded); what it printed."""
    done = run("papermill", "notebooks/squeezenet_mnist.ipynb", "out.ipynb", *options, "--no-progress-bar", folder=project)
    assert done.returncode != 0, done.stdout
    if (project / "out.ipynb").exists():
        executed = [c.source for c in nbformat.read(project / "out.ipynb", 4).cells if c.get("execution_count")]
        assert not any(("train_epoch" if keras else "import keras") in source for source in executed)
    return done.stdout


@pytest.mark.parametrize("name", [name for name, case in wrong_inputs.FILES.items() if case[2]])
def test_editors_see_the_fault_too(name):
    validator = jsonschema.Draft202012Validator(json.loads((PROJECT / schema.SCHEMA).read_text()))
    assert list(validator.iter_errors(yaml.safe_load(wrong_inputs.FILES[name][0]) | {})), name


def test_the_schema_is_the_notebooks_and_accepts_our_files():
    assert (PROJECT / schema.SCHEMA).read_text() == schema.text(), "run: python workflow/schema.py"
    validator = jsonschema.Draft202012Validator(schema.schema())
    for path in (PROJECT / "params").rglob("*.yaml"):
        validator.validate(yaml.safe_load(path.read_text()))
        named = path.read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")
        assert (path.parent / named).resolve() == PROJECT / schema.SCHEMA


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
