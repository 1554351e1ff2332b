"""Say whether two executed notebooks computed the same, and if not, where they part.

    python workflow/compare.py outputs/reference/04-adam-0.0001.ipynb outputs/paper/04-adam-0.0001.ipynb
    python workflow/compare.py --csv FIRST.ipynb OTHER.ipynb …    a table: each of the others against the first

Compares the chains of digests in the result records, stage by stage: data, initial weights, then for each epoch the
order of the images and the weights after it, then the predictions. Where one run has fewer epochs, only those that both
have are compared. Exit code 0: equal in all that was compared; 1: they differ; 2: no result to compare.
"""

import csv
import sys
from pathlib import Path

from study import read_record


def stages(record):
    """The chain of a result record: a dict, stage to digest, in the order in which they were computed."""
    digests = record["digests"]
    chain = {f"data ({name})": digest for name, digest in digests["data"].items()}
    chain["initial weights"] = digests["initial_weights"]
    for epoch, (order, weights) in enumerate(zip(digests["order"], digests["weights"]), start=1):
        chain |= {f"order of the images in epoch {epoch}": order, f"weights after epoch {epoch}": weights}
    return chain


def first_difference(a, b):
    """The first stage at which two records differ, and the number of stages that both have; None where none differs."""
    chains = stages(a), stages(b)
    common = [stage for stage in chains[0] if stage in chains[1]]
    if len(chains[0]) == len(chains[1]):  # as many epochs: the predictions belong to the same moment
        for chain, record in zip(chains, (a, b)):
            chain["predictions"] = record["digests"]["predictions"]
        common.append("predictions")
    return next((stage for stage in common if chains[0][stage] != chains[1][stage]), None), len(common)


def report(a, b):
    """What there is to say about two records: (whether equal, lines of text)."""
    stage, n = first_difference(a, b)
    epochs = [len(record["history"]) for record in (a, b)]
    lines = [f"equal to the bit in all {n} stages" if stage is None else f"they part at: {stage}"]
    if epochs[0] != epochs[1]:
        lines.append(f"{epochs[0]} and {epochs[1]} epochs: only the first {min(epochs)} were compared")
    if stage is None:
        return True, lines
    for name in sorted(set(a["parameters"]) | set(b["parameters"])):
        values = [record["parameters"].get(name) for record in (a, b)]
        if values[0] != values[1] and not name.endswith("_path"):
            lines.append(f"parameter {name}: {values[0]!r} and {values[1]!r}")
    for name in ("cpu", "gpus", "threads", "versions"):
        values = [record["environment"].get(name) for record in (a, b)]
        if values[0] != values[1]:
            lines.append(f"{name}: {values[0]} and {values[1]}")
    last = min(epochs) - 1
    accuracy = [record["history"][last]["val_accuracy"] for record in (a, b)]
    lines.append(f"validation accuracy after epoch {last + 1}: {accuracy[0]:.2%} and {accuracy[1]:.2%}")
    if epochs[0] == epochs[1] and len(a["predictions"]) == len(b["predictions"]):
        same = sum(map(str.__eq__, a["predictions"], b["predictions"])) / len(a["predictions"])
        lines.append(f"test accuracy: {a['test_accuracy']:.2%} and {b['test_accuracy']:.2%}; same answer to {same:.2%} of the test images")
    return False, lines


def conditions(record):
    """What computed a record, in short: processor, backend and its version, threads."""
    environment, backend = record["environment"], record["parameters"]["backend"]
    threads = environment["threads"]["OMP_NUM_THREADS"]
    return f"{environment['cpu']}, {backend} {environment['versions'][backend]}, threads: {threads or 'not set'}"


def table(paths):
    """Each record but the first against the first: one dict of texts a record."""
    first, *others = (read_record(path) for path in paths)
    for path, other in zip(paths[1:], others):
        stage, _ = first_difference(first, other)
        last = min(len(first["history"]), len(other["history"])) - 1
        both = [record["history"][last]["val_accuracy"] for record in (first, other)]
        same = ""
        if len(first["history"]) == len(other["history"]):
            same = f"{sum(map(str.__eq__, first['predictions'], other['predictions'])) / len(first['predictions']):.2%}"
        yield {
            "run": f"{Path(path).parent.name}/{Path(path).stem}", "made on": conditions(other),
            "they part at": stage or "nowhere: equal to the bit", "epochs compared": last + 1,
            "difference in validation accuracy (points)": f"{100 * (both[1] - both[0]):+.2f}",
            "same answer to test images": same,
        }


if __name__ == "__main__":
    as_table, paths = "--csv" in sys.argv, [word for word in sys.argv[1:] if word != "--csv"]
    if len(paths) < 2 or len(paths) > 2 and not as_table:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    for path in paths:
        if read_record(path) is None:
            print(f"{path}: holds no result record; is it an executed notebook of a run that ended?", file=sys.stderr)
            sys.exit(2)
    if as_table:
        rows = list(table(paths))
        writer = csv.DictWriter(sys.stdout, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        sys.exit()
    equal, lines = report(*map(read_record, paths))
    print("\n".join(lines))
    sys.exit(not equal)
