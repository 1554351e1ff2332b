"""Real processes, really killed: nothing half-done counts, nothing finished is lost, the same command goes on.

Most runs here train nothing: a master that waits, and writes an official record, stands in for the real one.
"""

import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import time

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell

import study
from conftest import MASTER, PROJECT, copy_project, environment, run, write_study
from records import read_record, read_study

COMMAND = ("snakemake", "--config", "study=mini")
WAIT = 'print("reached", flush=True)\nwhile Path("armed").exists():\n    time.sleep(0.1)\n'
RUN = f"""
import json, time
from pathlib import Path
settings = read_parameters(In, globals())
{WAIT}time.sleep(1)
Path(settings.weights_path).write_bytes(bytes(3_000_000))
record = json.loads(Path("record.json").read_text()) | {{"parameters": settings.model_dump()}}
scrap = {{"name": "result", "data": record, "encoder": "json", "version": 1}}
display({{"application/scrapbook.scrap.json+json": scrap, "text/plain": "test accuracy 11.35%, finished"}}, raw=True)
"""
SUMMARY = """
from pathlib import Path
[Path(results, "summary", name).write_text("summary") for name in ("comparison.txt", "index.html")]
"""


def make_project(folder, n):
    """A project with a study of n runs whose master trains nothing; a run waits while `armed` is there."""
    copy_project(folder)
    write_study(folder, **{f"run-{seed}": {"dataset": "digits", "seed": seed} for seed in range(n)})
    master = nbformat.read(MASTER, 4)
    master.cells = [cell for cell in master.cells if {"parameters", "check"} & set(cell.metadata.get("tags", []))]
    master.cells.append(new_code_cell(RUN))
    nbformat.write(master, folder / study.MASTER)
    parameters = new_code_cell('results = ""', metadata={"tags": ["parameters"]})
    summary = nbformat.v4.new_notebook(cells=[parameters, new_code_cell(SUMMARY)], metadata=master.metadata)
    nbformat.write(summary, folder / "notebooks/summary.ipynb")
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


def test_a_second_narrower_batch_deletes_nothing(tmp_path):
    """It planned runs that the first one finishes meanwhile."""
    folder = make_project(tmp_path / "project", 6)
    first = start(folder, "--cores", "2")
    wait_for(lambda: text(folder / "outputs/mini/logs/run-1.log"))
    second = start(folder, "--cores", "1")
    seen = {}
    while first.poll() is None or second.poll() is None:
        now = finished(folder)
        assert seen.items() <= now.items(), "a finished file has vanished or was made again"
        seen = now
        time.sleep(0.1)
    assert (first.returncode, second.returncode) == (0, 0) and len(seen) == 12, text(folder / "said")


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
SLOW = ["the process of a run", "snakemake, as a scheduler does"]


@pytest.mark.parametrize("what", [pytest.param(what, marks=[pytest.mark.slow] * (what in SLOW)) for what in KILLS])
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
        assert time.time() - begin < 10 and said.splitlines()[-1] == last
        assert "failed" not in said and "Error" not in said
    assert_the_same_command_finishes(mini, before)


@pytest.mark.slow
@pytest.mark.parametrize("limit, what", [(2_000_000, "weights"), (20_000, "notebook")])
def test_a_file_cannot_be_written_to_its_end(mini, limit, what):
    """As on a full disk."""
    (mini / "armed").unlink()
    before = finished(mini)
    batch = start(mini, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert batch.wait(120) != 0
    assert "File too large" in text(mini / "said"), text(mini / "said")
    assert_the_same_command_finishes(mini, before)


@pytest.mark.slow
def test_a_small_disk_is_full(mini):
    (mini / "armed").unlink()
    before, place = finished(mini), mini / "outputs/mini/unfinished"
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", place]).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        assert "run-1 failed: OSError: [Errno 28] No space left" in run(*COMMAND, folder=mini, fails=True)
    finally:
        subprocess.run(["umount", place], check=True)
    assert_the_same_command_finishes(mini, before)


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
    write_study(folder, **{"run-1": {"dataset": "digits", "batch_size": 50, "epochs": 2, "train_limit": 500}})
    (folder / "keras").mkdir()
    (folder / "keras/keras.json").write_text(json.dumps({"floatx": "float16", "epsilon": 0.1, "backend": "jax"}))
    batch = start(folder)
    wait_for(lambda: "epoch 1/2" in text(folder / "outputs/mini/logs/run-1.log"), 240)
    [process.kill() for process in processes(folder, "ipykernel")]
    assert batch.wait(60) != 0 and not (folder / "outputs/mini/run-1.ipynb").exists()
    for variables in ({}, {"KERAS_HOME": str(folder / "keras"), "KERAS_MAX_EPOCHS": "1", "KERAS_BACKEND": "torch"}):
        run(*COMMAND, folder=folder, **variables)
        chains.append(read_record(folder / "outputs/mini/run-1.ipynb")["digests"])
        (folder / "outputs/mini/run-1.ipynb").unlink()
    assert chains[0] == chains[1]
