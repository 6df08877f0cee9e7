from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.server import PROJECT, Server
from tests.otlp import Collector, collecting

if TYPE_CHECKING:
    from collections.abc import Iterator

COLLECTOR_KEY = "collectors-own-key"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def home() -> Path:
    """The BentoML home that `make test` set up, with the trained models."""
    return Path(os.environ.get("BENTOML_HOME", PROJECT / ".tandem" / "bentoml"))


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Where the bundle's spans go."""
    with collecting() as running:
        yield running


@pytest.fixture(scope="session")
def server(home: Path, collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The bundle, served from this checkout, ready. It traces what callers sample, and finds no C++ compiler."""
    env = {
        "CXX": "/nowhere/c++",
        "TANDEM_LLM__HUNG_AFTER": "6",
        "TANDEM_TRACING__ENDPOINT": collector.url,
        "TANDEM_TRACING__HEADERS": json.dumps({"api-key": COLLECTOR_KEY}),
        "TANDEM_TRACING__SAMPLE_RATIO": "0",
        "TANDEM_TRACING__EXPORT_INTERVAL": "0.2",
    }
    running = Server("service:Gateway", PROJECT, home, tmp_path_factory.mktemp("server") / "server.log", env)
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def image() -> str:
    """The name of an image of this checkout; `.ci/run` builds it with `.ci/image`."""
    name = os.environ.get("TEST_IMAGE")
    if not name:
        pytest.skip("no image to test: build one (`make image`) and name it in TEST_IMAGE")
    return name


@pytest.fixture(scope="session")
def canary() -> str:
    """The password that the image's build was given; it must be nowhere in the image."""
    password = os.environ.get("TEST_IMAGE_CANARY")
    if not password:
        pytest.skip("no password was given to the image's build: TEST_IMAGE_CANARY is not set")
    return password
