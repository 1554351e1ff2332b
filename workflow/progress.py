"""How a study goes on, shown in the terminal: a line for what is new, and one for the whole."""

import fcntl
import re
import sys
import threading
from collections import Counter
from pathlib import Path

from tqdm import tqdm

EPOCH = re.compile(r"^\d+/\d+ - .* - val_accuracy: (\S+)", re.MULTILINE)  # Keras' line after an epoch
END = re.compile(r"^(RUN STOPPED|RUN FAILED: |(?=test accuracy: ))(.*)", re.MULTILINE)


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
    epochs, (end, text) = EPOCH.findall(log), (END.findall(log) or [("", "")])[-1]
    if Path(folder, f"{name}.ipynb").exists():
        return "done", text, len(epochs)
    if end == "RUN FAILED: ":
        return "failed", f"{text}\n  log: {path}", len(epochs)
    if log and not end and is_locked(path):
        return "running", f"{name} {epochs[-1]}" if epochs else "", len(epochs)
    return "waiting", "", 0


class Display(threading.Thread):
    """Shows on standard error how a study goes on, by tqdm: news, and the whole with the validation accuracies."""

    def __init__(self, folder, epochs):
        """epochs: run name to number of epochs."""
        super().__init__(daemon=True)
        self.folder, self.epochs, self.states, self.ended = folder, epochs, {}, threading.Event()

    def run(self):
        with tqdm(total=sum(self.epochs.values()), initial=self.look(), unit="epoch", dynamic_ncols=True,
                  mininterval=0.5 if sys.stderr.isatty() else 30) as whole:
            ended = False
            while not ended:
                ended = self.ended.wait(1)
                whole.update(self.look() - whole.n)
                whole.set_description_str(self.total(), refresh=False)
                texts = [text for word, text, _ in self.states.values() if word == "running" and text]
                whole.set_postfix_str(", ".join(texts), refresh=False)

    def look(self):
        """Read the states, tell what is new; return the epochs trained so far, of a run that is done all."""
        old, self.states = self.states, {name: read_state(self.folder, name) for name in self.epochs}
        for name, (word, text, _) in self.states.items():
            if word in ("done", "failed") and word != old.get(name, [word])[0]:
                tqdm.write(f"{name} {word}: {text}", file=sys.stderr)
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
