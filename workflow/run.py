"""One run of a study: python workflow/run.py outputs/paper/04-adam-0.0001.ipynb '{"optimizer": "adam", …}'

papermill writes the executed notebook from the first second on, so it works in `unfinished`; what is complete moves up.
Exit code 0: the notebook is at its final place and holds the result that was asked for. Otherwise the end of its log
says why; where a log cannot be written, the terminal.
"""

import fcntl
import json
import logging
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

import notebooks
from records import read_record
from study import MASTER, faults_of


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
    """Make one run. Raises papermill's error if there is no result, RuntimeError if it is not the one asked for."""
    notebook, weights = (finished.parent / "unfinished" / f"{finished.stem}.{kind}" for kind in ("ipynb", "weights.h5"))
    notebook.parent.mkdir(exist_ok=True)
    weights.unlink(missing_ok=True)  # of a run that did not end
    given = parameters | {"weights_path": str(weights)}
    # in a thread: in the main one, papermill's client would take the signals for itself
    error = ThreadPoolExecutor(1).submit(notebooks.execute, MASTER, notebook, given, log_output=True).exception()
    record = read_record(notebook) if notebook.exists() else None
    if error and not record:
        raise error
    if faults := faults_of(record, parameters):
        raise RuntimeError(f"not the run that was asked for: {'; '.join(faults)}")
    weights.replace(finished.with_suffix(".weights.h5"))
    notebook.replace(finished)


def main(finished, parameters):
    """Make one run, unless it is there already; return the exit code, or what to say on the terminal."""
    terminal = os.dup(sys.stderr.fileno())
    try:
        log = lock(finished.parent / "logs" / f"{finished.stem}.log")
        if finished.exists():  # made by another batch while this one waited
            return "\n".join(f"{finished}: {fault}" for fault in faults_of(read_record(finished), parameters)) or 0
        log.truncate(0)
        for stream in (sys.stdout, sys.stderr):  # the kernel's too
            os.dup2(log.fileno(), stream.fileno())
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
        make(finished, parameters)
    except Exception as error:
        logging.exception("papermill ended with")
        said = f"RUN FAILED: {notebooks.reason(error)}"
        try:
            print(said, flush=True)
        except OSError:  # no room for it
            os.write(terminal, f"{finished.stem} failed: {said}\n".encode())
        return 1


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    sys.exit(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
