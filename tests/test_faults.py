"""Real processes, really killed: nothing half-done counts, nothing finished is lost, the same command goes on.

Most runs here train nothing: a master that waits, and writes an official record, stands in for the real one.
"""

import ctypes
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


def make_project(folder, n=1, change="", after="", summary=SUMMARY):
    """A project with a study of n runs whose master trains nothing; a run waits while `armed` is there.

    change, after: code before the record, and behind it.
    """
    copy_project(folder)
    write_study(folder, **{f"run-{seed}": {"dataset": "digits", "seed": seed} for seed in range(n)})
    master = nbformat.read(MASTER, 4)
    master.cells = [cell for cell in master.cells if {"parameters", "settings"} & set(cell.metadata.get("tags", []))]
    master.cells += map(new_code_cell, [RUN + change, RECORD, after])
    nbformat.write(master, folder / study.MASTER)
    (folder / "workflow/summarize.py").write_text(summary)
    (folder / "record.json").write_text(json.dumps(read_record(PROJECT / "outputs/reference/12-sgd-0.0001.ipynb")))
    return folder


@pytest.fixture(scope="module")
def one_finished(tmp_path_factory):
    """A project whose study has two runs, of which the first is finished."""
    folder = make_project(tmp_path_factory.mktemp("faults") / "project", 2)
    run(*COMMAND, "runs=run-0", folder=folder)
    return folder


@pytest.fixture
def mini(tmp_path, one_finished):
    """Such a project; the second run will wait in its middle."""
    folder = shutil.copytree(one_finished, tmp_path / "project")
    (folder / "armed").touch()
    return folder


def start(folder, *words, **options):
    """Start the batch in a process group of its own, as a terminal does; its output goes to the file `said`."""
    with open(folder / "said", "a") as said:
        return subprocess.Popen([*COMMAND, *words], cwd=folder, env=environment(), stdout=said, stderr=said,
                                start_new_session=True, **options)


def wait_for(condition, seconds=120):
    """Wait until condition() is true; return its value."""
    end = time.time() + seconds
    while time.time() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s in vain")


def text(path):
    """The text of a file; empty without one."""
    return path.read_text(errors="replace") if path.exists() else ""


def processes(folder, word):
    """The processes with this word in their command line that work in this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and any(word in part for part in process.cmdline()):
                found.append(process)
        except psutil.Error:
            pass
    return found


def reached(folder):
    """Wait until the second run is in its middle."""
    wait_for(lambda: "reached" in text(folder / "outputs/mini/logs/run-1.log"))


def finished(folder):
    """The finished files, with what tells whether they were written again."""
    files = [path for path in (folder / "outputs/mini").glob("run-*") if path.is_file()]
    return {path.name: (path.stat().st_ino, hash(path.read_bytes())) for path in files}


def assert_the_same_command_finishes(folder, before):
    """What was finished is as it was, nothing half-done counts, and the command makes the rest."""
    assert len(before) == 2 and finished(folder) == before
    assert {run["state"] for name, run in read_study(folder / "outputs/mini", ["run-1"]).items() if name != "run-0"} \
        <= {"missing", "unfinished", "failed", "unreadable"}
    (folder / "armed").unlink(missing_ok=True)
    run(*COMMAND, folder=folder)
    after = finished(folder)
    assert len(after) == 4 and before.items() <= after.items()
    assert read_record(folder / "outputs/mini/run-1.ipynb")["parameters"]["seed"] == 1


@pytest.mark.parametrize("code, words", [
    ({"after": "raise RuntimeError('a picture fails')"}, None),
    ({"change": "record['history'] = record['history'][:1]"}, "has 1 epochs of 30"),
    ({"change": "record['parameters']['head'] = 'fire10-dense'"}, "was made with head = 'fire10-dense', asked for"),
    ({"change": "raise RuntimeError('no luck')"}, "run-0 failed: RuntimeError: no luck"),
])
def test_a_run_is_done_if_its_record_is_what_was_asked_for(tmp_path, code, words):
    folder = make_project(tmp_path / "project", **code)
    assert (words or "") in run(*COMMAND, folder=folder, fails=bool(words))
    assert (folder / "outputs/mini/run-0.ipynb").exists() == (not words)


def test_a_users_settings_do_not_reach_a_kernel(tmp_path):
    """Variables, kernels and files in a home; the kernel that the notebook names is not there."""
    home, python = tmp_path / "home", sys.executable
    files = {".ipython/profile_default/startup/a.py": "hostile = 1", "kernels/python3/kernel.json": json.dumps(
                 {"argv": ["/bin/false"], "display_name": "hostile", "language": "R"}),
             "start.py": "hostile = 1", "path/sitecustomize.py": "import hostile", "path/hostile.py": "",
             ".ipython/profile_default/ipython_kernel_config.py": "c.InteractiveShellApp.exec_lines = ['hostile = 1']",
             ".config/matplotlib/matplotlibrc": "text.usetex: True", "matplotlibrc": "text.usetex: True"}
    for name, content in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(content)
    change = f"""
