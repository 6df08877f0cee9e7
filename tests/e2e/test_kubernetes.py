"""The Deployments of `deploy/kubernetes`, run as three pods on one network and asked what probes and clients ask."""

from __future__ import annotations

import asyncio
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from services.gateway.control.keys_file import FileKeys
from tests.e2e.pods import Pods
from tests.e2e.rows import CLASSIFY, IRIS
from tests.keys import make_key
from tests.manifests import ROLES, TOKEN, Manifests, probes, with_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kustomize import Object

PATIENCE = 400.0
"""Seconds for everything to be ready; the manifests give the language model half an hour."""
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "What is Tandem?"}], "max_tokens": 20}


@dataclass(frozen=True)
class Cluster:
    """Three pods, ready."""

    manifests: Manifests
    pods: Pods
    urls: dict[str, str]
    secret: str
    """The secret of a key that may do everything."""

    def post(self, path: str, body: Object) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.secret}"}
        return httpx.post(self.urls["gateway"] + path, json=body, headers=headers, timeout=60)

    def status(self, role: str, probe: Object) -> int:
        """What a probe is answered; 0 when nobody does."""
        try:
            return httpx.get(self.urls[role] + probe["httpGet"]["path"], timeout=probe["timeoutSeconds"]).status_code
        except httpx.TransportError:
            return 0

    def wait_for(self, role: str, probe: Object) -> None:
        """Until a probe is answered yes, for as long as its container runs."""
        deadline = time.monotonic() + PATIENCE
        while self.status(role, probe) != 200:
            alive = self.pods.inspect(role)["State"]["Running"]
            if not alive or time.monotonic() > deadline:
                raise AssertionError(f"{role} {'is not ready in time' if alive else 'ended'}:\n{self.pods.log(role)}")
            time.sleep(0.25)


@pytest.fixture(scope="module")
def cluster(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("pods")
    keys = folder / "tandem-keys.json"
    secret = asyncio.run(make_key(FileKeys(keys), "tests", scopes=("admin",)))
    manifests = Manifests("cpu-demo", with_secrets(folder, keys.read_text(encoding="utf-8")))
    pods = Pods(manifests, image, folder)
    try:
        addresses = {f"tandem-{role}": pods.start(role, {}) for role in ("classifier", "llm")}
        addresses["tandem-gateway"] = pods.start("gateway", addresses)
        running = Cluster(
            manifests, pods, {role: f"http://{addresses[f'tandem-{role}']}:3000" for role in ROLES}, secret
        )
        for role in ("classifier", "llm", "gateway"):
            for _, probe in probes(manifests.container(role)):
                running.wait_for(role, probe)
        yield running
    finally:
        pods.remove()


def test_it_predicts_and_chats(cluster: Cluster) -> None:
    assert cluster.post("/classify", CLASSIFY).json()["predictions"][0]["label"] == "setosa"
    explained = cluster.post("/explain", {"model": "iris", "row": IRIS}).json()
    assert explained["prediction"]["label"] == "setosa"
    assert cluster.post("/v1/chat/completions", CHAT).json()["choices"][0]["message"]["content"]


def test_strangers_are_kept_out(cluster: Cluster) -> None:
    assert httpx.post(cluster.urls["gateway"] + "/classify", json=CLASSIFY).status_code == 401
    for role in ("classifier", "llm"):
        assert httpx.get(cluster.urls[role] + "/metrics").status_code == 401


def test_the_engines_metrics_are_those_that_it_is_scaled_by(cluster: Cluster) -> None:
    told = httpx.get(cluster.urls["llm"] + "/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert told.status_code == 200
    for name in ("vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"):
        assert f"\n{name}{{" in told.text


@pytest.mark.parametrize("role", ROLES)
def test_a_container_may_do_no_more_than_its_manifest_says(cluster: Cluster, role: str) -> None:
    wanted = cluster.manifests.pod(role)["securityContext"]
    status = dict(line.split(":\t", 1) for line in cluster.pods.run(role, "cat", "/proc/1/status").splitlines())
    assert status["Uid"].split() == [str(wanted["runAsUser"])] * 4
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    with pytest.raises(subprocess.CalledProcessError):
        cluster.pods.run(role, "touch", "/home/bentoml/anything")


def test_a_pod_that_is_asked_to_stop_ends_in_good_order(cluster: Cluster) -> None:
    grace = cluster.manifests.pod("classifier")["terminationGracePeriodSeconds"]
    assert cluster.pods.stop("classifier", grace) == 0
    probe = cluster.manifests.container("gateway")["livenessProbe"]
    assert cluster.status("gateway", probe) == 200, "the gateway lives on"
    assert cluster.post("/classify", CLASSIFY).status_code == 503
    assert cluster.post("/v1/chat/completions", CHAT).status_code == 200
