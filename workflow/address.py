"""Put the repository's address, which CITATION.cff holds, into every Colab badge and every notebook that needs it.

    python workflow/address.py                                 write it anew
    python workflow/address.py https://github.com/you/name     first change it in CITATION.cff
"""

import re
import sys
from pathlib import Path

PLACE = Path("CITATION.cff")
ADDRESS = re.compile(r"https://github\.com/[\w.-]+/[\w-][\w.-]*")
BADGE = re.compile(r"(https://colab\.research\.google\.com/github/)[\w.-]+/[\w.-]+(/blob/main/([\w/.-]+\.ipynb))")
PARAMETER = re.compile(r'(repository = \\")[^"\\]*(\\"  # @param)')  # as a line of a notebook's file
HOLDER = re.compile(r'(repository-code: ")[^"]*(")')


def address():
    """The repository's address, as CITATION.cff has it."""
    return HOLDER.search(PLACE.read_text(encoding="utf-8"))[0].split('"')[1]


def files():
    """The files that hold the address or a badge."""
    return [Path("README.md"), *sorted(Path("notebooks").glob("*.ipynb")), *sorted(Path("notebooks").glob("*.md"))]


def stamped(text, address):
    """A file's text with the address in its badges and in the parameter `repository`."""
    owner_and_name = address.removeprefix("https://github.com/")
    text = BADGE.sub(lambda badge: badge[1] + owner_and_name + badge[2], text)
    return PARAMETER.sub(lambda line: line[1] + address + line[2], text)


if __name__ == "__main__":
    if len(sys.argv) > 2 or not all(ADDRESS.fullmatch(word) for word in sys.argv[1:]):
        sys.exit("the address should be like https://github.com/you/name" + __doc__.partition("\n")[2])
    for new in sys.argv[1:]:
        PLACE.write_text(HOLDER.sub(rf"\g<1>{new}\g<2>", PLACE.read_text(encoding="utf-8")), encoding="utf-8")
    for path in files():
        old = path.read_text(encoding="utf-8")
        if (new := stamped(old, address())) != old:
            path.write_text(new, encoding="utf-8")
            print(path)
