"""Real processes, really killed: nothing half-done counts, nothing finished is lost, the same command goes on.

The runs here train nothing: a master that waits, and writes an official record, stands in for the real one.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell

import study
from conftest import MASTER, PROJECT, copy_project, environment, run, write_study
from records import read_record, read_study

COMMAND = ("snakemake", "--config", "study=mini")
RUN = """
import json, time
from pathlib import Path
print("reached", flush=True)
while Path("armed").exists():
    time.sleep(0.1)
time.sleep(1)
Path(weights_path).write_bytes(bytes(300_000))
record = json.loads(Path("record.json").read_text())
record["parameters"] = {name: globals()[name] for name in Settings.model_fields}
"""
RECORD = """
scrap = {"name": "result", "data": record, "encoder": "json", "version": 1}
display({"application/scrapbook.scrap.json+json": scrap, "text/plain": "test accuracy: 11.35%"}, raw=True)
"""
SUMMARY = """
import sys
from pathlib import Path
folder = Path(sys.argv[1], "summary")
folder.mkdir(exist_ok=True)
[(folder / name).write_text("summary") for name in ("comparison.txt", "index.html")]
"""


def make_project(folder, n=1, before="", after="", summary=SUMMARY):
    """A project with a study of n runs whose master trains nothing; a run waits while `armed` is there.

    before, after: code of the master's before the record, and behind it.
    """
    copy_project(folder)
    write_study(folder, **{f"run-{seed}": {"dataset": "digits", "seed": seed} for seed in range(n)})
    master = nbformat.read(MASTER, 4)
    master.cells = [cell for cell in master.cells if {"parameters", "settings"} & set(cell.metadata.get("tags", []))]
    master.cells += map(new_code_cell, [RUN + before, RECORD, after])
    master.metadata = {"kernelspec": {"name": "conda-env-mine-py", "display_name": "of another machine"}}
    nbformat.write(master, folder / study.MASTER)
    (folder / "workflow/summarize.py").write_text(summary)
    (folder / "record.json").write_text(json.dumps(read_record(PROJECT / "outputs/reference/12-sgd-0.0001.ipynb")))
    return folder


@pytest.fixture(scope="module")
def one_finished(tmp_path_factory):
    """A project whose study has two runs, of which the first is finished, on a day that is still to come."""
    folder = make_project(tmp_path_factory.mktemp("faults") / "project", 2)
    run(*COMMAND, "runs=run-0", folder=folder)
    for name in finished(folder):
        os.utime(folder / "outputs/mini" / name, (time.time() + 1e6,) * 2)
    return folder


@pytest.fixture
def mini(tmp_path, one_finished):
    """Such a project; the second run will wait in its middle."""
    folder = shutil.copytree(one_finished, tmp_path / "project")
    (folder / "armed").touch()
    return folder


def start(folder, *words):
    """Start the batch in a process group of its own, as a terminal does; its output goes to the file `said`."""
    with open(folder / "said", "a") as said:
        return subprocess.Popen([*COMMAND, *words], cwd=folder, env=environment(), stdout=said, stderr=said,
                                start_new_session=True)


def wait_for(condition, seconds=120):
    """Wait until condition() is true."""
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, f"waited {seconds} s in vain"
        time.sleep(0.1)


def text(path):
    """The text of a file; empty without one."""
    return path.read_text(errors="replace") if path.exists() else ""


def processes(folder, word):
    """The processes with this word in their command line that work in this folder."""
    found = [process.info | {"process": process} for process in psutil.process_iter(["cwd", "cmdline"])]
    return [each["process"] for each in found if each["cwd"] == str(folder) and word in " ".join(each["cmdline"] or [])]


def reached(folder, name="run-1"):
    """Wait until a run is in its middle."""
    wait_for(lambda: "reached" in text(folder / f"outputs/mini/logs/{name}.log"))


def finished(folder):
    """The finished files, with what tells whether they were written again."""
    files = [path for path in (folder / "outputs/mini").glob("run-*") if path.is_file()]
    return {path.name: (path.stat().st_ino, hash(path.read_bytes())) for path in files}


def assert_the_same_command_finishes(folder, before):
    """What was finished is as it was, nothing half-done counts, and the command makes the rest."""
    assert len(before) == 2 and finished(folder) == before
    (folder / "armed").unlink(missing_ok=True)
    run(*COMMAND, folder=folder)
    after = finished(folder)
    assert len(after) == 4 and before.items() <= after.items()
    assert read_record(folder / "outputs/mini/run-1.ipynb")["parameters"]["seed"] == 1


@pytest.mark.parametrize("code, words", [
    ({"after": "raise RuntimeError('a picture fails')"}, ""),
    ({"before": "record['history'] = record['history'][:1]"}, "has 1 epochs of 30"),
])
def test_a_run_is_done_if_its_record_is_what_was_asked_for(tmp_path, code, words):
    folder = make_project(tmp_path / "project", **code)
    assert words in run(*COMMAND, folder=folder, fails=bool(words))
    assert (folder / "outputs/mini/run-0.ipynb").exists() == (not words)


def test_a_users_settings_do_not_reach_a_kernel(tmp_path):
    """Variables, kernels, start-up and configuration files in a home."""
    home = tmp_path / "home"
    kernel = {"argv": ["/bin/false"], "display_name": "hostile", "language": "R"}
    for name, content in {
        "start.py": "hostile = 1", "path/sitecustomize.py": "import hostile", "path/hostile.py": "",
        "kernels/python3/kernel.json": json.dumps(kernel), ".ipython/profile_default/startup/a.py": "hostile = 1",
        ".ipython/profile_default/ipython_kernel_config.py": "c.InteractiveShellApp.exec_lines = ['hostile = 1']",
    }.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(content)
    folder = make_project(tmp_path / "project", before=f"""
