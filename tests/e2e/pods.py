"""Runs the Deployments of `deploy/kubernetes` as pods of podman's, as far as podman goes.

What podman 4 does otherwise than Kubernetes is put right here, and nothing else is changed. It mounts a Secret's values still
encoded, so they go in as a ConfigMap; gives pods the same volume for an `emptyDir` of the same name, and none in memory, so each gets a
folder; has no Services, so their names become hosts; publishes every port on this machine; and leaves probes to systemd and a
`curl` in the image, so the tests ask what probes would.
"""

from __future__ import annotations

import base64
import copy
import json
import shutil
import subprocess
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import yaml

from tests.e2e.container import podman

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.kustomize import Object
    from tests.manifests import Manifests


class Pods:
    """Pods on a network of their own."""

    def __init__(self, manifests: Manifests, image: str, folder: Path) -> None:
        """`image` runs in all of them, whatever the manifests name; files for podman go to `folder`."""
        self._manifests = manifests
        self._image = image
        self._folder = folder
        self._memory = Path(mkdtemp(prefix="tandem-pods-", dir="/dev/shm"))
        self._files: dict[str, Path] = {}
        self._network = f"tandem-{folder.name}"
        podman("network", "create", self._network)

    def start(self, role: str, hosts: Mapping[str, str]) -> str:
        """Start the pod of a role, to which `hosts` says the addresses of others by name; its own address."""
        objects = [*self._maps(), self._deployment(role, hosts)]
        self._files[role] = self._folder / f"{role}.yaml"
        self._files[role].write_text(yaml.safe_dump_all(objects), encoding="utf-8")
        podman("play", "kube", "--network", self._network, str(self._files[role]))
        infra = podman("pod", "inspect", "--format", "{{.InfraContainerID}}", f"tandem-{role}-pod-0")
        network = json.loads(podman("container", "inspect", infra))[0]["NetworkSettings"]["Networks"][self._network]
        return str(network["IPAddress"])

    def inspect(self, role: str) -> dict[str, Any]:
        """What podman knows of the container of a role."""
        found: dict[str, Any] = json.loads(podman("container", "inspect", f"tandem-{role}-pod-0-{role}"))[0]
        return found

    def run(self, role: str, *command: str) -> str:
        """What a command prints in the container of a role. Raises CalledProcessError."""
        run = ["podman", "exec", f"tandem-{role}-pod-0-{role}", *command]
        return subprocess.run(run, capture_output=True, text=True, check=True).stdout

    def log(self, role: str) -> str:
        """What it has printed."""
        logs = ["podman", "logs", f"tandem-{role}-pod-0-{role}"]
        return subprocess.run(logs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout

    def stop(self, role: str, seconds: int) -> int:
        """Ask it to stop, as Kubernetes does; its exit status."""
        podman("stop", "--time", str(seconds), f"tandem-{role}-pod-0-{role}")
        return int(podman("wait", f"tandem-{role}-pod-0-{role}"))

    def remove(self) -> None:
        """Leave nothing of them."""
        for role in self._files:
            podman("pod", "rm", "--force", "--time", "0", f"tandem-{role}-pod-0", check=False)
        maps = {one["metadata"]["name"] for one in self._maps()}
        podman("volume", "rm", "--force", *sorted(maps), check=False)
        shutil.rmtree(self._memory, ignore_errors=True)
        podman("network", "rm", "--force", self._network, check=False)

    def _maps(self) -> list[Object]:
        secrets = [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": secret["metadata"]["name"]},
                "data": {name: base64.b64decode(value).decode() for name, value in secret["data"].items()},
            }
            for secret in self._manifests.of("Secret")
        ]
        return [*self._manifests.of("ConfigMap"), *secrets]

    def _volumes(self, role: str) -> list[Object]:
        volumes = []
        for volume in self._manifests.pod(role)["volumes"]:
            if "secret" in volume:
                source = {"name": volume["secret"]["secretName"], "optional": False}
                volumes.append({"name": volume["name"], "configMap": source})
            else:
                in_memory = volume["emptyDir"].get("medium") == "Memory"
                path = (self._memory if in_memory else self._folder) / f"{role}-{volume['name']}"
                path.mkdir(exist_ok=True)
                path.chmod(0o777)
                volumes.append({"name": volume["name"], "hostPath": {"path": str(path), "type": "Directory"}})
        return volumes

    def _deployment(self, role: str, hosts: Mapping[str, str]) -> Object:
        deployment = copy.deepcopy(self._manifests.deployment(role))
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        container["image"] = self._image
        for unwanted in ("ports", "startupProbe", "readinessProbe", "livenessProbe"):
            del container[unwanted]
        pod["volumes"] = self._volumes(role)
        pod["hostAliases"] = [{"ip": address, "hostnames": [name]} for name, address in hosts.items()]
        return deployment
