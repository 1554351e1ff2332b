"""How a study goes on: runs done, the epoch and accuracy of each that runs, time left.

    python workflow/progress.py outputs/paper
"""

import fcntl
import json
import re
import sys
import threading
import time
from collections import Counter
from pathlib import Path

START = 15  # seconds that a run spends beside its epochs, on two cores of a server
EPOCH = re.compile(r"epoch (\d+)/(\d+): ([\d.]+) s, .* accuracy ([\d.]+%|nan%)")
RESULT = re.compile(r"test accuracy .*")
FAILURE = re.compile(r"^RUN FAILED: (.*(?:\n  .*)*)", re.MULTILINE)


def is_running(log):
    """Whether a process holds the lock of a run's log."""
    with open(log) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:  # held by another; or there are no locks here, then a log without an end is all there is to know
            return True
    return False


def read_state(folder, name):
    """One run's state, a dict: word, epoch, seconds an epoch (None before the first), and a text that says more."""
    path = Path(folder, "logs", f"{name}.log")
    log = path.read_text(errors="replace") if path.exists() else ""
    epochs = EPOCH.findall(log)
    state = {"word": "waiting", "epoch": len(epochs), "text": "", "pace": None}
    if epochs:  # the first epoch also pays for building the training function
        seconds = [float(epoch[2]) for epoch in epochs[1:] or epochs]
        state["pace"] = sum(seconds) / len(seconds)
    if Path(folder, f"{name}.ipynb").exists():
        return state | {"word": "done", "text": (RESULT.findall(log) or [""])[-1]}
    if failure := FAILURE.findall(log):
        return state | {"word": "failed", "text": f"{failure[-1]}\n  log: {path}"}
    if log and "RUN STOPPED" not in log and is_running(path):
        text = "epoch {0}/{1}, validation accuracy {3}".format(*epochs[-1]) if epochs else "starting"
        return state | {"word": "running", "text": text}
    return state


def duration(seconds):
    """Seconds in words: '40 s', '12 min', '3 h 20 min'."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def total(states, epochs):
    """One line on a whole study. states: run name to state; epochs: run name to number of epochs."""
    count = Counter(state["word"] for state in states.values())
    line = f"{count['done']} of {len(states)} runs are done"
    line += "".join(f", {count[word]} {word}" for word in ("failed", "running", "waiting") if count[word])
    paces = [state["pace"] for state in states.values() if state["pace"]]
    if count["running"] and paces:
        left = sum((epochs[name] - state["epoch"]) * sum(paces) / len(paces) + START * (not state["epoch"])
                   for name, state in states.items() if state["word"] in ("running", "waiting"))
        line += f"; about {duration(left / count['running'])} left"
    return line


class Display(threading.Thread):
    """Shows on standard error how a study goes on: lines that are renewed in a terminal, news and a line a minute else."""

    def __init__(self, folder, epochs):
        super().__init__(daemon=True)
        self.folder, self.epochs, self.ended = folder, epochs, threading.Event()
        self.states, self.height, self.next_line = {}, 0, time.time() + 60

    def run(self):
        while not self.ended.wait(1):
            self.show()

    def show(self):
        """Print what has changed, and what runs."""
        old, self.states = self.states, {name: read_state(self.folder, name) for name in self.epochs}
        terminal, shown = sys.stderr.isatty(), ("done", "failed") if sys.stderr.isatty() else ("done", "failed", "running")
        changed = [name for name in old if old[name]["word"] != self.states[name]["word"]]
        news = [self.line(name) for name in changed if self.states[name]["word"] in shown]
        live = [total(self.states, self.epochs)]
        if terminal:
            live = [self.line(name) for name, state in self.states.items() if state["word"] == "running"] + live
        elif time.time() < self.next_line:
            live = []
        else:
            self.next_line = time.time() + 60
        lines = [f"\033[{self.height}F\033[J" * bool(self.height) + "\n".join(news + live)] if news + live else []
        self.height = len(live) * terminal
        print(*lines, file=sys.stderr, sep="\n", end="\n" * bool(lines), flush=True)

    def line(self, name):
        """One line on one run."""
        state = self.states[name]
        return f"{name} {state['word']}: {state['text']}"

    def end(self):
        """Show the last news and stop; return the state of the whole in a line."""
        self.ended.set()
        self.join()
        self.show()
        return total(self.states, self.epochs)


def main(folder):
    """The state of a study in a line for each run that has begun and one for the whole."""
    plan = json.loads(Path(folder, "plan.json").read_text(encoding="utf-8"))
    epochs = {name: run["epochs"] for name, run in plan["runs"].items()}
    states = {name: read_state(folder, name) for name in epochs}
    for name, state in states.items():
        if state["word"] != "waiting":
            print(f"{name} {state['word']}: {state['text']}")
    print(total(states, epochs))
    if all(state["word"] != "running" for state in states.values()) and any(s["word"] != "done" for s in states.values()):
        print(f"Nothing is running. To go on: {plan['command']}")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1], "plan.json").exists():
        sys.exit(__doc__ + "\nThe folder of a study holds plan.json, which the batch writes.")
    main(sys.argv[1])