import os, sys
assert sys.executable == {sys.executable!r} and "hostile" not in {{*globals(), *sys.modules}}
assert not {{*os.environ}} & {{"KERAS_MAX_EPOCHS", "TF_XLA_FLAGS"}} and os.environ["OMP_NUM_THREADS"] == "1"
assert os.environ["MPLBACKEND"].endswith("inline")
""")
    run(*COMMAND, folder=folder, HOME=str(home), JUPYTER_PATH=str(home), PYTHONSTARTUP=str(home / "start.py"),
        IPYTHONDIR=str(home / ".ipython"), PYTHONPATH=f"{home / 'path'}:{os.environ.get('PYTHONPATH', '')}",
        MPLBACKEND="tkagg", PYTHONOPTIMIZE="2", PYTHONSAFEPATH="1", KERAS_MAX_EPOCHS="1", OMP_NUM_THREADS="7",
        TF_XLA_FLAGS="--tf_xla_auto_jit=2")


def test_a_second_batch_deletes_nothing_and_takes_only_what_it_asked_for(tmp_path):
    """One planned runs that the first finishes meanwhile; one asks for other parameters under the same names."""
    folder = make_project(tmp_path / "project", 4)
    (folder / "other.yaml").write_text("head: fire10-dense")
    first = start(folder, "--cores", "2")
    reached(folder)
    others = start(folder, "--cores", "1"), start(folder, "overlay=other.yaml", "name=mini", "runs=run-0,run-1")
    seen = {}
    while any(batch.poll() is None for batch in (first, *others)):
        now = finished(folder)
        assert seen.items() <= now.items(), "a finished file has vanished or was made again"
        seen = now
        time.sleep(0.1)
    said = text(folder / "said")
    assert (first.returncode, others[0].returncode, len(finished(folder))) == (0, 0, 8), said
    assert others[1].returncode and "was made with head = 'conv10', asked for is 'fire10-dense'" in said, said


def test_snakemake_is_killed_and_its_run_goes_on(mini):
    """The run is neither disturbed nor doubled: the same command waits for it and takes its result."""
    before, batch = finished(mini), start(mini)
    reached(mini)
    batch.kill()
    batch.wait(20)
    [left] = processes(mini, "workflow/run.py")
    second = start(mini)
    wait_for(lambda: len(processes(mini, "workflow/run.py")) == 2)
    assert left.is_running() and len(processes(mini, "ipykernel")) == 1
    (mini / "armed").unlink()
    assert second.wait(60) == 0, text(mini / "said")
    assert len(finished(mini)) == 4 and before.items() <= finished(mini).items()
    assert text(mini / "outputs/mini/logs/run-1.log").count("reached") == 1, "it ran once"


@pytest.mark.parametrize("kill, words", [
    (lambda folder, batch: processes(folder, "ipykernel")[0].kill(), "run-1 failed: the kernel died: killed from"),
    (lambda folder, batch: os.killpg(batch.pid, signal.SIGINT), "Not complete. outputs/mini: 1 of 2 runs are done. To"),
], ids=["the kernel", "all, by Ctrl-C"])
def test_something_is_killed(mini, kill, words):
    before, batch = finished(mini), start(mini)
    reached(mini)
    kill(mini, batch)
    assert batch.wait(60) != 0
    wait_for(lambda: not processes(mini, "ipykernel"), 20)
    said = text(mini / "said")
    assert words in said and "Traceback" not in said and said.splitlines()[-1].endswith("snakemake --config study=mini")
    assert_the_same_command_finishes(mini, before)


@pytest.mark.slow
def test_forty_kills_at_random_moments(tmp_path):
    """Of one of the batch's processes, or of all, by each of the signals that end a process."""
    folder, chance, before = make_project(tmp_path / "project", 30), random.Random(0), {}
    for number in 10 * [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]:
        batch = start(folder)
        time.sleep(chance.uniform(0, 15))
        alive = [process for word in ("snakemake", "run.py", "ipykernel") for process in processes(folder, word)]
        for process in alive if chance.random() < 0.3 else alive and [chance.choice(alive)]:
            if process.is_running():
                process.send_signal(number)
        batch.terminate()
        batch.wait(60)
        now = finished(folder)
        assert {name: now.get(name) for name in before if name.endswith("ipynb")}.items() <= before.items()
        before = now
    run(*COMMAND, folder=folder)
    assert len(finished(folder)) == 60
    assert all(run["state"] == "finished" for run in read_study(folder / "outputs/mini").values())


