"""How a study goes on, each run and the whole: python workflow/progress.py outputs/paper"""

import fcntl
import json
import re
import shutil
import sys
import threading
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

START = 15  # seconds that a run spends beside its epochs, on two cores of a server
EPOCH = re.compile(r"epoch (\d+/\d+): ([\d.]+) s, .* accuracy ([\d.]+%|nan%)")
END = re.compile(r"RUN STOPPED|test accuracy .*|(?<=^RUN FAILED: ).*(?:\n  .*)*", re.MULTILINE)


def is_locked(path):
    """Whether a process makes the run of this log; True as well where there are no locks."""
    with open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def read_state(folder, name):
    """One run's state, from its files: a dict of word, text, number of epochs, pace (seconds per epoch or None)."""
    path = Path(folder, "logs", f"{name}.log")
    log = path.read_text(errors="replace") if path.exists() else ""
    epochs, end = EPOCH.findall(log), (END.findall(log) or [""])[-1]
    seconds = [float(epoch[1]) for epoch in epochs[1:] or epochs]  # the first also pays for tracing
    pace = sum(seconds) / len(seconds) if seconds else None
    state = {"word": "waiting", "text": "", "epoch": len(epochs), "pace": pace}
    if Path(folder, f"{name}.ipynb").exists():
        return state | {"word": "done", "text": end}
    if "\nRUN FAILED" in log:
        return state | {"word": "failed", "text": f"{end}\n  log: {path}"}
    if log and end != "RUN STOPPED" and is_locked(path):
        text = "epoch {0}, validation accuracy {2}".format(*epochs[-1]) if epochs else "starting"
        return state | {"word": "running", "text": text}
    return state


def total(states, epochs):
    """One line on a whole study. states: run name to state; epochs: run name to number of epochs."""
    count = Counter(state["word"] for state in states.values())
    line = f"{count['done']} of {len(states)} runs are done"
    line += "".join(f", {count[word]} {word}" for word in ("failed", "running", "waiting") if count[word])
    paces = [state["pace"] for state in states.values() if state["pace"]]
    if count["running"] and paces:
        left = sum((epochs[name] - state["epoch"]) * sum(paces) / len(paces) + START * (not state["epoch"])
                   for name, state in states.items() if state["word"] in ("running", "waiting"))
        line += f"; about {timedelta(seconds=round(left / count['running']))} left"
    return line


class Display(threading.Thread):
    """Shows on standard error how a study goes on: lines renewed in a terminal; elsewhere news, and a line a minute."""

    def __init__(self, folder, epochs):
        super().__init__(daemon=True)
        self.folder, self.epochs, self.ended, self.states, self.height = folder, epochs, threading.Event(), {}, 0
        self.next_line = time.time() + 60

    def run(self):
        while not self.ended.wait(1):
            self.show()

    def end(self):
        """Stop; show the last news and return the state of the whole in a line."""
        self.ended.set()
        self.join()
        self.show()
        return total(self.states, self.epochs)

    def show(self):
        """Print what has changed, and what runs."""
        terminal, old = sys.stderr.isatty(), self.states
        self.states = {name: read_state(self.folder, name) for name in self.epochs}
        lines = {name: f"{name} {state['word']}: {state['text']}" for name, state in self.states.items()}
        running = [name for name, state in self.states.items() if state["word"] == "running"]
        changed = [name for name in old if old[name]["word"] != self.states[name]["word"] != "waiting"]
        news = [lines[name] for name in changed if not terminal or name not in running]
        live = [total(self.states, self.epochs)] if terminal or time.time() > self.next_line else []
        self.next_line += 60 * bool(live)
        width = shutil.get_terminal_size().columns - 1 if terminal else None  # what wraps could not be renewed
        live = [line[:width] for line in [lines[name] for name in running if terminal] + live]
        print(f"\033[{self.height}F\033[J" * bool(self.height) + "".join(f"{line}\n" for line in news + live),
              end="", file=sys.stderr, flush=True)
        self.height = terminal * len(live)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1], "plan.json").exists():
        sys.exit(__doc__ + "\nThe folder of a study holds plan.json, which the batch writes.")
    plan = json.loads(Path(sys.argv[1], "plan.json").read_text(encoding="utf-8"))
    states = {name: read_state(sys.argv[1], name) for name in plan["runs"]}
    words = {state["word"] for state in states.values()}
    print(*(f"{name} {state['word']}: {state['text']}" for name, state in states.items() if state["word"] != "waiting"),
          total(states, {name: run["epochs"] for name, run in plan["runs"].items()}), sep="\n")
    if "running" not in words and words != {"done"}:
        print(f"Nothing is running. To go on: {plan['command']}")
