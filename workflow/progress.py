"""Where a study stands: runs done, the epoch and accuracy of each that runs, time left.

    python workflow/progress.py outputs/paper
"""

import re
import sys
import threading
import time
from pathlib import Path

START = 15  # seconds that a run spends beside its epochs, on two cores of a server
EPOCH = re.compile(r"epoch (\d+)/(\d+): ([\d.]+) s, .* accuracy ([\d.]+%|nan%)")


def state(folder, name):
    """One run's state: (word, epoch, epochs, seconds an epoch, validation accuracy), from its files."""
    log = Path(folder, "logs", f"{name}.log")
    epochs = EPOCH.findall(log.read_text(errors="replace")) if log.exists() else []
    epoch, of, _, accuracy = epochs[-1] if epochs else (0, 0, 0, "")
    # the first epoch also pays for building the training function
    seconds = [float(row[2]) for row in epochs[1:] or epochs]
    if Path(folder, f"{name}.ipynb").exists():
        word = "done"
    elif not log.exists():
        word = "waiting"
    else:
        word = "failed" if "RUN FAILED" in log.read_text(errors="replace") else "running"
    return word, int(epoch), int(of), sum(seconds) / len(seconds) if seconds else None, accuracy


def duration(seconds):
    """Seconds in words: '40 s', '12 min', '3 h 20 min'."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def report(folder, planned):
    """One line on a whole study; planned: run name to its number of epochs, None where that is not known."""
    states = {name: state(folder, name) for name in planned}
    count = {word: [s[0] for s in states.values()].count(word) for word in ("done", "failed", "running", "waiting")}
    line = f"{count['done']} of {len(states)} runs done"
    if count["failed"]:
        line += f", {count['failed']} failed"
    running = {name: s for name, s in states.items() if s[0] == "running"}
    for name, (_, epoch, of, _, accuracy) in running.items():
        line += f" | {name} " + (f"epoch {epoch}/{of}, validation {accuracy}" if epoch else "starting")
    paces = [s[3] for s in states.values() if s[3] is not None]
    if running and paces:
        longest, pace = max(s[2] for s in states.values()), sum(paces) / len(paces)
        left = {name: (planned[name] or longest) - s[1] for name, s in states.items() if s[0] in ("running", "waiting")}
        seconds = sum(pace * epochs + START * (not states[name][1]) for name, epochs in left.items())
        line += f" | about {duration(seconds / len(running))} left"
    return line if running or count["waiting"] else f"{line}, the summary is being made"


def watch(folder, planned, every=20):
    """Print the report every so many seconds, beside whatever else this process does."""
    def loop():
        """Until the process ends."""
        while True:
            time.sleep(every)
            print(f"[{time.strftime('%H:%M:%S')}] {report(folder, planned)}", file=sys.stderr, flush=True)

    threading.Thread(target=loop, daemon=True).start()


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit(__doc__)
    found = Path(sys.argv[1])
    names = {path.stem for path in [*found.glob("*.ipynb"), *found.glob("logs/*.log")]} - {"summary"}
    print(report(found, dict.fromkeys(sorted(names))))
