"""The gateway, the Classifier and the LLM as three servers with a token between them: what clients see is the same."""

from __future__ import annotations

import os
import pickle
import secrets
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from services.classifier.routes import MODELS_PATH, PREDICT_PATH
from services.runtime import STATUS_PATH
from tests.e2e.rows import CLASSIFY, IRIS
from tests.e2e.server import PROJECT, Server

# The checks of the whole bundle, run here against the three of them.
from tests.e2e.test_classical import (  # noqa: F401
    specs,
    test_bentoml_client_calls_the_typed_methods,
    test_classify_answers_fishers_first_flower,
    test_concurrent_rows_get_their_own_answers,
    test_every_model_answers_0_1_and_10000_rows,
    test_explanations_add_up_for_every_model,
)
from tests.e2e.test_oip import (  # noqa: F401
    test_a_stream_goes_on_after_a_bad_request,
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
    test_errors_have_openais_shape,
    test_models_can_be_listed_and_retrieved,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHAT = {"model": "tandem-mini", "messages": [{"role": "user", "content": "What is Tandem?"}], "max_tokens": 20}
PROBES = ("/livez", "/healthz", "/readyz")


class Roles:
    """The three of them, each a server of its own on this machine."""

    def __init__(self, home: Path, folder: Path) -> None:
        self._home = home
        self._folder = folder
        self._token = folder / "token"
        self._token.write_text(secrets.token_hex(32))
        self.running: list[Server] = []
        self.classifier = self.start("classifier")
        self.llm = self.start("llm")
        self.gateway = self.start("gateway")
        other = folder / "another token"
        other.write_text(secrets.token_hex(32))
        self.stranger = self.start("gateway", token=other)
        """A gateway that has another token."""

    @property
    def bearer(self) -> dict[str, str]:
        """What shows the token."""
        return {"authorization": f"Bearer {self._token.read_text()}"}

    def start(self, role: str, *, port: int = 0, token: Path | None = None) -> Server:
        env = {"TANDEM_HOP__TOKEN_FILE": str(token or self._token)}
        if role == "gateway":
            env["TANDEM_GATEWAY__CLASSIFIER_URL"] = self.classifier.url
            env["TANDEM_GATEWAY__LLM_URL"] = self.llm.url
        log = self._folder / f"{role}-{len(self.running)}.log"
        server = Server("", PROJECT, self._home, log, env, role=role, port=port)
        self.running.append(server)
        return server

    def stop(self) -> None:
        for server in reversed(self.running):
            server.stop()


@pytest.fixture(scope="module")
def roles(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roles]:
    own_home = tmp_path_factory.mktemp("home")
    (own_home / "models").symlink_to(home / "models")
    started = Roles(own_home, tmp_path_factory.mktemp("roles"))
    try:
        started.gateway.wait_ready()
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def server(roles: Roles) -> Server:
    """What clients reach."""
    return roles.gateway


def status(server: Server, path: str, **headers: str) -> int:
    return server.http.get(path, headers=headers).status_code


def test_probes_need_no_token_and_say_nothing(roles: Roles) -> None:
    for server in (roles.classifier, roles.llm):
        for path in PROBES:
            answer = server.http.get(path)
            assert (answer.status_code, answer.content.strip()) == (200, b"")


def test_nothing_else_is_answered_without_the_token(roles: Roles) -> None:
    wrong = {"authorization": f"Bearer {secrets.token_hex(32)}"}
    paths = {
        roles.classifier: (STATUS_PATH, PREDICT_PATH, MODELS_PATH, "/iris", "/schema.json", "/docs.json", "/", "/none"),
        roles.llm: (STATUS_PATH, "/v1/models", "/v1/chat/completions", "/metrics", "/health", "/pause", "/docs", "/"),
    }
    for server, some in paths.items():
        for path in some:
            for headers in ({}, wrong):
                for answer in (server.http.get(path, headers=headers), server.http.post(path, headers=headers)):
                    assert answer.status_code == 401, path
                    assert "Authorization: Bearer" in answer.text
        assert status(server, STATUS_PATH, **roles.bearer) == 200
    assert b"vllm:" in roles.llm.http.get("/metrics", headers=roles.bearer).content


class Opens:
    """Unpickled, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._folder),)


def test_no_pickle_is_opened_even_for_who_has_the_token(roles: Roles, tmp_path: Path) -> None:
    rows = np.array([list(IRIS.values())], np.float32)
    json = roles.classifier.http.post("/iris", headers=roles.bearer, json={"rows": rows.tolist()})
    assert json.status_code == 200
    for kind in ("application/vnd.bentoml+pickle", "Application/Vnd.BentoML+Pickle; charset=utf-8"):
        headers = {**roles.bearer, "content-type": kind}
        answer = roles.classifier.http.post("/iris", headers=headers, content=pickle.dumps(Opens(tmp_path / "open")))
        assert answer.status_code == 400
    assert not (tmp_path / "open").exists()


def test_a_gateway_with_another_token_says_so_and_serves_nothing(roles: Roles) -> None:
    stranger = roles.stranger
    found = stranger.wait_for(lambda: stranger.get_json("/readyz"), 60)
    assert found["ready"] is False
    for dependency in ("classifier", "llm"):
        assert "refuses the gateway's token" in found["dependencies"][dependency]["reason"]
    assert stranger.http.post("/classify", json=CLASSIFY).status_code == 503
    assert stranger.http.post("/v1/chat/completions", json=CHAT).status_code == 503


def test_a_classifier_that_is_lost_is_answered_for_and_found_again(roles: Roles) -> None:
    gateway = roles.gateway
    gateway.wait_ready()
    roles.classifier.kill()
    answer = gateway.http.post("/classify", json=CLASSIFY)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    ready = gateway.get_json("/readyz")
    assert ready["dependencies"]["classifier"]["state"] == "down"
    assert ready["dependencies"]["llm"]["state"] == "ready"
    assert gateway.http.post("/v1/chat/completions", json=CHAT).status_code == 200
    roles.classifier = roles.start("classifier", port=roles.classifier.port)
    gateway.wait_ready(120)
    assert gateway.http.post("/classify", json=CLASSIFY).json()["predictions"][0]["label"] == "setosa"
    assert httpx.get(f"{gateway.url}/v2/models/digits/ready").status_code == 200


def test_a_role_stops_in_good_order(roles: Roles) -> None:
    """Runs last in this module: it stops them."""
    for server in (roles.gateway, roles.stranger, roles.classifier, roles.llm):
        server.terminate()
    for server in (roles.gateway, roles.classifier, roles.llm):
        assert server.wait_stopped() == 0
        assert "Traceback" not in server.log.read_text(errors="replace")
