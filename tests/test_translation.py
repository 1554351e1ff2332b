"""The Indonesian edition: the same code, and each text tied to the English text that it was translated from."""

import re
from collections import Counter
from hashlib import sha256

import nbformat
import pytest

from conftest import PROJECT

NOTEBOOKS = ["first_network.ipynb", "why_training_collapses.ipynb"]
EDITIONS = {f"notebooks/{name}": f"notebooks/id/{name}" for name in NOTEBOOKS}
KEPT = r"(?s)```\w+\n.*?```|`[^`\n]+`|\$\$.+?\$\$|\$[^$]+\$|\]\([^)]+|\d+(?:[.,]\d+)*"


def parts(path):
    """A notebook's cells by id."""
    return {cell.id: cell for cell in nbformat.read(path, 4).cells}


def kept(text):
    """What a translation keeps, and how often: code, formulas, numbers, the files that links lead to."""
    return Counter(re.sub(r"^\]\((.*/)?|\.id(?=\.)|,", "", found) for found in re.findall(KEPT, text))


@pytest.mark.parametrize("source, edition", EDITIONS.items())
def test_code_is_the_same_and_text_is_translated_from_what_it_is_today(source, edition):
    ours, theirs, behind = parts(PROJECT / source), parts(PROJECT / edition), []
    assert [*ours] == [*theirs], f"{edition}: not the cells or sections of {source}, or not in their order"
    for name, cell in ours.items():
        other, digest = theirs[name], sha256(cell.source.strip().encode()).hexdigest()[:12]
        lost = [*(kept(cell.source) - kept(other.source))]
        links = re.findall(r"\]\(([^):#]+)\)", other.source)  # those within the project
        astray = [link for link in links if not (PROJECT / edition).parent.joinpath(link).exists()]
        if cell.cell_type == "code" and other != cell:
            behind.append(f"{name}: its code differs")
        elif cell.cell_type == "markdown" and (lost or astray or other.metadata.get("source_digest") != digest):
            behind.append(f"{name} {cell.source[:40]!r}: digest {digest}; lacks {lost}; links to nowhere {astray}")
    assert not behind, f"translate again into {edition}, then note the digest:\n" + "\n".join(behind)
