"""The notebook that makes a study on Colab, by papermill and without Colab: another folder stands in for Drive."""

import os
import shutil
import signal
import subprocess
import sys
import types

import nbformat
import psutil
import pytest
import yaml
from conftest import PROJECT, run
from test_7_faults import in_training, make_project, processes, start, wait_for

import from_notebook
import study

NOTEBOOK = PROJECT / "notebooks/colab_batch.ipynb"


def command(folder, **parameters):
    """The papermill command that runs the notebook; writes folder/out.ipynb. repository: empty unless given."""
    words = ["papermill", str(NOTEBOOK), str(folder / "out.ipynb"), "--no-progress-bar"]
    for name, value in ({"repository": ""} | parameters).items():
        words += ["-r" if isinstance(value, str) else "-p", name, str(value)]
    return words


def outputs(folder):
    """What the executed notebook shows: the text of all outputs, and how many pictures."""
    notebook = nbformat.read(folder / "out.ipynb", 4)
    found = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    texts = [o.get("text") or o.get("evalue") or o.get("data", {}).get("text/plain", "") for o in found]
    return "\n".join(texts), sum("image/png" in o.get("data", {}) for o in found)


def content(folder):
    """Content and time of the finished runs' files in a folder."""
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.glob("0*") if p.is_file()}


def with_environment(folder):
    """A project of two small runs that also has the file with the pins; returns its folder."""
    make_project(folder)
    shutil.copy(PROJECT / "environment.yml", folder)
    return folder


def test_the_studies_offered_are_there():
    source = next(c.source for c in nbformat.read(NOTEBOOK, 4).cells if c.metadata.get("tags") == ["parameters"])
    form = next(line for line in source.splitlines() if line.startswith("study ="))
    offered = yaml.safe_load(form.split("# @param ")[1].split(" {")[0])
    assert offered and all(list((PROJECT / "params" / name).glob("*.yaml")) for name in offered)


def test_without_the_project_it_says_so_and_with_an_address_it_gets_it(tmp_path):
    project, alone = with_environment(tmp_path / "project"), tmp_path / "alone"
    alone.mkdir()
    done = run(*command(alone), folder=alone)
    assert done.returncode != 0 and "set `repository` to its address" in done.stdout

    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", project]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "t"]):
        subprocess.run([*git, *words], check=True)
    done = run(*command(alone, repository=f"file://{project}", study="absent"), folder=alone)
    shown, _ = outputs(alone)
    assert done.returncode != 0 and (alone / "project/params/mini").is_dir()
    assert "params/absent: no parameter files there. Studies: mini, " in shown  # the clone's studies
    assert "StudyError" not in shown and not (alone / "project/outputs").exists()


@pytest.mark.parametrize("told, words", [
    ({"seeds": "0, x"}, "seeds: seed = 'x' .*valid integer"),
    ({"seeds": "-1"}, "seed = -1"),
    ({"overlay": "params/absent.yaml"}, r"params/absent\.yaml: cannot be read"),
    ({"name": "../elsewhere"}, r"without '\.\.'"),
    ({"study": "/tmp"}, r"without '\.\.'"),
])
def test_wrong_parameters_are_refused(told, words, project, monkeypatch):
    monkeypatch.chdir(project)
    prepare = from_notebook.load(NOTEBOOK, "prepare").prepare
    with pytest.raises(SystemExit, match=words):
        prepare(**{"study": "paper", "overlay": "", "seeds": "", "name": "mine"} | told)
    folder, runs = prepare("paper", "params/demo.yaml", "0, 3", "")
    assert folder == "outputs/demo" and list(runs)[:2] == ["01-adam-0.1-seed-0", "01-adam-0.1-seed-3"]


def test_a_run_is_copied_whole_or_not_at_all(tmp_path, monkeypatch):
    copy_runs = from_notebook.load(NOTEBOOK, "copy_runs").copy_runs
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    for name in ("01-a.ipynb", "01-a.weights.h5", "02-b.weights.h5", "03-c.ipynb", "other.ipynb"):
        (here / name).write_text("new")
    (there / "03-c.ipynb").write_text("old")
    (there / "01-a.weights.h5").write_text("of a run that was cut off")
    names, whole_copy = ["01-a", "02-b", "03-c"], shutil.copyfile

    def half_copy(source, target):
        whole_copy(source, target)
        if source.suffix == ".ipynb":
            target.write_text("n")
            raise OSError("the runtime is gone")

    monkeypatch.setattr(shutil, "copyfile", half_copy)
    with pytest.raises(OSError, match="gone"):
        copy_runs(names, here, there)
    monkeypatch.undo()
    assert not (there / "01-a.ipynb").exists() and copy_runs(names, there, tmp_path) == ["03-c"]
    assert copy_runs(names, here, there) == ["01-a"] and copy_runs(names, here, there) == []
    texts = {path.name: path.read_text() for path in there.iterdir()}
    assert texts == {"01-a.ipynb": "new", "01-a.weights.h5": "new", "03-c.ipynb": "old"}


def test_drive_is_mounted_where_there_is_one(tmp_path, monkeypatch):
    open_folder = from_notebook.load(NOTEBOOK, "open_folder").open_folder
    open_folder(tmp_path / "a/b")
    assert (tmp_path / "a/b").is_dir()
    with pytest.raises(SystemExit, match="keep_in: /content/drive/MyDrive/x cannot be used .No module named 'google"):
        open_folder("/content/drive/MyDrive/x")

    def refuse(place):
        raise ValueError(f"no access to {place}")

    for name in ("google", "google.colab", "google.colab.drive"):
        monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(mount=refuse))
    with pytest.raises(SystemExit, match="no access to /content/drive"):
        open_folder("/content/drive/MyDrive/x")


