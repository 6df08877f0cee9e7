"""`deploy/bentocloud.yaml` holds: to BentoML's own schemas, and to the services that there are."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from _bentoml_sdk.service.config import validate
from bentoml._internal.cloud.schemas.modelschemas import DeploymentStrategy
from bentoml._internal.cloud.schemas.schemasv2 import CreateDeploymentSchema
from bentoml._internal.utils.cattr import bentoml_cattr

from services.classifier.service import Classifier
from services.gateway.service import Gateway
from services.llm.service import LLM
from services.runtime import SERVICE_OPTIONS
from services.settings.tree import Settings
from tests.manifests import DEPLOY


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "bentocloud.yaml").read_text(encoding="utf-8"))
    return found


def test_bentoml_knows_every_field(config: dict[str, Any]) -> None:
    """What its schemas do not know is left out on the way through them, without a word."""
    understood = bentoml_cattr.unstructure(bentoml_cattr.structure(config, CreateDeploymentSchema))
    assert understood == config
    for service in config["services"].values():
        assert service["deployment_strategy"] in {strategy.value for strategy in DeploymentStrategy}
        validate(service["config_overrides"])


def test_each_service_scales_by_itself(config: dict[str, Any]) -> None:
    services: list[Any] = [Gateway, Classifier, LLM]
    assert set(config["services"]) == {service.name for service in services}
    for service in config["services"].values():
        assert 1 <= service["scaling"]["min_replicas"] < service["scaling"]["max_replicas"]
        assert service["config_overrides"]["traffic"]["timeout"] == SERVICE_OPTIONS["traffic"]["timeout"]


def test_the_settings_exist(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for service in config["services"].values():
        for variable in service.get("envs", ()):
            monkeypatch.setenv(variable["name"], variable["value"])
    found = Settings()
    assert found.auth == "off", "BentoCloud asks for its own tokens"
    assert config["access_authorization"] is True
    assert found.gateway.grpc_port == 0
    assert config["services"]["LLM"]["config_overrides"]["traffic"]["concurrency"] == found.llm.max_num_seqs


def test_the_bento_is_the_one_that_is_built(config: dict[str, Any]) -> None:
    bento = yaml.safe_load((DEPLOY.parent / "bentofile.yaml").read_text(encoding="utf-8"))
    assert config["name"] == bento["name"]
    assert config["bento"] == f"{bento['name']}:latest"
