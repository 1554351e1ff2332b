"""Print what environment.yml asks pip for, one requirement a line: what `make lock` resolves."""

import yaml
from packaging.requirements import Requirement

NEWEST = "python_version < '3.14'"  # tensorflow 2.20.0 is not built for later versions

with open("environment.yml", encoding="utf-8") as file:
    dependencies = yaml.safe_load(file)["dependencies"]
for line in next(item["pip"] for item in dependencies if isinstance(item, dict)):
    requirement = Requirement(line)
    markers = f"({requirement.marker}) and {NEWEST}" if requirement.marker else NEWEST
    print(f"{requirement.name}{requirement.specifier}; {markers}")
