"""How a study goes on, shown in the terminal: a line for each run that is being made, and one for the whole."""

import fcntl
import re
import sys
import threading
from collections import Counter
from pathlib import Path

from tqdm import tqdm

EPOCH = re.compile(r"^\d+/\d+ - .* - val_accuracy: (\S+)", re.MULTILINE)  # Keras' line after an epoch
END = re.compile(r"^(?:RUN STOPPED|test accuracy: .*|RUN FAILED: .*)", re.MULTILINE)


def is_locked(path):
    """Whether a process makes the run of this log; True as well where there are no locks."""
    with open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def read_state(folder, name):
    """One run's state, from its files: (done, failed, running or waiting; what there is to say; epochs trained)."""
    path = Path(folder, "logs", f"{name}.log")
    log = path.read_text(errors="replace") if path.exists() else ""
    epochs, end = EPOCH.findall(log), (END.findall(log) or [""])[-1]
    if Path(folder, f"{name}.ipynb").exists():
        return "done", end, len(epochs)
    if "\nRUN FAILED" in log:
        return "failed", f"{end.removeprefix('RUN FAILED: ')}\n  log: {path}", len(epochs)
    if log and end != "RUN STOPPED" and is_locked(path):
        text = f"after epoch {len(epochs)}: validation accuracy {epochs[-1]}" if epochs else "starting"
        return "running", text, len(epochs)
    return "waiting", "", 0


class Display(threading.Thread):
    """Shows on standard error how a study goes on, by tqdm: news, the whole and, in a terminal, each run at work."""

    def __init__(self, folder, epochs):
        """epochs: run name to number of epochs."""
        super().__init__(daemon=True)
        self.folder, self.epochs, self.states, self.lines = folder, epochs, {}, {}
        self.ended, self.terminal = threading.Event(), sys.stderr.isatty()

    def run(self):
        total, seconds = sum(self.epochs.values()), 0.5 if self.terminal else 30
        with tqdm(total=total, initial=self.look(), unit="epoch", dynamic_ncols=True, mininterval=seconds) as whole:
            ended = False
            while not ended:
                ended = self.ended.wait(1)
                whole.update(self.look(ended) - whole.n)
                whole.set_description_str(self.total(), refresh=False)

    def look(self, ended=False):
        """Read the states, tell what is new, renew the lines of the runs at work; return the epochs trained so far."""
        old, self.states = self.states, {name: read_state(self.folder, name) for name in self.epochs}
        for name, (word, text, _) in self.states.items():
            line, live = f"{name} {word}: {text}", self.terminal and word == "running" and not ended
            if word not in ("waiting", old.get(name, [word])[0]) and not live:
                tqdm.write(line, file=sys.stderr)
            if live and name not in self.lines:
                self.lines[name] = tqdm(bar_format="{desc}", dynamic_ncols=True, leave=False)
            if live:
                self.lines[name].set_description_str(line)
            elif name in self.lines:
                self.lines.pop(name).close()
        return sum(self.epochs[name] if word == "done" else n for name, (word, _, n) in self.states.items())

    def total(self):
        """How many runs are in which state, as text."""
        count = Counter(word for word, *_ in self.states.values())
        others = (f", {count[word]} {word}" for word in ("failed", "running", "waiting") if count[word])
        return f"{count['done']} of {len(self.states)} runs are done" + "".join(others)

    def end(self):
        """Stop; return the state of the whole as text."""
        self.ended.set()
        self.join()
        return self.total()
