"""One run of a study: python workflow/run.py outputs/paper/04-adam-0.0001.ipynb '{"optimizer": "adam", …}'

papermill writes the executed notebook from the first second on, so it works in `unfinished`; what is complete moves up.
Exit code 0: the notebook is at its final place and holds the result that was asked for. What fails is told on the
terminal, and at length in the log.
"""

import fcntl
import json
import logging
import os
import signal
import sys
from pathlib import Path

import notebooks
from records import plain, read_record
from study import MASTER, faults_of


def check(path, parameters):
    """The result record of an executed notebook. Raises RuntimeError if it is not that of these parameters."""
    record = read_record(path)
    if faults := faults_of(record, parameters):
        raise RuntimeError(f"{path} is not the run that was asked for: {'; '.join(faults)}")
    return record


def make(finished, parameters):
    """Make one run. Raises papermill's error if there is no result, RuntimeError if it is not the one asked for."""
    notebook, weights = (finished.parent / "unfinished" / f"{finished.stem}.{kind}" for kind in ("ipynb", "weights.h5"))
    notebook.parent.mkdir(exist_ok=True)
    weights.unlink(missing_ok=True)  # of a run that did not end
    given = parameters | {"weights_path": str(weights)}
    try:
        notebooks.execute(MASTER, notebook, given, log_output=True)
    except Exception:
        if not read_record(notebook):  # a result outweighs a failed picture
            raise
    check(notebook, parameters)
    weights.replace(finished.with_suffix(".weights.h5"))
    notebook.replace(finished)


def main(finished, parameters):
    """Make one run, unless it is there already; tell the terminal how it ended; return 1 if it failed."""
    terminal = open(os.dup(sys.stderr.fileno()), "w", errors="backslashreplace")
    log_path = finished.parent / "logs" / f"{finished.stem}.log"
    try:
        log_path.parent.mkdir(parents=True, exist_ok=True)
        log = open(log_path, "a")
        try:
            fcntl.flock(log, fcntl.LOCK_EX)  # waits while another process, or its kernel, makes the same run
        except OSError as error:
            print(f"{log_path}: no lock ({error.strerror}): run no two batches here at once", file=terminal)
        if not finished.exists():  # otherwise another batch made it while this one waited
            log.truncate(0)
            for stream in (sys.stdout, sys.stderr):  # the kernel inherits them, and so the lock
                os.dup2(log.fileno(), stream.fileno())
            logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
            make(finished, parameters)
        print(f"{finished.stem}: test accuracy {check(finished, parameters)['test_accuracy']:.2%}", file=terminal)
    except Exception as error:
        if logging.root.handlers:  # else the log was not opened
            logging.exception("papermill ended with")
        print(f"{finished.stem} failed: {plain(notebooks.reason(error))}\n  log: {log_path}", file=terminal)
        return 1


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback; its kernel then ends by itself
    sys.exit(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
