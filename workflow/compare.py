"""Say whether two executed notebooks computed the same, and if not, where they part.

    python workflow/compare.py outputs/reference/04-adam-0.0001.ipynb outputs/paper/04-adam-0.0001.ipynb

Compares the digests in the result records: data (in four parts, in older records), initial weights, weights after each
epoch, predictions. Exit code 0: equal in all that both have, in parameters and number of epochs.
"""

import sys

import notebooks
from records import read_record
from study import MASTER


def stages(record):
    """The digests of a result record, in the order in which they were computed: a dict, stage to digest."""
    digests = record["digests"]
    chain = {"data" if isinstance(digests["data"], str) else "data in four parts": digests["data"]}
    chain["initial weights"] = digests["initial_weights"]
    chain |= {f"weights after epoch {epoch}": digest for epoch, digest in enumerate(digests["weights"], start=1)}
    chain[f"predictions after epoch {len(digests['weights'])}"] = digests["predictions"]
    return chain


def differences(a, b):
    """In what two records differ, lines of text, and how many stages they have in common."""
    one, other = stages(a), stages(b)
    common = [stage for stage in one if stage in other]
    lines = [f"they part at: {stage}" for stage in common if one[stage] != other[stage]][:1]
    told = []
    for record in (a, b):
        parameters = notebooks.defaults(MASTER) | record["parameters"]  # it may be older than a parameter
        told.append(parameters | {"weights_path": "", "epochs trained": len(record["history"])})
    lines += [f"{name}: {told[0][name]!r} and {told[1][name]!r}" for name in told[0]
              if name in told[1] and told[0][name] != told[1][name]]
    if lines:
        environments = a["environment"], b["environment"]
        lines += [f"{name}: {environments[0].get(name)!r} and {environments[1].get(name)!r}"
                  for name in ("cpu", "devices", "threads", "versions")]
    return lines, len(common)


def main(paths):
    """Print that two notebooks' records are equal, or return what there is to say."""
    records = [read_record(path) for path in paths]
    if len(paths) != 2 or None in records:
        return "\n".join([__doc__] + [f"{path}: holds no result record" for path, r in zip(paths, records) if not r])
    lines, n = differences(*records)
    if lines:
        return "\n".join(lines)
    print(f"equal to the bit in all {n} stages")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
