"""Real processes, really killed: nothing half-done passes for a result, and the same command finishes the study.

Each test runs a study of two runs, of which the first is there already, and disturbs the second.
"""

import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
import yaml
from conftest import PROJECT, run

import from_notebook
import study

RUN = {"dataset": "digits", "optimizer": "adam", "batch_size": 50, "epochs": 2, "train_limit": 200}
COMMAND = ["snakemake", "--config", "study=mini"]
SURVIVED = "faults injected: no false result, nothing finished lost, the study completed by the same command"
PARTS = ("notebooks", "params", "paper", "workflow")


def make_project(folder):
    """A copy of the project with a study `mini` of two runs; returns its folder."""
    for part in PARTS:
        shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "params/mini").mkdir()
    for seed, name in enumerate(["01-first", "02-second"]):
        (folder / f"params/mini/{name}.yaml").write_text(yaml.safe_dump(RUN | {"seed": seed}))
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The outputs of the study when nothing happens."""
    folder = make_project(tmp_path_factory.mktemp("undisturbed"))
    done = run(*COMMAND, folder=folder)
    assert done.returncode == 0, done.stdout
    return folder / "outputs/mini"


@pytest.fixture
def mini(tmp_path, undisturbed):
    """A project in which the first run of the study is finished."""
    return with_first_run(make_project(tmp_path / "project"), undisturbed)


def with_first_run(folder, undisturbed):
    """Put the first run's results into a project."""
    (folder / "outputs/mini").mkdir(parents=True)
    for path in undisturbed.glob("01-first.*"):
        shutil.copy2(path, folder / "outputs/mini")
    return folder


def start(folder, command=COMMAND, **options):
    """Start a command in a process group of its own, as a terminal does; its output goes to the file `said`."""
    bin_folder = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"} | options.pop("environment", {})
    with open(folder / "said", "w") as said:
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT, start_new_session=True, **options
        )


def wait_for(condition, what, seconds=180):
    """Wait until condition() is true; return its value."""
    end = time.time() + seconds
    while time.time() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


def log(folder):
    """The log of the second run, and what the batch said."""
    paths = [folder / "outputs/mini/logs/02-second.log", folder / "said"]
    return "\n".join(path.read_text(errors="replace") for path in paths if path.exists())


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


def states(folder):
    """What the summary takes each run for."""
    read_study = from_notebook.load(study.PROJECT / study.SUMMARY, "read_study").read_study
    return {name: run["state"] for name, run in read_study(folder / "outputs/mini").items()}


def finished_files(folder):
    """The content and time of the first run's files."""
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in (folder / "outputs/mini").glob("01-first.*")}


def assert_nothing_passes_for_a_result(folder, before):
    """The second run has no result, the first is as it was."""
    assert not (folder / "outputs/mini/02-second.ipynb").exists()
    assert states(folder).get("02-second", "missing") not in ("finished", "diverged")
    assert finished_files(folder) == before and len(before) == 2


def assert_one_command_finishes(folder, undisturbed, before, count):
    """The same command again: all is there, equal to the bit to a study that nothing disturbed."""
    done = run(*COMMAND, folder=folder)
    assert done.returncode == 0, done.stdout
    assert_as_undisturbed(folder, undisturbed, count)
    assert finished_files(folder) == before


def assert_as_undisturbed(folder, undisturbed, count):
    """Both runs are finished with the digests of the undisturbed study."""
    for name in ("01-first", "02-second"):
        ours, theirs = (study.read_record(outputs / f"{name}.ipynb") for outputs in (folder / "outputs/mini", undisturbed))
        assert ours["digests"] == theirs["digests"], name
    count("repetitions compared, equal to the bit")  # the first run may be a copy
    assert not list((folder / "outputs/mini/unfinished").glob("*.ipynb"))


MOMENTS = {  # where the kernel kills itself: a line of the master notebook
    "before-training": "keras.utils.set_random_seed(settings.seed)",
    "in-an-epoch": "    loss, accuracy = train(order)",
    "in-evaluation": "logits = predict_logits(model, test_images)",
    "while-the-record-is-written": "display({record_type: record",
}


