"""Say whether two executed notebooks computed the same, and if not, where they part.

    python workflow/compare.py outputs/reference/04-adam-0.0001.ipynb outputs/paper/04-adam-0.0001.ipynb

Compares the chains of digests in the result records: initial weights, the weights after each epoch, the predictions, and
where both records have them in the same form, data and order of the images. Exit code 0: equal in all of them, in
parameters and number of epochs; 1: they differ; 2: no result to compare.
"""

import signal
import sys
from itertools import zip_longest
from pathlib import Path

import notebooks
from records import read_record
from study import MASTER


def stages(record):
    """The chain of a result record: a dict, stage to digest, in the order in which they were computed."""
    digests = record["digests"]
    data = digests["data"] if isinstance(digests["data"], dict) else {"all": digests["data"]}  # of four arrays, or of all
    chain = {f"data ({name})": digest for name, digest in data.items()}
    chain["initial weights"] = digests["initial_weights"]
    for epoch, (order, weights) in enumerate(zip_longest(digests.get("order", []), digests["weights"]), start=1):
        chain |= {f"order of the images in epoch {epoch}": order} if order else {}
        chain[f"weights after epoch {epoch}"] = weights
    return chain | {f"predictions after epoch {len(digests['weights'])}": digests["predictions"]}


def first_difference(a, b):
    """The first stage that two records have in common and differ in, None without one; and how many are in common."""
    chains = stages(a), stages(b)
    common = [stage for stage in chains[0] if stage in chains[1]]
    return next((stage for stage in common if chains[0][stage] != chains[1][stage]), None), len(common)


def conditions(record):
    """What was asked for, and what computed it: two dicts."""
    asked = {name: record["parameters"].get(name, value) for name, value in notebooks.defaults(MASTER).items()}
    del asked["weights_path"]  # not part of what a run computes
    machine = {name: record["environment"].get(name) for name in ("cpu", "devices", "threads", "versions")}
    return asked | {"epochs trained": len(record["history"])}, machine


def report(a, b):
    """What there is to say about two records: (whether they are equal, lines of text)."""
    (stage, n), (asked, machine), others = first_difference(a, b), conditions(a), conditions(b)
    if stage is None and asked == others[0]:
        return True, [f"equal to the bit in all {n} stages"]
    epoch = min(len(a["history"]), len(b["history"]))
    one, other = (record["history"][epoch - 1]["val_accuracy"] for record in (a, b))
    lines = [f"they part at: {stage}" if stage else f"not the same run, but equal in the {n} stages that both have"]
    lines += [f"{name}: {value!r} and {other[name]!r}" for part, other in zip((asked, machine), others)
              for name, value in part.items() if value != other[name]]
    return False, [*lines, f"validation accuracy after epoch {epoch}: {one:.2%} and {other:.2%}"]


def main(paths):
    """Print what there is to say; return the exit code."""
    if len(paths) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    records = [read_record(path) for path in paths]
    if None in records:
        path = paths[records.index(None)]
        reason = "holds no result record: did its run end?" if Path(path).exists() else "there is no such file"
        print(f"{path}: {reason}", file=sys.stderr)
        return 2
    equal, lines = report(*records)
    print("\n".join(lines))
    return int(not equal)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as in compare.py … | head
    sys.exit(main(sys.argv[1:]))
