from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.image.bill import bill_of_materials

ROOT = Path(__file__).parents[4]
LABELS = {
    "org.opencontainers.image.version": "1.2.3",
    "org.opencontainers.image.licenses": "Apache-2.0",
    "org.opencontainers.image.revision": "abc",
}


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    """Of the environment that runs the tests."""
    program = (ROOT / "scripts" / "image" / "inventory.py").read_text()
    done = subprocess.run([sys.executable, "-"], input=program, capture_output=True, text=True, check=True)
    return bill_of_materials("tandem:1.2.3", LABELS, json.loads(done.stdout))


def test_every_pinned_package_is_in_it_with_its_version(bill: dict[str, Any]) -> None:
    found = {component["purl"] for component in bill["components"] if "purl" in component}
    assert {"pkg:pypi/bentoml@1.4.39", "pkg:pypi/torch@2.13.0%2Bcpu", "pkg:pypi/pydantic-core@2.50.4"} <= found


def test_licences_are_named(bill: dict[str, Any]) -> None:
    licences = {component["name"]: component.get("licenses") for component in bill["components"]}
    assert licences["bentoml"]
    assert licences["numpy"]
    named = [name for name, licence in licences.items() if licence]
    python = [component for component in bill["components"] if component.get("purl", "").startswith("pkg:pypi/")]
    assert len(named) > 0.8 * len(python)


def test_it_is_about_the_image(bill: dict[str, Any]) -> None:
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    image = bill["metadata"]["component"]
    assert (image["type"], image["name"], image["version"]) == ("container", "tandem:1.2.3", "1.2.3")
    assert {"name": "org.opencontainers.image.revision", "value": "abc"} in bill["metadata"]["properties"]


def test_references_are_unique(bill: dict[str, Any]) -> None:
    references = [component["bom-ref"] for component in bill["components"]]
    assert len(references) == len(set(references))


def test_packages_of_the_system_are_in_it() -> None:
    package = {"package": "libstdc++6", "version": "1:2+b1", "architecture": "amd64", "maintainer": "Debian"}
    inventory = {"system": {"ID": "debian", "VERSION_ID": "12"}, "packages": [], "system_packages": [package]}
    system, library = bill_of_materials("x", LABELS, inventory)["components"]
    assert (system["type"], system["name"], system["version"]) == ("operating-system", "debian", "12")
    assert library["purl"] == "pkg:deb/debian/libstdc%2B%2B6@1%3A2%2Bb1?arch=amd64"