import os, sys
assert sys.executable == {python!r}
assert "hostile" not in {{*globals(), *sys.modules}} and not {{*os.environ}} & {{"KERAS_MAX_EPOCHS", "TF_XLA_FLAGS"}}
assert os.environ["MPLBACKEND"].endswith("inline") and os.environ["OMP_NUM_THREADS"] == "1"
import matplotlib
assert not matplotlib.rcParams["text.usetex"]
"""
    folder = make_project(tmp_path / "project", change=change)
    master = nbformat.read(folder / study.MASTER, 4)
    master.metadata = {"kernelspec": {"name": "conda-env-mine-py", "display_name": "mine"}}
    nbformat.write(master, folder / study.MASTER)
    run(*COMMAND, folder=folder, HOME=str(home), JUPYTER_PATH=str(home), PYTHONSTARTUP=str(home / "start.py"),
        IPYTHONDIR=str(home / ".ipython"), PYTHONPATH=f"{home / 'path'}:{os.environ.get('PYTHONPATH', '')}",
        MPLBACKEND="tkagg", PYTHONWARNINGS="default",
        MATPLOTLIBRC=str(home / "matplotlibrc"), MPLCONFIGDIR=str(home / ".config/matplotlib"), KERAS_MAX_EPOCHS="1",
        OMP_NUM_THREADS="7", TF_XLA_FLAGS="--tf_xla_auto_jit=2", PYTHONOPTIMIZE="2")


def test_finished_runs_dated_in_the_future_and_a_lost_tag(mini):
    (mini / "armed").unlink()
    before, master = finished(mini), (mini / study.MASTER).read_text()
    for name in before:
        os.utime(mini / "outputs/mini" / name, 2 * [time.time() + 1e6])
    run(*COMMAND, "runs=run-0", folder=mini)
    (mini / study.MASTER).write_text(master.replace('"parameters"', '"lost"', 1))
    assert "no cell has the tag 'parameters'" in run(*COMMAND, folder=mini, fails=True)
    (mini / study.MASTER).write_text("<<<<<<< HEAD\n" + master)
    assert f"{study.MASTER}: cannot be read" in run(*COMMAND, folder=mini, fails=True)
    (mini / study.MASTER).write_text(master)
    assert_the_same_command_finishes(mini, before)


def test_a_second_batch_deletes_nothing_and_takes_only_what_it_asked_for(tmp_path):
    """One planned runs that the first finishes meanwhile; one asks for other parameters under the same names."""
    folder = make_project(tmp_path / "project", 4)
    (folder / "other.yaml").write_text("head: fire10-dense")
    first = start(folder, "--cores", "2")
    wait_for(lambda: "reached" in text(folder / "outputs/mini/logs/run-1.log"))
    others = start(folder, "--cores", "1"), start(folder, "overlay=other.yaml", "name=mini", "runs=run-0,run-1")
    seen = {}
    while any(batch.poll() is None for batch in (first, *others)):
        now = finished(folder)
        assert seen.items() <= now.items(), "a finished file has vanished or was made again"
        seen = now
        time.sleep(0.1)
    said = text(folder / "said")
    assert (first.returncode, others[0].returncode, len(seen)) == (0, 0, 8), said
    assert others[1].returncode and "was made with head = 'conv10', asked for is 'fire10-dense'" in said, said


def test_what_another_batch_finished_survives_a_job_that_failed(mini):
    """As on a cluster: the connection is lost, snakemake takes the job for failed, and the run finishes."""
    (mini / "armed").unlink()
    path = mini / "workflow/run.py"
    path.write_text(path.read_text().replace("    sys.exit(main(", "    sys.exit(1 + main("))
    before = finished(mini)
    run(*COMMAND, folder=mini, fails=True)
    assert len(finished(mini)) == 4 and before.items() <= finished(mini).items()


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


KILLS = {
    "the kernel": lambda folder, batch: processes(folder, "ipykernel")[0].kill(),
    "the process of a run": lambda folder, batch: processes(folder, "workflow/run.py")[0].kill(),
    "snakemake, as a scheduler does": lambda folder, batch: batch.terminate(),
    "all, by Ctrl-C": lambda folder, batch: os.killpg(batch.pid, signal.SIGINT),
    "all, as a terminal is closed": lambda folder, batch: os.killpg(batch.pid, signal.SIGHUP),
}
FAST = ["the kernel", "all, by Ctrl-C"]


@pytest.mark.parametrize("what", [pytest.param(what, marks=[pytest.mark.slow] * (what not in FAST)) for what in KILLS])
def test_something_is_killed(mini, what):
    before, batch = finished(mini), start(mini)
    reached(mini)
    begin = time.time()
    KILLS[what](mini, batch)
    assert batch.wait(60) != 0
    assert what != "snakemake, as a scheduler does" or not processes(mini, "ipykernel")
    wait_for(lambda: not processes(mini, "ipykernel"), 20)
    said = text(mini / "said")
    if what == "the kernel":
        assert "run-1 failed: the kernel died: killed from outside, or out of memory" in said
    if what == "all, by Ctrl-C":
        last = "Stopped: 1 of 2 runs are done, 1 waiting. To go on: snakemake --config study=mini"
        assert time.time() - begin < 20 and said.splitlines()[-1] == last
        assert "failed" not in said and "Error" not in said
    assert_the_same_command_finishes(mini, before)


@pytest.mark.slow
def test_forty_kills_at_random_moments(tmp_path):
    """Of one of the batch's processes, or of all, by each of the signals that end a process."""
    folder, chance, before = make_project(tmp_path / "project", 30), random.Random(0), {}
    for number in 10 * [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]:
        batch = start(folder)
        time.sleep(chance.uniform(0, 12))
        alive = [process for word in ("snakemake", "run.py", "ipykernel") for process in processes(folder, word)]
        for process in alive if chance.random() < 0.3 else alive and [chance.choice(alive)]:
            if process.is_running():
                process.send_signal(number)
        batch.terminate()
        batch.wait(60)
        now = finished(folder)
        assert {name: before[name] for name in before if name.endswith("ipynb")}.items() <= now.items()
        before = now
    run(*COMMAND, folder=folder)
    assert len(finished(folder)) == 60 and before.items() <= finished(folder).items()
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