def test_only_what_is_absent_is_installed_and_beside_what_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(PROJECT)
    tools = from_notebook.load(NOTEBOOK, "pins", "absent", "python_with")
    wanted, commands = tools.pins("papermill", "snakemake"), []
    assert [pin.split("==")[0] for pin in wanted] == ["papermill", "snakemake"]
    monkeypatch.setattr(subprocess, "run", lambda words, **_: commands.append(words) or types.SimpleNamespace(returncode=0))
    assert tools.absent(wanted) == [] and tools.python_with(wanted, tmp_path) == sys.executable and not commands

    other = ["papermill==0.0", wanted[1]]
    assert tools.absent(other) == ["papermill==0.0"]
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert tools.python_with(other, tmp_path) == f"{tmp_path}/bin/python"
    venv, pip = commands
    assert venv[:3] == [sys.executable, "-m", "venv"] and "--system-site-packages" in venv
    assert pip[0] == f"{tmp_path}/bin/python" and pip[-2:] == other

    failed = types.SimpleNamespace(returncode=1, stderr="No matching distribution", stdout="")
    monkeypatch.setattr(subprocess, "run", lambda words, **_: failed)
    with pytest.raises(SystemExit, match="No matching distribution"):
        tools.python_with(other, tmp_path)
    monkeypatch.setattr(sys, "prefix", "/a/virtual/environment")
    with pytest.raises(SystemExit, match="lacks papermill==0.0"):
        tools.python_with(other, tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project in which the notebook has made the study, and the folder in which it kept the runs."""
    folder = with_environment(tmp_path_factory.mktemp("finished") / "project")
    done = run(*command(folder, study="mini", keep_on_drive=True, keep_in=str(folder / "drive")), folder=folder)
    assert done.returncode == 0, done.stdout
    return folder, folder / "drive/mini"


@pytest.mark.slow
def test_a_new_runtime_goes_on_where_the_last_one_stopped(finished):
    folder, kept = finished
    shown, pictures = outputs(folder)
    before = content(kept)
    assert before.keys() == {f"{name}{end}" for name in ("01-first", "02-second") for end in (".ipynb", ".weights.h5")}
    assert pictures >= 3 and (kept / "summary/index.html").exists() and "Not comparable with the paper" in shown
    assert len(shown.splitlines()) < 40, shown

    shutil.rmtree(folder / "outputs")
    done = run(*command(folder, study="mini", keep_on_drive=True, keep_in=str(folder / "drive")), folder=folder)
    assert done.returncode == 0, done.stdout
    assert "drive/mini: 01-first, 02-second" in outputs(folder)[0]
    assert not (folder / "outputs/mini/logs/01-first.log").exists(), "trained again"
    made = {name: data for name, (data, _) in content(folder / "outputs/mini").items()}
    assert made == {name: data for name, (data, _) in before.items()} and content(kept) == before


def second_runtime(tmp_path, finished):
    """A new project whose Drive has the first run only; its folder and the folder of kept runs."""
    folder = with_environment(tmp_path / "project")
    kept = folder / "drive/mini"
    kept.mkdir(parents=True)
    for path in finished[1].glob("01-first.*"):
        shutil.copy2(path, kept)
    return folder, kept


@pytest.mark.slow
def test_an_interrupted_cell_loses_nothing_and_leaves_nothing_behind(tmp_path, finished):
    folder, kept = second_runtime(tmp_path, finished)
    before, wait = content(kept), in_training(folder)
    told = {"study": "mini", "keep_on_drive": True, "keep_in": str(folder / "drive")}
    notebook = start(folder, command(folder, **told))
    wait()
    [kernel] = [p for p in psutil.Process(notebook.pid).children() if "ipykernel" in " ".join(p.cmdline())]
    os.kill(kernel.pid, signal.SIGINT)  # as the stop button
    assert notebook.wait(90) != 0
    shown, _ = outputs(folder)
    assert "02-second: interrupted (Ctrl-C)" in shown and "Stopped. Finished runs are kept" in shown
    wait_for(lambda: not any(processes(folder, word) for word in ("snakemake", "run_one", "ipykernel")), "all to end")
    assert content(kept) == before

    (folder / "armed").unlink()
    done = run(*command(folder, **told), folder=folder)
    assert done.returncode == 0, done.stdout
    assert before.items() <= content(kept).items() and len(content(kept)) == 4
    digests = [study.read_record(place / "02-second.ipynb")["digests"] for place in (kept, finished[1])]
    assert digests[0] == digests[1]


@pytest.mark.slow
def test_a_failed_run_is_named_and_the_rest_is_shown(tmp_path, finished):
    folder, kept = second_runtime(tmp_path, finished)
    path = folder / "params/mini/02-second.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"train_limit": 1}))
    done = run(*command(folder, study="mini", keep_on_drive=True, keep_in=str(folder / "drive")), folder=folder)
    shown, pictures = outputs(folder)
    assert done.returncode != 0 and pictures >= 3
    assert "RUN FAILED: 02-second" in shown and "Not finished: 02-second. To go on" in shown
    assert "Traceback" not in shown and len(content(kept)) == 2