@pytest.mark.slow
def test_a_full_disk_that_grows(tmp_path):
    """Whatever has no room, plan, log, notebook, weights or the real summary: a line says so, then the rest is made."""
    folder = make_project(tmp_path / "project", 2, summary=text(PROJECT / "workflow/summarize.py"))
    place, full, done = folder / "outputs/mini", 0, {}
    place.mkdir(parents=True)
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", place]).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        for size in (4, 16, 40, 200, 360, 700, 800, 900):
            subprocess.run(["mount", "-o", f"remount,size={size}k", place], check=True)
            batch = subprocess.run(COMMAND, cwd=folder, env=environment(), text=True, capture_output=True)
            said = batch.stdout + batch.stderr
            assert batch.returncode == 0 or "No space left on device" in said and "Traceback" not in said, (size, said)
            assert batch.returncode == 0 or "To go on: snakemake" in said or "name=" in said, (size, said)
            assert done.items() <= finished(folder).items(), size
            full, done = full + bool(batch.returncode), finished(folder)
        subprocess.run(["mount", "-o", "remount,size=50m", place], check=True)
        run(*COMMAND, folder=folder)
        assert full > 4 and len(finished(folder)) == 4 and done.items() <= finished(folder).items()
        assert text(place / "summary/index.html").rstrip().endswith("</html>") and (place / "summary/runs.csv").exists()
    finally:
        subprocess.run(["umount", place], check=True)