def no_privilege():
    """In a child process: root, too, has to respect a file's permissions (PR_CAPBSET_DROP, CAP_DAC_OVERRIDE)."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)


@pytest.mark.slow
def test_a_read_only_output_folder(mini):
    before, place = finished(mini), mini / "outputs/mini"
    place.chmod(0o555)
    try:
        assert start(mini, preexec_fn=no_privilege).wait(60) != 0
        said = text(mini / "said")
        assert "outputs/mini: cannot be written (Permission denied)" in said and "Traceback" not in said, said
    finally:
        place.chmod(0o755)
    assert_the_same_command_finishes(mini, before)


@pytest.mark.slow
def test_a_real_run_killed_in_an_epoch_is_repeated_to_the_bit(tmp_path):
    """And settings in the home folder change nothing."""
    folder, chains = copy_project(tmp_path / "project"), []
    write_study(folder, **{"run-1": {"dataset": "digits", "batch_size": 50, "epochs": 2}})
    (folder / "keras").mkdir()
    (folder / "keras/keras.json").write_text(json.dumps({"floatx": "float16", "epsilon": 0.1, "backend": "jax"}))
    batch = start(folder)
    wait_for(lambda: "val_accuracy" in text(folder / "outputs/mini/logs/run-1.log"), 240)
    [process.kill() for process in processes(folder, "ipykernel")]
    assert batch.wait(60) != 0 and not (folder / "outputs/mini/run-1.ipynb").exists()
    for variables in ({}, {"KERAS_HOME": str(folder / "keras"), "KERAS_MAX_EPOCHS": "1", "TF_ENABLE_ONEDNN_OPTS": "0"}):
        run(*COMMAND, folder=folder, **variables)
        chains.append(read_record(folder / "outputs/mini/run-1.ipynb")["digests"])
        (folder / "outputs/mini/run-1.ipynb").unlink()
    assert chains[0] == chains[1]
