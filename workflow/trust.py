"""Add up what the tests counted, as a table: python workflow/trust.py TESTS.xml … > trust.csv

TESTS.xml: what pytest writes with --junitxml. Refuses results in which a test failed.
"""

import csv
import sys
from collections import Counter
from xml.etree import ElementTree

counts = Counter()
for path in sys.argv[1:]:
    root = ElementTree.parse(path).getroot()
    failed = [case.get("name") for case in root.iter("testcase") if case.find("failure") is not None or case.find("error") is not None]
    if failed:
        sys.exit(f"{path}: {len(failed)} tests failed: {', '.join(failed)}")
    for item in root.iter("property"):
        counts[item.get("name")] += int(item.get("value"))
if not counts:
    sys.exit(__doc__)
writer = csv.writer(sys.stdout, lineterminator="\n")
writer.writerow(["what", "number"])
writer.writerows(counts.items())
