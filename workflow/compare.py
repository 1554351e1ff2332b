"""Say whether two executed notebooks computed the same, and if not, where they part.

    python workflow/compare.py outputs/reference/04-adam-0.0001.ipynb outputs/paper/04-adam-0.0001.ipynb

Compares the chains of digests in the result records: data, initial weights, weights after each epoch, predictions;
older records also have the order of the images, and digest the data in four parts. Exit code 0: equal in all that both
have, in parameters and number of epochs; 1: they differ; 2: no result to compare.
"""

import signal
import sys
from itertools import zip_longest

import notebooks
from records import read_record
from study import MASTER


def stages(record):
    """The chain of a result record: a dict, stage to digest, in the order in which they were computed."""
    digests = record["digests"]
    parts = digests["data"] if isinstance(digests["data"], dict) else {"all": digests["data"]}
    chain = {f"data ({name})": digest for name, digest in parts.items()}
    chain["initial weights"] = digests["initial_weights"]
    for epoch, (order, weights) in enumerate(zip_longest(digests.get("order", []), digests["weights"]), start=1):
        chain |= {f"order of the images in epoch {epoch}": order} if order else {}
        chain |= {f"weights after epoch {epoch}": weights}
    return chain | {f"predictions after epoch {len(digests['weights'])}": digests["predictions"]}


def first_difference(a, b):
    """The first stage that two records have in common and differ in, None without one; and how many are in common."""
    chains = stages(a), stages(b)
    common = [stage for stage in chains[0] if stage in chains[1]]
    return next((stage for stage in common if chains[0][stage] != chains[1][stage]), None), len(common)


def report(a, b):
    """What there is to say about two records: (whether they are equal, lines of text)."""
    stage, n = first_difference(a, b)
    asked = [{name: record["parameters"].get(name, default) for name, default in notebooks.defaults(MASTER).items()}
             | {"epochs trained": len(record["history"]), "weights_path": ""} for record in (a, b)]
    if stage is None and asked[0] == asked[1]:
        return True, [f"equal to the bit in all {n} stages"]
    one, other = (told | {name: record["environment"].get(name) for name in ("cpu", "devices", "threads", "versions")}
                  for told, record in zip(asked, (a, b)))
    lines = [f"they part at: {stage}" if stage else f"not the same run, but equal in the {n} stages that both have"]
    lines += [f"{name}: {one[name]!r} and {other[name]!r}" for name in one if one[name] != other[name]]
    epoch = min(len(a["history"]), len(b["history"]))
    accuracies = [f"{record['history'][epoch - 1]['val_accuracy']:.2%}" for record in (a, b)]
    return False, [*lines, f"validation accuracy after epoch {epoch}: {' and '.join(accuracies)}"]


def main(paths):
    """Print what there is to say; return the exit code."""
    records = {path: read_record(path) for path in paths}
    if len(paths) != 2 or None in records.values():
        without = [str(path) for path, record in records.items() if record is None]
        print("\n".join(f"{path}: holds no result record" for path in without) or __doc__, file=sys.stderr)
        return 2
    equal, lines = report(*(records[path] for path in paths))
    print("\n".join(lines))
    return int(not equal)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as in compare.py … | head
    sys.exit(main(sys.argv[1:]))