def kill_at(folder, line):
    """Change the project's master notebook: while a file `armed` is there, the kernel kills itself before this line."""
    path = folder / study.MASTER
    notebook = nbformat.read(path, 4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and any(x.startswith(line) for x in cell.source.splitlines())]
    assert len(cells) == 1, line
    indent = line[: len(line) - len(line.lstrip())]
    trap = f"{indent}if Path('armed').exists(): print('reached', flush=True); time.sleep(1); os.kill(os.getpid(), 9)"
    cells[0].source = "\n".join(f"{trap}\n{x}" if x.startswith(line) else x for x in cells[0].source.splitlines())
    nbformat.write(notebook, path)
    (folder / "armed").touch()


@pytest.mark.parametrize("moment", [
    pytest.param("in-an-epoch"), *(pytest.param(m, marks=pytest.mark.slow) for m in MOMENTS if m != "in-an-epoch")
])
def test_the_kernel_is_killed(mini, undisturbed, moment, count):
    kill_at(mini, MOMENTS[moment])
    before = finished_files(mini)
    done = run(*COMMAND, folder=mini)
    assert done.returncode != 0 and "02-second: the kernel died: killed from outside, or out of memory" in done.stdout
    assert "the kernel died" in log(mini) and "reached" in log(mini)
    assert_nothing_passes_for_a_result(mini, before)
    (mini / "armed").unlink()
    assert_one_command_finishes(mini, undisturbed, before, count)
    count(SURVIVED)


def in_training(mini):
    """Wait until the second run trains; the kernel then stays where it is while a file `armed` is there."""
    kill_at(mini, MOMENTS["in-an-epoch"])
    path, loop = mini / study.MASTER, "[time.sleep(1) for _ in range(600) if Path('armed').exists()]"
    path.write_text(path.read_text().replace("os.kill(os.getpid(), 9)", loop))
    return lambda: wait_for(lambda: "reached" in log(mini), "the training to begin")


@pytest.mark.slow
def test_papermill_is_killed(mini, undisturbed, count):
    before, wait = finished_files(mini), in_training(mini)
    batch = start(mini)
    wait()
    [papermill] = [p for p in processes(mini, "papermill") if "run_one" not in " ".join(p.cmdline())]
    papermill.kill()
    assert batch.wait(60) != 0
    assert "02-second: papermill was killed by signal SIGKILL" in log(mini)
    assert_nothing_passes_for_a_result(mini, before)
    wait_for(lambda: not processes(mini, "ipykernel"), "the orphaned kernel to end")
    (mini / "armed").unlink()
    assert_one_command_finishes(mini, undisturbed, before, count)
    count(SURVIVED)


@pytest.mark.slow
def test_snakemake_is_killed_and_its_orphan_goes_on(mini, undisturbed, count):
    """The orphan is neither disturbed nor doubled: the same command waits for it and takes its result."""
    before, wait = finished_files(mini), in_training(mini)
    batch = start(mini)
    wait()
    batch.kill()
    assert batch.wait(20) == -signal.SIGKILL
    assert_nothing_passes_for_a_result(mini, before)
    [orphan] = processes(mini, "run_one")
    second = start(mini)
    wait_for(lambda: "still goes on in another batch" in log(mini), "the second batch to see the orphan")
    assert orphan.is_running() and len(processes(mini, "ipykernel")) == 1
    (mini / "armed").unlink()
    assert second.wait(180) == 0, log(mini)
    assert_as_undisturbed(mini, undisturbed, count)
    assert finished_files(mini) == before
    count(SURVIVED)


@pytest.mark.slow
@pytest.mark.parametrize("number, words", [
    (signal.SIGINT, "interrupted (Ctrl-C)"),
    (signal.SIGTERM, "asked to stop (SIGTERM)"),  # as a machine that shuts down, or a scheduler whose time is over
], ids=["ctrl-c", "sigterm"])
def test_a_signal_to_all(mini, undisturbed, number, words, count):
    before, wait = finished_files(mini), in_training(mini)
    batch = start(mini)
    wait()
    os.killpg(batch.pid, number)
    assert batch.wait(90) != 0
    assert f"02-second: {words}" in log(mini)
    assert_nothing_passes_for_a_result(mini, before)
    wait_for(lambda: not processes(mini, "ipykernel"), "the kernel to end")
    (mini / "armed").unlink()
    assert_one_command_finishes(mini, undisturbed, before, count)
    count(SURVIVED)


