"""The batch on a real Slurm of one node: a job cancelled, a connection lost, and the same command goes on."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import PROJECT, copy_project, environment, run, write_study
from records import read_record

CONF = Path("/etc/slurm/slurm.conf")
SETTINGS = """# made by extras/slurm/test_slurm.py
ClusterName=test
SlurmctldHost=localhost
SlurmUser=root
StateSaveLocation={folder}
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
NodeName=localhost CPUs={cpus} RealMemory=8000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
PLUGINS = ["snakemake-executor-plugin-slurm==2.8.0", "snakemake-executor-plugin-slurm-jobstep==0.6.1"]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Environment variables for snakemake beside a running Slurm; skips where there can be none."""
    if not all(map(shutil.which, ("slurmctld", "slurmd", "munged"))) or os.geteuid() != 0:
        pytest.skip("needs root and Slurm: apt-get install slurmctld slurmd slurm-client munge")
    if CONF.exists() and not CONF.read_text().startswith(SETTINGS.splitlines()[0]):
        pytest.skip(f"{CONF} is somebody's own")
    folder = tmp_path_factory.mktemp("slurm")
    CONF.write_text(SETTINGS.format(folder=folder, cpus=os.cpu_count()))
    run("pip", "install", "--quiet", "--no-deps", "--target", folder / "site", *PLUGINS, folder=folder)
    Path("/run/munge").mkdir(exist_ok=True)
    commands = ["munged", "--foreground", "--force"], ["slurmctld", "-D"], ["slurmd", "-D"]
    daemons = [subprocess.Popen(command) for command in commands]
    wait(lambda: "idle" in subprocess.getoutput("sinfo --noheader --format %t"))
    yield {"PYTHONPATH": f"{folder / 'site'}:{os.environ.get('PYTHONPATH', '')}"}
    for daemon in reversed(daemons):
        daemon.terminate()
        daemon.wait()
    CONF.unlink()


def wait(condition, seconds=300):
    """Until a condition holds."""
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, f"not within {seconds} s"
        time.sleep(0.2)


def test_a_study_survives_a_cancelled_job_and_a_lost_connection(slurm, tmp_path):
    project = copy_project(tmp_path / "project")
    write_study(project, grid={"dataset": "digits", "batch_size": 50, "epochs": 1, "seed": [0, 1, 2]})
    run("snakemake", "--config", "study=mini", "name=local", folder=project)

    command = ["snakemake", "--profile", PROJECT / "extras/slurm", "--config", "study=mini"]
    results = [project / f"outputs/mini/seed-{seed}.ipynb" for seed in range(3)]
    batch = subprocess.Popen(command, cwd=project, env=environment(**slurm), start_new_session=True)
    wait(lambda: any(path.exists() for path in results))
    finished = next(path for path in results if path.exists())
    before = finished.read_bytes()  # with the time at which it was made
    batch.send_signal(signal.SIGHUP)  # as when the connection to the login node is lost
    batch.wait()
    jobs = subprocess.getoutput("squeue --noheader --format %i").split()
    subprocess.run(["scancel", *jobs[:1]])

    run(*command, folder=project, **slurm)
    assert finished.read_bytes() == before and (project / "outputs/mini/summary/index.html").exists()
    for path in results:
        twin = read_record(project / "outputs/local" / path.name)
        assert read_record(path)["digests"] == twin["digests"] and path.with_suffix(".weights.h5").exists()
