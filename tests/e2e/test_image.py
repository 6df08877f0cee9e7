"""The OCI image, as others will run it: what is in it, and how it serves, refuses, dies and stops.

Each container is read-only but for /tmp, holds no capability, and runs as a user that the image does not know.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from openai import OpenAI
from tritonclient import grpc as triton

from tests.e2e.container import LOCKED, Container, podman
from tests.e2e.rows import CLASSIFY, IRIS
from tests.e2e.server import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(900)  # compressing gigabytes, or starting two servers, on a busy machine
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "What is Tandem?"}], "max_tokens": 40}


@pytest.fixture(scope="module")
def secret(image: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A key, made by the image itself, and the file that it is in."""
    folder = tmp_path_factory.mktemp("keys")
    folder.chmod(0o777)
    to_file = ["--volume", f"{folder}:/keys", "--env", "TANDEM_KEYS__FILE=/keys/tandem-keys.json"]
    command = ["keys", "create", "tests", "--scope", "admin"]
    made = podman("run", "--rm", *LOCKED, "--user", "123456:123456", *to_file, image, *command)
    return next(word for word in made.split() if word.startswith("tdm_")), folder / "tandem-keys.json"


@pytest.fixture(scope="module")
def served(image: str, secret: tuple[str, Path]) -> Iterator[Container]:
    """Everything, on the models of the image, for those who have the key."""
    key, file = secret
    container = Container(image, options=("--volume", f"{file.parent}:/run/secrets:ro"))
    container.http.headers["authorization"] = f"Bearer {key}"
    try:
        container.wait_ready()
        yield container
    finally:
        container.remove()


@pytest.fixture(scope="module")
def filesystem(image: str) -> Iterator[Path]:
    """The image's files, as this machine sees them."""
    try:
        yield Path(podman("image", "mount", image))
    finally:
        podman("image", "unmount", image)


def test_it_is_small(image: str, tmp_path: Path) -> None:
    assert json.loads(podman("image", "inspect", image))[0]["Size"] <= 2.4e9
    podman("push", "--compress", image, f"dir:{tmp_path}")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 800e6


def test_it_says_what_it_is(image: str) -> None:
    about = json.loads(podman("image", "inspect", image))[0]
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in about["Labels"].items()}
    assert labels["version"] == "0.1.0"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["source"].startswith("https://")
    assert len(labels["revision"].removesuffix("-changed")) == 40
    assert about["Config"]["User"] == "10001:0"
    assert about["Config"]["Entrypoint"] == ["python", "-m", "scripts.container"]
    assert set(about["Config"]["ExposedPorts"]) == {"3000/tcp", "3001/tcp"}