@pytest.mark.slow
def test_a_cell_takes_too_long(mini, undisturbed, count):
    """papermill's own timeout leaves a notebook that looks complete; nothing takes it for a result."""
    before, _ = finished_files(mini), in_training(mini)
    (mini / "outputs/mini/unfinished").mkdir()
    done = run(
        "papermill", study.MASTER, "outputs/mini/unfinished/02-second.ipynb", "-f", "params/mini/02-second.yaml",
        "--execution-timeout", "20", "--no-progress-bar", folder=mini,
    )
    assert done.returncode != 0 and "timed out" in done.stdout.lower()
    assert_nothing_passes_for_a_result(mini, before)
    (mini / "armed").unlink()
    assert_one_command_finishes(mini, undisturbed, before, count)
    count(SURVIVED)


def small_files(limit):
    """A function for a child process: no file may become larger than so many bytes, as on a disk that is full."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


@pytest.mark.slow
@pytest.mark.parametrize("limit, what", [(2_000_000, "weights"), (60_000, "notebook")])
def test_the_disk_is_full(mini, undisturbed, limit, what, count):
    before = finished_files(mini)
    batch = start(mini, preexec_fn=small_files(limit))
    assert batch.wait(180) != 0
    assert "02-second: a file became larger than is allowed here" in log(mini), log(mini)
    assert_nothing_passes_for_a_result(mini, before)
    assert_one_command_finishes(mini, undisturbed, before, count)
    count(SURVIVED)


@pytest.mark.slow
def test_a_small_disk_is_full(mini, undisturbed, count):
    """A file system of 2 MB in the place of the folder for what is unfinished."""
    before, place = finished_files(mini), mini / "outputs/mini/unfinished"
    place.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", place]).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        done = run(*COMMAND, folder=mini)
        assert done.returncode != 0 and "02-second: the disk is full" in done.stdout, done.stdout
        assert_nothing_passes_for_a_result(mini, before)
    finally:
        subprocess.run(["umount", place], check=True)
    assert_one_command_finishes(mini, undisturbed, before, count)
    count(SURVIVED)


def no_privilege():
    """In a child process: root, too, has to respect a file's permissions (PR_CAPBSET_DROP, CAP_DAC_OVERRIDE)."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)


def test_a_read_only_output_folder(mini, undisturbed, count):
    before, place = finished_files(mini), mini / "outputs/mini"
    place.chmod(0o555)
    try:
        batch = start(mini, preexec_fn=no_privilege)
        assert batch.wait(60) != 0
        assert "outputs/mini: cannot be written (Permission denied)" in log(mini) and "Traceback" not in log(mini)
        assert_nothing_passes_for_a_result(mini, before)
    finally:
        place.chmod(0o755)
    assert_one_command_finishes(mini, undisturbed, before, count)
    count(SURVIVED)


@pytest.mark.slow
def test_two_batches_at_once(mini, undisturbed, count):
    (mini / "outputs/mini/01-first.ipynb").unlink()
    (mini / "outputs/mini/01-first.weights.h5").unlink()
    first = start(mini)
    second = subprocess.Popen(COMMAND, cwd=mini, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: processes(mini, "ipykernel"), "a run to start")
    most = 0
    while first.poll() is None or second.poll() is None:
        most = max(most, len([p for p in processes(mini, "ipykernel") if "unfinished" not in str(p)]))
        time.sleep(0.5)
    assert (first.returncode, second.returncode) == (0, 0), log(mini)
    assert most <= 3  # two runs and a summary, nothing doubled
    assert_as_undisturbed(mini, undisturbed, count)
    count(SURVIVED)


@pytest.mark.slow
def test_a_path_with_spaces_and_letters_beyond_ascii(tmp_path, undisturbed, count):
    folder = with_first_run(make_project(tmp_path / "Übung 1 – 数字"), undisturbed)
    before = finished_files(folder)
    assert_one_command_finishes(folder, undisturbed, before, count)
    count(SURVIVED)


@pytest.mark.slow
def test_settings_in_the_home_folder_change_nothing(mini, undisturbed, tmp_path, count):
    (tmp_path / "keras").mkdir()
    hostile = {"floatx": "float16", "epsilon": 0.1, "backend": "jax", "image_data_format": "channels_first"}
    (tmp_path / "keras/keras.json").write_text(json.dumps(hostile))
    environment = {"KERAS_HOME": str(tmp_path / "keras"), "KERAS_MAX_EPOCHS": "1", "KERAS_MAX_STEPS_PER_EPOCH": "1", "KERAS_BACKEND": "torch"}
    batch = start(mini, environment=environment)
    assert batch.wait(180) == 0, log(mini)
    assert_as_undisturbed(mini, undisturbed, count)
    count(SURVIVED)
