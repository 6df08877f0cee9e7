"""The image in its three roles, as containers on one network, with two Classifiers behind one name."""

from __future__ import annotations

import json
import secrets
from functools import partial
from ipaddress import ip_network
from typing import TYPE_CHECKING

import httpx
import pytest

from services.runtime import STATUS_PATH
from tests.e2e.container import Container, podman
from tests.e2e.rows import CLASSIFY

# The checks of the whole bundle, run here against the three of them.
from tests.e2e.test_classical import (  # noqa: F401
    specs,
    test_bentoml_client_calls_the_typed_methods,
    test_classify_answers_fishers_first_flower,
    test_every_model_answers_0_1_and_10000_rows,
    test_explanations_add_up_for_every_model,
)
from tests.e2e.test_oip import (  # noqa: F401
    test_every_model_answers_as_classify_does,
    test_server_and_models_are_ready,
    test_the_repository_loads_and_unloads,
    triton,
)
from tests.e2e.test_oip_llm import stub, test_the_same_text_whole_streamed_and_over_openai  # noqa: F401
from tests.e2e.test_openai import (  # noqa: F401
    client,
    model,
    test_chat_answers_the_same_whole_and_streamed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN_FILE = "/run/secrets/tandem-hop"
CHAT = {"model": "tandem-mini", "messages": [{"role": "user", "content": "What is Tandem?"}], "max_tokens": 20}
PATIENCE = 240.0


class Roles:
    """Two Classifiers, an LLM and the gateway, each in a container that others reach by its address on one network."""

    def __init__(self, image: str, folder: Path) -> None:
        self._image = image
        self.token = secrets.token_hex(32)
        self._file = folder / "token"
        self._file.write_text(self.token)
        self._file.chmod(0o644)
        self._network = f"tandem-{folder.name}"
        self._containers: list[Container] = []
        podman("network", "create", self._network)
        network = json.loads(podman("network", "inspect", self._network))[0]["subnets"][0]["subnet"]
        first, second, llm = (str(ip_network(network)[place]) for place in (11, 12, 13))
        self.classifiers = [self._start("classifier", "--ip", address) for address in (first, second)]
        self.llm = self._start("llm", "--ip", llm)
        names = (f"classifier:{first}", f"classifier:{second}", f"llm:{llm}")
        self.gateway = self._start("gateway", *(word for name in names for word in ("--add-host", name)))

    def _start(self, role: str, *options: str) -> Container:
        env = {
            "TANDEM_ROLE": role,
            "TANDEM_HOP__TOKEN_FILE": TOKEN_FILE,
            "TANDEM_AUTH": "off",  # of the gateway's clients
            "TANDEM_GATEWAY__CLASSIFIER_URL": "http://classifier:3000",
            "TANDEM_GATEWAY__LLM_URL": "http://llm:3000",
        }
        volume = ("--volume", f"{self._file}:{TOKEN_FILE}:ro")
        container = Container(self._image, env, (*volume, *options), network=self._network)
        self._containers.append(container)
        return container

    def remove(self) -> None:
        for container in self._containers:
            container.remove()
        podman("network", "rm", "--force", self._network, check=False)


@pytest.fixture(scope="module")
def roles(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roles]:
    started = Roles(image, tmp_path_factory.mktemp("roles"))
    try:
        started.gateway.wait_ready(PATIENCE)
        for classifier in started.classifiers:
            classifier.wait_for(partial(ready, classifier), PATIENCE)
        yield started
    finally:
        started.remove()


@pytest.fixture(scope="module")
def server(roles: Roles) -> Container:
    """What clients reach."""
    return roles.gateway


def ready(container: Container) -> bool:
    try:
        return container.http.get("/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_a_role_without_a_token_does_not_start(image: str) -> None:
    container = Container(image, {"TANDEM_ROLE": "classifier"})
    try:
        assert container.wait_ended() == 1
        assert "TANDEM_HOP__AUTH=off" in container.log()
    finally:
        container.remove()


def test_only_the_gateway_answers_without_the_token(roles: Roles) -> None:
    assert ready(roles.gateway)
    for container in (*roles.classifiers, roles.llm):
        assert container.http.get("/readyz").content.strip() == b""
        assert container.http.get(STATUS_PATH).status_code == 401
        assert container.http.get("/metrics").status_code == 401
        shown = {"authorization": f"Bearer {roles.token}"}
        assert container.http.get(STATUS_PATH, headers=shown).status_code == 200
    assert roles.token not in json.dumps([one.inspect("Config") for one in (*roles.classifiers, roles.llm)])


def test_classifiers_are_killed_and_come_back(roles: Roles) -> None:
    first, second = roles.classifiers
    podman("kill", "--signal", "KILL", first.id)
    assert [_predicts(roles) for _ in range(40)] == [200] * 40, "the other answers"
    assert ready(roles.gateway)
    podman("kill", "--signal", "KILL", second.id)
    answer = roles.gateway.http.post("/classify", json=CLASSIFY)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert roles.gateway.http.post("/v1/chat/completions", json=CHAT).status_code == 200
    podman("start", first.id, second.id)
    for classifier in roles.classifiers:
        classifier.wait_for(partial(ready, classifier), PATIENCE)
    roles.gateway.wait_ready(PATIENCE)
    assert [_predicts(roles) for _ in range(20)] == [200] * 20


def test_a_role_stops_in_good_order(roles: Roles) -> None:
    """Runs last in this module: it stops them."""
    containers = roles.gateway, *roles.classifiers, roles.llm
    podman("stop", "--time", "60", *(container.id for container in containers))
    for container in containers:
        assert container.wait_ended() == 0
        assert "Traceback" not in container.log()


def _predicts(roles: Roles) -> int:
    """The status of a prediction."""
    return roles.gateway.http.post("/classify", json=CLASSIFY).status_code
