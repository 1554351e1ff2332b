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


def agreement(a, b):
    """Of two records: the last epoch that both have, their validation accuracies after it, and the share of test images
    with the same answer (None where they end at different epochs)."""
    epoch = min(len(a["history"]), len(b["history"]))
    accuracies = [record["history"][epoch - 1]["val_accuracy"] for record in (a, b)]
    if len(a["history"]) != len(b["history"]) or len(a["predictions"]) != len(b["predictions"]):
        return epoch, accuracies, None
    return epoch, accuracies, sum(map(str.__eq__, a["predictions"], b["predictions"])) / len(a["predictions"])


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
    epoch, accuracies, same = agreement(a, b)
    lines.append(f"validation accuracy after epoch {epoch}: {accuracies[0]:.2%} and {accuracies[1]:.2%}")
    if same is not None:
        lines.append(f"test accuracy: {a['test_accuracy']:.2%} and {b['test_accuracy']:.2%}; same answer to {same:.2%} of the test images")
    return False, lines


def conditions(record):
    """What computed a record, in short: processor, backend and its version, threads."""
    environment, backend = record["environment"], record["parameters"]["backend"]
    threads = environment["threads"]["OMP_NUM_THREADS"]
    return f"{environment['cpu']}, {backend} {environment['versions'][backend]}, threads: {threads or 'not set'}"


def table(records):
    """Each record but the first against the first: one dict of texts a record; records: path to record."""
    first, *others = records
    for path in others:
        other = records[path]
        stage, _ = first_difference(records[first], other)
        epoch, accuracies, same = agreement(records[first], other)
        yield {
            "run": f"{Path(path).parent.name}/{Path(path).stem}", "made on": conditions(other),
            "they part at": stage or "nowhere: equal to the bit", "epochs compared": epoch,
            "difference in validation accuracy (points)": f"{100 * (accuracies[1] - accuracies[0]):+.2f}",
            "same answer to test images": "" if same is None else f"{same:.2%}",
        }


if __name__ == "__main__":
    as_table, paths = "--csv" in sys.argv, [word for word in sys.argv[1:] if word != "--csv"]
    if len(paths) < 2 or len(paths) > 2 and not as_table:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    records = {path: read_record(path) for path in paths}
    for path, record in records.items():
        if record is None:
            print(f"{path}: holds no result record; is it an executed notebook of a run that ended?", file=sys.stderr)
            sys.exit(2)
    if as_table:
        rows = list(table(records))
        writer = csv.DictWriter(sys.stdout, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        sys.exit()
    equal, lines = report(*(records[path] for path in paths))
    print("\n".join(lines))
    sys.exit(not equal)
