"""Renders a Kustomize folder without Kustomize: what the folders in `deploy/kubernetes` use of it, and nothing else.

A field that is not known here is an error, so that none is passed over. Where `kubectl` is, a test holds this to what it renders.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Object = dict[str, Any]

_MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
}
"""Lists whose items a strategic merge matches by a key, as Kubernetes' API says; any other list is replaced."""
_CLUSTER_WIDE = {"Namespace"}
_REPLACED = {"0": "g", "1": "h", "3": "k", "a": "m", "e": "t"}
_KNOWN = {
    "apiVersion", "kind", "namespace", "resources", "images", "replicas", "patches", "configMapGenerator", "secretGenerator",
}  # fmt: skip


def render(folder: Path) -> list[Object]:
    """The objects that `kubectl kustomize folder` prints, in the order in which they are named."""
    objects = _accumulate(folder)
    renamed = {}
    for one in objects:
        if one.pop("_hashed", False):
            name = one["metadata"]["name"]
            renamed[one["kind"], name] = one["metadata"]["name"] = f"{name}-{_hash(one)}"
    for one in objects:
        _follow(one, renamed)
    return objects


def _accumulate(folder: Path) -> list[Object]:
    wanted = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    unknown = set(wanted) - _KNOWN
    assert not unknown, f"{folder} uses what is not rendered here: {unknown}"
    objects: list[Object] = []
    for resource in wanted.get("resources", ()):
        path = folder / resource
        objects += _accumulate(path) if path.is_dir() else load(path)
    for kind, generators in (("ConfigMap", "configMapGenerator"), ("Secret", "secretGenerator")):
        for generator in wanted.get(generators, ()):
            _generate(objects, folder, kind, generator)
    for patch in wanted.get("patches", ()):
        assert set(patch) == {"path"}
        (change,) = load(folder / patch["path"])
        target = _find(objects, change["kind"], change["metadata"]["name"])
        target |= _merged(target, change)
    for one in objects:
        if one["kind"] not in _CLUSTER_WIDE:
            one["metadata"]["namespace"] = wanted["namespace"]
    _set_images(objects, {image["name"]: f"{image['newName']}:{image['newTag']}" for image in wanted.get("images", ())})
    for replicas in wanted.get("replicas", ()):
        _find(objects, "Deployment", replicas["name"])["spec"]["replicas"] = replicas["count"]
    return objects


def _set_images(objects: list[Object], images: dict[str, str]) -> None:
    for container in (container for one in objects for container in containers(one)):
        container["image"] = images.get(container["image"], container["image"])


def load(path: Path) -> list[Object]:
    """The objects in a file; none shares a part with another, whatever its anchors."""
    return [json.loads(json.dumps(one)) for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]


def containers(one: Object) -> list[Object]:
    """Of a Deployment; none of anything else."""
    found: list[Object] = one["spec"]["template"]["spec"]["containers"] if one["kind"] == "Deployment" else []
    return found


def _generate(objects: list[Object], folder: Path, kind: str, generator: Object) -> None:
    data: dict[str, str] = dict(literal.split("=", 1) for literal in generator.get("literals", ()))
    data |= {(folder / file).name: (folder / file).read_text(encoding="utf-8") for file in generator.get("files", ())}
    if kind == "Secret":
        data = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
    if generator.get("behavior") == "merge":
        _find(objects, kind, generator["name"])["data"].update(data)
        return
    made: Object = {"apiVersion": "v1", "kind": kind, "metadata": {"name": generator["name"]}, "data": data}
    if kind == "Secret":
        made["type"] = "Opaque"
    made["_hashed"] = not generator.get("options", {}).get("disableNameSuffixHash")
    objects.append(made)


def _find(objects: list[Object], kind: str, name: str) -> Object:
    (found,) = [one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def _merged(old: Any, change: Any, name: str = "") -> Any:
    """Kubernetes' strategic merge patch: mappings by key, some lists by their items' key; null removes."""
    if isinstance(old, dict) and isinstance(change, dict):
        both = {key: _merged(old.get(key), value, key) for key, value in change.items() if value is not None}
        return {key: value for key, value in old.items() if key not in change} | both
    if isinstance(old, list) and isinstance(change, list) and name in _MERGE_KEYS:
        key = _MERGE_KEYS[name]
        changes = {item[key]: item for item in change}
        kept = [_merged(item, changes.pop(item[key], {}), "") for item in old]
        return kept + list(changes.values())
    return copy.deepcopy(change)


def _hash(one: Object) -> str:
    """What Kustomize puts after the name of a ConfigMap, so that a changed one is another one."""
    content = {"data": one["data"], "kind": one["kind"], "name": ""}
    text = json.dumps(content, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return "".join(_REPLACED.get(digit, digit) for digit in hashlib.sha256(text.encode()).hexdigest()[:10])


def _follow(one: Object, renamed: dict[tuple[str, str], str]) -> None:
    for reference in (reference for container in containers(one) for reference in _references(container)):
        reference["name"] = renamed.get(("ConfigMap", reference["name"]), reference["name"])


def _references(container: Object) -> Iterator[Object]:
    for source in container.get("envFrom", ()):
        yield source["configMapRef"]
