"""One run of a study: python workflow/run.py outputs/paper/04-adam-0.0001.ipynb '{"optimizer": "adam", …}'

papermill writes the executed notebook from the first second on, so it works in `unfinished`; what is complete moves up.
Exit code 0: the notebook is at its final place and holds a result. Otherwise the end of its log says why.
"""

import fcntl
import json
import logging
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import papermill
import psutil
from nbclient.exceptions import DeadKernelError

from records import read_record
from study import MASTER


def stop(number, frame):
    """Signal handler: end the kernel and this process at once."""
    print(f"RUN STOPPED: {signal.Signals(number).name}", flush=True)
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(128 + number)


def lock(path):
    """Open a log and lock it; wait while another process makes the same run, such as one that a killed batch left.

    The lock ends with the last process that has the file open: this one, or a kernel that outlives it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    log = open(path, "a")
    try:
        fcntl.flock(log, fcntl.LOCK_EX)
    except OSError as error:
        print(f"{path}: no lock ({error.strerror}): do not run two batches in one folder at once", file=sys.stderr)
    return log


def make(finished, parameters):
    """Make one run. Raises what papermill raises, or RuntimeError if the notebook holds no result."""
    notebook, weights = (finished.parent / "unfinished" / f"{finished.stem}.{kind}" for kind in ("ipynb", "weights.h5"))
    notebook.parent.mkdir(exist_ok=True)
    weights.unlink(missing_ok=True)  # of a run that did not end
    parameters |= {"weights_path": str(weights)}
    options = {"log_output": True, "progress_bar": False, "shutdown_kernel": "immediate"}
    # in a thread: in the main one, papermill's client would take the signals for itself
    ThreadPoolExecutor(1).submit(papermill.execute_notebook, MASTER, notebook, parameters, **options).result()
    if not read_record(notebook):
        raise RuntimeError("the notebook ended without a result record")
    weights.replace(finished.with_suffix(".weights.h5"))
    notebook.replace(finished)


def reason(error):
    """Why a run failed, in words."""
    if isinstance(error, DeadKernelError):
        return "the kernel died: killed from outside, or out of memory"
    if isinstance(error, papermill.PapermillExecutionError):
        return f"{error.ename}: {error.evalue}".removeprefix("RunError: ")
    return f"{type(error).__name__}: {error}"


def main(finished, parameters):
    """Make one run, unless it is there already; return the exit code."""
    log = lock(finished.parent / "logs" / f"{finished.stem}.log")
    if finished.exists():  # made by another batch while this one waited
        return 0
    log.truncate(0)
    for stream in (sys.stdout, sys.stderr):  # the kernel's too
        os.dup2(log.fileno(), stream.fileno())
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        make(finished, parameters)
    except Exception as error:
        logging.exception("papermill ended with")
        print(f"RUN FAILED: {reason(error)}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    sys.exit(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