def test_its_bill_of_materials_has_what_is_installed(image: str, filesystem: Path) -> None:
    name = image.rpartition("/")[2].partition(":")[0]
    bill = json.loads((PROJECT / ".tandem" / "image" / f"{name}-0.1.0.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    found = {component["purl"].split("?")[0] for component in bill["components"] if "purl" in component}
    pins = [
        line.split(" ")[0] for line in (PROJECT / "requirements" / "cpu.txt").read_text().splitlines() if "==" in line
    ]
    assert {"bentoml==1.4.39", "torch==2.13.0+cpu"} <= set(pins)
    names = {where.removeprefix("pkg:pypi/").partition("@")[0] for where in found if where.startswith("pkg:pypi/")}
    wanted = {pin.partition("==")[0] for pin in pins} - {"six", "async-timeout"}  # for other Pythons
    assert wanted <= names
    assert any(where.startswith("pkg:deb/debian/libc6@") for where in found)


def test_nothing_is_in_it_that_only_the_build_needed(filesystem: Path) -> None:
    programs = {
        path.name
        for folder in ("usr/bin", "usr/local/bin", "app/.venv/bin")
        for path in (filesystem / folder).iterdir()
    }
    assert not programs & {"gcc", "cc", "g++", "c++", "clang", "ld", "as", "make", "strip", "git", "uv", "docker"}
    for emptied in ("var/lib/apt/lists", "var/cache/apt", "root/.cache", "run/secrets", "build", "tmp"):
        folder = filesystem / emptied
        assert not folder.exists() or not any(folder.iterdir()), emptied
    names = {path.name for path in filesystem.rglob("*") if not path.is_symlink()}
    assert not names & {".netrc", "uv.toml", "pip.conf", ".git", "install-settings"}
    assert not [name for name in names if name.endswith(".whl")]


def test_no_credential_is_in_it(image: str, filesystem: Path, canary: str) -> None:
    """The build was given `canary` as the password of an index."""
    found = subprocess.run(["grep", "-rlF", canary, str(filesystem)], capture_output=True, text=True, check=False)
    assert found.stdout == ""
    assert canary not in podman("image", "inspect", image) + podman("image", "history", "--no-trunc", image)


def test_it_runs_as_nobody_and_may_do_nothing_else(served: Container) -> None:
    status = dict(line.split(":\t", 1) for line in served.run("cat", "/proc/1/status").splitlines())
    assert status["Uid"].split() == ["123456"] * 4
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    with pytest.raises(AssertionError, match="Read-only file system"):
        served.run("touch", "/models/mine")


def test_it_serves_everything(served: Container) -> None:
    assert served.http.post("/classify", json=CLASSIFY).json()["predictions"][0]["label"] == "setosa"
    assert served.http.post("/explain", json={"model": "iris", "row": IRIS}).json()["explanation"]
    key = str(served.http.headers["authorization"]).removeprefix("Bearer ")
    client = OpenAI(base_url=f"{served.url}/v1", api_key=key)
    choice = client.chat.completions.create(model="tandem-mini", logprobs=True, top_logprobs=2, **CHAT).choices[0]
    assert choice.message.content
    assert choice.logprobs
    index = {model["name"] for model in served.http.post("/v2/repository/index", json={}).json()}
    assert {"iris", "digits", "fraud"} <= index
    with triton.InferenceServerClient(f"127.0.0.1:{served.grpc_port}") as grpc:
        assert grpc.is_server_ready()


def test_it_asks_for_the_key(served: Container) -> None:
    assert httpx.post(f"{served.url}/classify", json=CLASSIFY).status_code == 401


def test_it_refuses_to_serve_strangers_and_says_how_to_go_on(image: str) -> None:
    container = Container(image)
    try:
        assert container.wait_ended() == 1
        said = container.log()
    finally:
        container.remove()
    assert "keys create" in said
    assert "TANDEM_AUTH=off" in said
    assert "Traceback" not in said


def test_a_wrong_setting_is_a_sentence(image: str) -> None:
    container = Container(image, {"TANDEM_AUTH": "off", "TANDEM_GATEWAY__WORKERS": "none"})
    try:
        assert container.wait_ended() == 1
        assert "TANDEM_GATEWAY__WORKERS" in container.log()
        assert "Traceback" not in container.log()
    finally:
        container.remove()


def test_sigterm_finishes_what_was_accepted(served: Container) -> None:
    """The last to use `served`: it stops it."""
    lines: list[str] = []
    begun = threading.Event()

    def stream() -> None:
        body = {**CHAT, "model": "tandem-mini", "stream": True, "ignore_eos": True, "max_tokens": 400}
        with served.http.stream("POST", "/v1/chat/completions", json=body) as response:
            for line in response.iter_lines():
                lines.append(line)
                begun.set()

    streaming = threading.Thread(target=stream)
    streaming.start()
    assert begun.wait(60)
    assert served.stop() == 0
    streaming.join(10)
    assert "data: [DONE]" in lines
    assert "Traceback" not in served.log()


def test_volumes_give_models_and_a_dead_service_ends_the_container(image: str, home: Path, tmp_path: Path) -> None:
    store, llm = tmp_path / "store", tmp_path / "my-llm"
    shutil.copytree(home / "models" / "iris", store / "iris")
    shutil.copytree(PROJECT / "models" / "llm" / "embedded", llm)
    container = Container(
        image,
        {"TANDEM_AUTH": "off", "TANDEM_LLM__MODEL": "/my-llm"},
        ("--volume", f"{store}:/models:ro", "--volume", f"{llm}:/my-llm:ro"),
    )
    try:
        container.wait_ready()
        models = {model["name"] for model in container.http.post("/v2/repository/index", json={}).json()}
        assert "iris" in models
        assert not models & {"digits", "fraud"}
        answer = container.http.post("/v1/chat/completions", json={**CHAT, "model": "/my-llm"})
        assert answer.json()["choices"][0]["message"]["content"]

        find = "import psutil; [p.kill() for p in psutil.process_iter() if 'Classifier' in p.cmdline()]"
        container.run("python", "-c", find)
        assert container.http.get("/readyz", timeout=10).status_code == 503
        assert container.wait_ended() == 1
        assert "The server ended by itself" in container.log()
    finally:
        container.remove()
