"""What `deploy/kubernetes` comes to, and what there is to ask of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.kustomize import Object, render

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOY = Path(__file__).parents[1] / "deploy"
OVERLAYS = ("cpu-demo", "gpu")
ROLES = ("gateway", "classifier", "llm")
TOKEN = "0123456789abcdef" * 4


def with_secrets(parent: Path, keys: str = '{"version": 1, "keys": []}') -> Path:
    """A copy of the overlays in `parent`, in which the files with secrets are made, as their reader does."""
    copied = Path(shutil.copytree(DEPLOY / "kubernetes", parent / "kubernetes"))
    for overlay in OVERLAYS:
        secret = copied / "overlays" / overlay / "secret"
        secret.mkdir(exist_ok=True)
        (secret / "token").write_text(f"{TOKEN}\n", encoding="ascii")
        (secret / "tandem-keys.json").write_text(f"{keys}\n", encoding="ascii")
    return copied


class Manifests:
    """The objects of one overlay."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder / "overlays" / name
        self.objects = render(self.folder)

    def of(self, kind: str) -> list[Object]:
        """All objects of a kind."""
        return [one for one in self.objects if one["kind"] == kind]

    def get(self, kind: str, name: str) -> Object:
        """The object of that name; LookupError when there is none."""
        try:
            return next(one for one in self.of(kind) if one["metadata"]["name"] == name)
        except StopIteration:
            raise LookupError(f"{self.name} has no {kind} {name}") from None

    def deployment(self, role: str) -> Object:
        """The Deployment of a role."""
        return self.get("Deployment", f"tandem-{role}")

    def pod(self, role: str) -> Object:
        """What its pods are made from."""
        spec: Object = self.deployment(role)["spec"]["template"]["spec"]
        return spec

    def container(self, role: str) -> Object:
        """Its pods' only container."""
        (container,) = self.pod(role)["containers"]
        found: Object = container
        return found

    def environment(self, role: str) -> dict[str, str]:
        """What its container is told, less what comes from Secrets."""
        container = self.container(role)
        told: dict[str, str] = {}
        for source in container["envFrom"]:
            told |= self.get("ConfigMap", source["configMapRef"]["name"])["data"]
        return told | {one["name"]: one["value"] for one in container["env"] if "value" in one}

    def deployments_of(self, selector: Object) -> list[str]:
        """Names of the Deployments whose pods a label selector chooses."""
        return [one["metadata"]["name"] for one in self.of("Deployment") if _chooses(selector, _labels(one))]


def _labels(deployment: Object) -> dict[str, str]:
    labels: dict[str, str] = deployment["spec"]["template"]["metadata"]["labels"]
    return labels


def _chooses(selector: Object, labels: dict[str, str]) -> bool:
    wanted: dict[str, Any] = selector.get("matchLabels", {})
    expressions: list[Object] = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "In" for expression in expressions)
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        labels.get(expression["key"]) in expression["values"] for expression in expressions
    )


def tidy(one: Any, name: str = "") -> Any:
    """An object in a form that can be compared: order and line breaks that mean nothing are gone."""
    if isinstance(one, dict):
        return {key: tidy(value, key) for key, value in one.items()}
    if isinstance(one, list):
        items = [tidy(item) for item in one]
        named = name in {"containers", "env", "volumes", "volumeMounts"}
        return sorted(items, key=lambda item: str(item["name"])) if named else items
    return "".join(one.split()) if name == "token" and isinstance(one, str) else one


def probes(container: Object) -> Iterator[tuple[str, Object]]:
    """The probes of a container, with what each is for."""
    for purpose in ("startup", "readiness", "liveness"):
        yield purpose, container[f"{purpose}Probe"]
