"""The notebooks as they lie there, what they and the code import, and the one for Colab."""

import ast
import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions

import nbformat
import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager

from conftest import MASTER, PROJECT, run
from notebooks import defaults, load

PATHS = [*PROJECT.glob("notebooks/*.ipynb"), *PROJECT.glob("extras/*/*.ipynb")]
NOTEBOOKS = {path: nbformat.read(path, 4) for path in sorted(PATHS)}
CODE = {path: [cell for cell in notebook.cells if cell.cell_type == "code"] for path, notebook in NOTEBOOKS.items()}
MODULES = [path for part in ("workflow", "tests", "extras/benchmark", "extras/page")
           for path in (PROJECT / part).rglob("*.py")]  # the site has an environment of its own
BATCH = PROJECT / "notebooks/colab_batch.ipynb"
ALONE = {PROJECT / f"notebooks/{name}.ipynb" for name in (
    "squeezenet_mnist", "first_network", "why_training_collapses")}  # need nothing beside them
COLAB = {"IPython", "google", "jax", "keras", "matplotlib", "nbformat", "numpy", "pandas", "pydantic", "scipy",
         "sklearn", "statsmodels", "tabulate", "tensorflow", "yaml"}
CALLED = {"ipykernel", "jupyterlab", "nbconvert", "papermill", "ruff", "snakemake"}  # not imported


def tree(source):
    """The syntax tree of a cell, which may hold IPython's magics."""
    return ast.parse(TransformerManager().transform_cell(source))


def imported(*sources):
    """Names of the packages that Python code imports, without the standard library."""
    nodes = [node for source in sources for node in ast.walk(tree(source))]
    modules = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    modules += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    return {module.split(".")[0] for module in modules} - set(sys.stdlib_module_names)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_clean_and_readable(path):
    nbformat.validate(NOTEBOOKS[path])
    assert NOTEBOOKS[path].cells[0].source.startswith("# ")
    assert [cell.metadata.get("tags") for cell in CODE[path]].count(["parameters"]) == (path.stem != "first_network")
    for cell in CODE[path]:
        folded, hidden = cell.metadata.get("cellView") == "form", "source_hidden" in cell.metadata.get("jupyter", {})
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert not cell.outputs and not cell.execution_count
        assert folded == hidden <= lines[0].startswith("# @title ") and len(lines) <= (40 if folded else 30), lines[0]
        functions = [node for node in tree(cell.source).body if isinstance(node, ast.FunctionDef)]
        assert not [node.name for node in functions if node.name[0] != "_" and not ast.get_docstring(node)]
    ours = {module.stem for module in MODULES if path != MASTER}
    assert imported(*(cell.source for cell in CODE[path])) <= COLAB | ours


def test_a_badge_is_the_files_own_and_what_needs_the_project_finds_it():
    finders = {path: cell.source for path in CODE for cell in CODE[path] if "find the project" in cell.source[:40]}
    for path, notebook in NOTEBOOKS.items():
        badge = re.search(r"research\.google\.com/github/[\w.-]+/[\w.-]+/blob/main/(\S+)\)", notebook.cells[0].source)
        assert not badge or badge[1] == path.relative_to(PROJECT).as_posix()
        assert (path in finders) == bool(badge and path not in ALONE), path
    assert len({*finders.values()}) == 1 and len(finders[BATCH].splitlines()) <= 13, "the same short cell everywhere"


def test_a_notebook_alone_clones_the_project(tmp_path):
    origin = tmp_path / "origin"
    shutil.copytree(PROJECT / "workflow", origin / "workflow")
    find = next(cell.source for cell in CODE[BATCH] if "find the project" in cell.source)
    address = re.search(r'address = "(.*)"', find)[1]
    git = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{origin}.insteadOf", "GIT_CONFIG_VALUE_0": address}
    refused = run(sys.executable, "-c", find, folder=tmp_path, fails=True, **git)
    assert f"{address} could not be cloned: put this notebook into" in refused
    for words in ("init --quiet", "add .", "-c user.name=t -c user.email=t@t commit --quiet -m t"):
        subprocess.run(["git", "-C", origin, *words.split()], check=True)
    for _ in range(2):  # the second time it is there
        said = run(sys.executable, "-c", f"{find}\nimport records\nprint(os.getcwd())", folder=tmp_path, **git)
        assert said.splitlines()[-1] == str(tmp_path / "project")


