"""The notebooks as they lie there, and the one for Colab."""

import re
import shutil
import subprocess
import sys
from hashlib import sha256

import nbformat
import pytest

from conftest import PROJECT, run

PATHS = [*PROJECT.glob("notebooks/**/*.ipynb"), *PROJECT.glob("extras/*/*.ipynb")]
NOTEBOOKS = {path: nbformat.read(path, 4) for path in sorted(PATHS)}
CODE = {path: [cell for cell in notebook.cells if cell.cell_type == "code"] for path, notebook in NOTEBOOKS.items()}
BATCH = PROJECT / "notebooks/colab_batch.ipynb"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_valid_and_without_outputs(path):
    nbformat.validate(NOTEBOOKS[path])
    assert not any(cell.outputs or cell.execution_count for cell in CODE[path])


def test_a_badge_opens_the_notebook_that_it_stands_in():
    badge = re.compile(r"research\.google\.com/github/[\w.-]+/[\w.-]+/blob/main/(\S+)\)")
    found = {path: badge.search(notebook.cells[0].source) for path, notebook in NOTEBOOKS.items()}
    assert found[BATCH] and all(m[1] == path.relative_to(PROJECT).as_posix() for path, m in found.items() if m)


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


@pytest.mark.slow
def test_the_first_notebook_offline_learns_and_breaks(tmp_path):
    path = PROJECT / "notebooks/first_network.ipynb"
    (tmp_path / "first.ipynb").write_text(path.read_text("utf-8").replace("offline = False", "offline = True"), "utf-8")
    run("papermill", "first.ipynb", "out.ipynb", "--no-progress-bar", folder=tmp_path)
    executed = nbformat.read(tmp_path / "out.ipynb", 4).cells
    said = {cell.id: cell.outputs for cell in executed if cell.cell_type == "code"}
    exams = re.findall(r"(?m)^\w.*? +([\d.]+) +\d+ +\d+ ", said["costs"][-1].data["text/plain"])
    broken = re.findall(r"always \d$", said["break"][-1].data["text/plain"], re.MULTILINE)
    assert len(exams) == 3 and min(map(float, exams)) > 80 and len(broken) == 2


@pytest.mark.parametrize("name", ["first_network.ipynb", "why_training_collapses.ipynb"])
def test_the_indonesian_edition_has_the_same_code_and_was_translated_from_todays_text(name):
    ours, theirs = (NOTEBOOKS[PROJECT / folder / name].cells for folder in ("notebooks", "notebooks/id"))
    assert [cell.id for cell in ours] == [cell.id for cell in theirs]
    for cell, other in zip(ours, theirs):
        if cell.cell_type == "code":
            assert other == cell, cell.id
        else:
            digest = sha256(cell.source.strip().encode()).hexdigest()[:12]
            assert other.metadata.get("source_digest") == digest, f"translate {cell.id} again, then note {digest}"


@pytest.mark.slow
def test_a_lost_runtime_finds_its_finished_runs_again(project):
    for path in list(project.glob("params/paper/*.yaml"))[2:]:
        path.unlink()
    (project / "tiny.yaml").write_text("dataset: digits\nepochs: 1\nbatch_size: 50\n")
    options, kept = f"{{overlay: tiny.yaml, keep_on_drive: true, keep_in: {project}/drive}}", []
    for _ in range(2):
        run("papermill", BATCH, "out.ipynb", "-y", options, "--no-progress-bar", folder=project)
        kept.append({path: path.stat().st_mtime_ns for path in project.glob("drive/tiny/*.*")})
        shutil.rmtree(project / "outputs")
    assert len(kept[0]) == 4 and kept[0] == kept[1] and (project / "drive/tiny/summary/index.html").exists()
