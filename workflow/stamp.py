"""Fill the generated parts of a Markdown file from the files that they name.

    python workflow/stamp.py README.md           write them anew
    python workflow/stamp.py --check README.md   change nothing; say what has drifted, exit code 1

A part begins with `<!-- from FILE -->` and ends with `<!-- end -->`. A .csv file becomes a table, in which the column
`notebook` becomes links; `<!-- from FILE: a, b -->` takes only these columns. Any other file is taken as text.
"""

import re
import sys
from pathlib import Path

import pandas as pd

PART = re.compile(r"(<!-- from (?P<file>[^:>\s]+)(?:: (?P<columns>[^>]+?))? -->\n).*?(<!-- end -->)", re.DOTALL)


def content(file, columns=None):
    """What belongs between the marks: a file's text, or its table in Markdown. columns: names, comma-separated."""
    if not file.endswith(".csv"):
        return Path(file).read_text(encoding="utf-8").strip()
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    table = table[columns.split(", ")] if columns else table
    if "notebook" in table:
        table["notebook"] = [f"[open]({path})" for path in table["notebook"]]
    return table.to_markdown(index=False, disable_numparse=True)


def stamped(text):
    """The text with every generated part as its file says today."""
    return PART.sub(lambda part: f"{part[1]}{content(part['file'], part['columns'])}\n{part[4]}", text)


if __name__ == "__main__":
    check, paths = "--check" in sys.argv, [Path(word) for word in sys.argv[1:] if word != "--check"]
    if not paths:
        sys.exit(__doc__)
    for path in paths:
        old = path.read_text(encoding="utf-8")
        new = stamped(old)
        if check and new != old:
            sys.exit(f"{path} has drifted from the files that it quotes: run python workflow/stamp.py {path}")
        path.write_text(new, encoding="utf-8")