def test_each_parameter_is_checked_and_explained():
    fields, text = load(MASTER, "settings").Settings.model_fields, NOTEBOOKS[MASTER].cells[1].source
    assert set(fields) == set(defaults(MASTER)) and all(f"`{name}`" in text for name in fields)


def test_declared_is_what_is_used_and_locked():
    text, lock = ((PROJECT / name).read_text() for name in ("environment.yml", "requirements.txt"))
    pins = [line.split(";")[0].lower() for line in yaml.safe_load(text)["dependencies"][-1]["pip"]]
    names = {pin.split("==")[0] for pin in pins}
    sources = [path.read_text("utf-8") for path in MODULES] + [cell.source for path in CODE for cell in CODE[path]]
    packages = imported(*sources) - {path.stem for path in MODULES} - {"google", "jax", "torch"}  # not needed here
    distributions = packages_distributions()
    used = {re.sub("[_.]", "-", distributions.get(package, [package])[0].lower()) for package in packages}
    assert used <= names and names - used <= CALLED
    locked = re.findall(r"(?m)^([\w.-]+)(==\S+) .*\\\n +--hash", lock)
    assert {name + version for name, version in locked if name in names} == set(pins)


def test_colab_gets_the_tools_that_it_lacks_beside_its_own(monkeypatch):
    monkeypatch.chdir(PROJECT)
    service, commands = load(BATCH, "service"), []
    monkeypatch.setattr(service, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)  # no virtual environment
    monkeypatch.setattr(subprocess, "run", lambda words, check: commands.append(words))
    assert service.python_of_batch() == str(PROJECT / ".venv/batch/bin/python")
    assert "--system-site-packages" in commands[0]
    assert {pin.split("==")[0] for pin in commands[1][-3:]} == {"papermill", "snakemake", "ruamel-yaml"}


def test_the_first_notebook_offline_learns_and_breaks(tmp_path):
    path = PROJECT / "notebooks/first_network.ipynb"
    (tmp_path / "first.ipynb").write_text(path.read_text("utf-8").replace("offline = False", "offline = True"), "utf-8")
    run("papermill", "first.ipynb", "out.ipynb", "--no-progress-bar", folder=tmp_path)
    executed = nbformat.read(tmp_path / "out.ipynb", 4).cells
    said = {cell.id: cell.outputs for cell in executed if cell.cell_type == "code"}
    exams = re.findall(r"(?m)^\w.*? +([\d.]+) +\d+ +\d+ ", said["costs"][-1].data["text/plain"])
    broken = re.findall(r"always \d$", said["break"][-1].data["text/plain"], re.MULTILINE)
    assert len(exams) == 3 and min(map(float, exams)) > 80 and len(broken) == 2


@pytest.mark.slow
def test_a_lost_runtime_finds_its_finished_runs_again(project):
    for path in list(project.glob("params/paper/*.yaml"))[2:]:
        path.unlink()
    (project / "tiny.yaml").write_text("dataset: digits\ntrain_limit: 200\nepochs: 1\nbatch_size: 10\n")
    options, kept = f"{{overlay: tiny.yaml, keep_on_drive: true, keep_in: {project}/drive}}", []
    for _ in range(2):
        run("papermill", BATCH, "out.ipynb", "-y", options, "--no-progress-bar", folder=project)
        kept.append({path: path.stat().st_mtime_ns for path in project.glob("drive/tiny/*.*")})
        shutil.rmtree(project / "outputs")
    assert len(kept[0]) == 4 and kept[0] == kept[1] and (project / "drive/tiny/summary/index.html").exists()
