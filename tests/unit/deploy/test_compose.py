"""`deploy/compose.yaml` holds: to the Compose specification, to the files beside it, and to the code that it runs."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from scripts.serve import _PATIENCE
from services.gateway.control.policy import OPEN
from services.settings.tree import Settings
from tests.manifests import DEPLOY

FILES = ("compose.yaml", "compose.gpu.yaml")


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = read("compose.yaml")["services"]
    return found


@pytest.mark.parametrize("name", FILES)
def test_the_specification_knows_every_field(name: str) -> None:
    # Merged keys are YAML's affair; the specification is asked about what they come to.
    assert PyCompose.from_yaml(yaml.safe_dump(read(name))).service_names()


def test_the_specification_would_notice() -> None:
    with pytest.raises(ValueError, match="unknown"):
        PyCompose.from_yaml("services: {tandem: {image: tandem, unknown: 1}}")


@pytest.mark.parametrize("name", FILES)
def test_the_settings_exist(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = read(name)["services"]["tandem"]["environment"]
    for variable, value in told.items():
        if variable.startswith("TANDEM_"):
            monkeypatch.setenv(variable, value)
    found = Settings()
    assert found.role == "all"
    assert found.llm.device == ("gpu" if "gpu" in name else "auto")


def test_published_ports_are_those_that_are_listened_on(services: dict[str, Any]) -> None:
    assert services["tandem"]["ports"] == [
        "3000:3000",
        f"{Settings().gateway.grpc_port}:{Settings().gateway.grpc_port}",
    ]
    inside = [port for name in ("prometheus", "grafana") for port in services[name]["ports"]]
    assert all(port.startswith("127.0.0.1:") for port in inside), "they have no keys of Tandem's"


def test_the_health_check_asks_what_needs_no_key(services: dict[str, Any]) -> None:
    program = services["tandem"]["healthcheck"]["test"][-1]
    compile(program, "healthcheck", "exec")
    assert any(f"http://127.0.0.1:3000{path}'" in program for path in OPEN)


def test_a_container_has_time_to_finish_what_it_began(services: dict[str, Any]) -> None:
    drain = Settings().drain
    assert int(services["tandem"]["stop_grace_period"].removesuffix("s")) >= drain.delay + drain.timeout + _PATIENCE


def test_every_container_may_do_no_more_than_it_must(services: dict[str, Any]) -> None:
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_what_is_mounted_is_there(services: dict[str, Any]) -> None:
    whole = read("compose.yaml")
    for service in services.values():
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            if source.startswith("./") and not source.startswith("./secret/"):
                assert (DEPLOY / source).exists(), source
            elif not source.startswith("./"):
                assert source in whole["volumes"]
        assert set(service.get("secrets", ())) <= set(whole["secrets"])


def test_prometheus_asks_tandem_with_its_key(services: dict[str, Any]) -> None:
    (job,) = read("prometheus/prometheus.yaml")["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["tandem:3000"]}]
    (secret,) = services["prometheus"]["secrets"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
    (source,) = read("grafana/datasources.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"


def test_prometheus_accepts_its_configuration() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    config = DEPLOY / "prometheus" / "prometheus.yaml"
    done = subprocess.run(
        [promtool, "check", "config", "--syntax-only", config], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
