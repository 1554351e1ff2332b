"""One run of a study: papermill in a folder for what is unfinished; what is complete moves up.

    python workflow/run_one.py outputs/paper/04-adam-0.0001.ipynb -f params/paper/04-adam-0.0001.yaml

What follows the first word is handed to papermill. papermill writes the executed notebook from the first second on, so a
file at its final place would not mean that the run is complete. Exit code 0: the notebook is at its final place and holds
a result. Otherwise the reason stands in the log and on standard error, and what the run got to is in `unfinished`.
"""

import fcntl
import re
import signal
import subprocess
import sys
from pathlib import Path

from study import MASTER, read_record

REASONS = {  # what a log says, and what that means
    r"DeadKernelError": "the kernel died: killed from outside, or out of memory",
    r"No space left on device|Disk quota exceeded|errno = 28": "the disk is full",
    r"File too large|errno = 27": "a file became larger than is allowed here (ulimit -f)",
}


class Stopped(Exception):
    """A signal asked this run to stop."""


def stop(number, frame):
    """Signal handler: leave by an exception, once."""
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    raise Stopped({signal.SIGINT: "interrupted (Ctrl-C)", signal.SIGTERM: "asked to stop (SIGTERM)"}[number])


def lock(path):
    """Hold a lock on a file, which ends with the processes that have it open; wait for whoever holds it already."""
    file = open(path, "w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"{path.stem} still goes on in another batch: waiting for it.", file=sys.stderr, flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
    return file


def execute(command, log, held):
    """Run papermill, its output into the log; return its exit code. held: the lock, which lives as long as papermill."""
    Path(log).write_text("")
    with open(log, "a") as file:  # a kernel that outlives papermill must not write over what is added later
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, pass_fds=[held.fileno()])
    try:
        return process.wait()
    except Stopped:
        process.terminate()  # papermill then ends its kernel
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
        raise


def reason(text, code):
    """Why a run failed, in words, from its log and papermill's exit code."""
    own = re.findall(r"^RunError: (.+(?:\n  .+)*)", text, re.MULTILINE)
    if own:
        return own[-1]
    for pattern, words in REASONS.items():
        if re.search(pattern, text):
            return words
    if code < 0:
        return f"papermill was killed by signal {signal.Signals(-code).name}"
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"papermill ended with exit code {code}"


def main(finished, options):
    """Make one run; return its exit code."""
    folder, name = finished.parent, finished.stem
    unfinished, log = folder / "unfinished", folder / "logs" / f"{name}.log"
    for place in (unfinished, log.parent):
        place.mkdir(parents=True, exist_ok=True)
    held = lock(unfinished / f"{name}.lock")
    if finished.exists():  # made by another batch while this one waited
        return 0
    notebook, weights = unfinished / f"{name}.ipynb", unfinished / f"{name}.weights.h5"
    weights.unlink(missing_ok=True)  # of a run that did not end
    command = ["papermill", MASTER, str(notebook), *options, "-p", "weights_path", str(weights)]
    try:
        code = execute([*command, "--log-output", "--no-progress-bar"], log, held)
        why = reason(log.read_text(errors="replace"), code)
    except Stopped as stopped:
        code, why = 1, str(stopped)
    if code == 0 and read_record(notebook):
        weights.replace(folder / weights.name)
        notebook.replace(finished)
        return 0
    message = f"RUN FAILED: {name}: {why}\n  what it got to: {notebook}; its log: {log}"
    print(message, file=sys.stderr, flush=True)
    with open(log, "a") as file:
        print(message, file=file)
    return 1


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
    except Stopped as stopped:
        sys.exit(f"RUN FAILED: {Path(sys.argv[1]).stem}: {stopped} while it waited")
    except OSError as error:
        sys.exit(f"RUN FAILED: {Path(sys.argv[1]).stem}: {error.filename or 'the output folder'}: {error.strerror}")
