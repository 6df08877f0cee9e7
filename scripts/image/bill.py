"""The software bill of materials of an image, in CycloneDX's JSON (https://cyclonedx.org/docs/1.6/json/)."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_LICENCE = 100
"""Some packages put a licence's whole text where its name belongs."""


def bill_of_materials(name: str, labels: Mapping[str, str], inventory: Mapping[str, Any]) -> dict[str, Any]:
    """The bill of the image `name`: what `inventory.py` found in it, under its labels."""
    version = labels["org.opencontainers.image.version"]
    image = {"type": "container", "bom-ref": name, "name": name, "version": version}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "component": image | {"licenses": [{"license": {"id": labels["org.opencontainers.image.licenses"]}}]},
            "properties": [{"name": key, "value": value} for key, value in sorted(labels.items())],
        },
        "components": [
            _system(inventory["system"]),
            *(_python(package) for package in inventory["packages"]),
            *(_debian(package, inventory["system"].get("ID", "debian")) for package in inventory["system_packages"]),
        ],
    }


def _system(release: Mapping[str, str]) -> dict[str, Any]:
    name, version = release.get("ID", "unknown"), release.get("VERSION_ID", "")
    return {"type": "operating-system", "bom-ref": f"os:{name}", "name": name, "version": version}


def _python(package: Mapping[str, str]) -> dict[str, Any]:
    name = re.sub(r"[-_.]+", "-", package["name"]).lower()
    where = f"pkg:pypi/{name}@{quote(package['version'], safe='.')}"
    component = {"type": "library", "bom-ref": where, "name": package["name"], "version": package["version"]}
    component |= {"purl": where, "description": package["summary"]}
    if package["expression"]:
        return component | {"licenses": [{"expression": package["expression"]}]}
    if package["licence"] and len(package["licence"]) <= _LONGEST_LICENCE:
        return component | {"licenses": [{"license": {"name": package["licence"]}}]}
    return component


def _debian(package: Mapping[str, str], distribution: str) -> dict[str, Any]:
    name, version, architecture = package["package"], package["version"], package["architecture"]
    where = f"pkg:deb/{distribution}/{quote(name, safe='')}@{quote(version, safe='.')}?arch={architecture}"
    component = {"type": "library", "bom-ref": where, "name": name, "version": version, "purl": where}
    return component | {"supplier": {"name": package["maintainer"]}}
