"""What may import what: the design's one direction, as rules over the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

LAYERS: tuple[tuple[str, ...], ...] = (
    ("models",),
    ("services.errors", "services.runtime", "services.settings", "services.classifier.routes", "services.channel"),
    ("services.tensors", "services.unpacking", "services.classifier.serving_state", "services.roles"),
    (
        "services.asgi",
        "services.known_head",
        "services.http_answer",
        "services.http_patience",
        "services.http_protocol",
        "services.frames",
        "services.telemetry",
        "services.bentoml_patches",
        "services.binding",
        "services.drain",
        "services.classifier.engine_runner",
        "services.gateway.rpc.wire",
    ),
    ("services.classifier.engine_shelf", "services.guard"),
    ("services.classifier", "services.llm"),
    ("services.gateway.streamed",),
    (
        "services.gateway.control.work",
        "services.gateway.control.fairness",
        "services.gateway.control.tokens",
        "services.gateway.control.metering",
        "services.gateway.control.llm_span",
        "services.gateway.control.admission",
        "services.gateway.control.keys*",
    ),
    ("services.gateway.address",),
    ("services.gateway.batching", "services.gateway.hop", "services.gateway.sse", "services.gateway.binding"),
    (
        "services.gateway.contract",
        "services.gateway.stacking",
        "services.gateway.request_ids",
        "services.gateway.head",
        "services.gateway.catalogue",
        "services.gateway.agreement",
        "services.gateway.watching",
    ),
    ("services.gateway.channel", "services.gateway.health", "services.gateway.openapi"),
    ("services.gateway.upstream",),
    ("services.gateway.replicas",),
    ("services.gateway.reach",),
    ("services.gateway.backends",),
    ("services.gateway.control.llm",),
    ("services.gateway.explaining",),
    ("services.gateway.lanes",),
    ("services.gateway.dataplane",),
    ("services.gateway.control", "services.gateway.exchange", "services.gateway.rpc.calls", "services.gateway.banner"),
    ("services.gateway.native", "services.gateway.openai", "services.gateway.oip", "services.gateway.operations"),
    ("services.gateway.tandem_v1", "services.gateway.document", "services.gateway.rpc.health"),
    ("services.gateway.rpc",),
    ("services.gateway.routing",),
    ("services.gateway.app", "services.gateway.leaving"),
    ("services.gateway.service",),
    ("service",),
)
"""From the lowest to the highest; each imports only itself and what is below. A name stands for all that it contains,
with a star for all that begin with it; the first that fits counts."""

HEAVY = ("torch", "vllm", "xgboost", "sklearn", "onnxruntime", "transformers")
ONE_ENGINE = {"services.llm.service", "services.classifier.service"}


@cache
def modules() -> dict[str, Path]:
    """Every module of the bundle by its name."""
    paths = [ROOT / "service.py", *(ROOT / "models").rglob("*.py"), *(ROOT / "services").rglob("*.py")]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in sorted(paths)
    }


@cache
def imports(module: str) -> frozenset[str]:
    """Modules that `module` imports anywhere in its source, for types as well; a package's parts by their own name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(modules()[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            for alias in node.names:
                part = f"{node.module}.{alias.name}"
                found.add(part if part in modules() else str(node.module))
    return frozenset(found)


def belongs(module: str, to: str) -> bool:
    if to.endswith("*"):
        return module.startswith(to[:-1])
    return module == to or module.startswith(to + ".")


def layer(module: str) -> int | None:
    return next((at for at, names in enumerate(LAYERS) if any(belongs(module, name) for name in names)), None)


def test_every_module_has_its_layer() -> None:
    packages = {"services", "services.gateway"}
    homeless = [module for module in modules() if layer(module) is None and module not in packages]
    assert not homeless, "say in LAYERS of this file where these belong"


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_point_downwards(module: str) -> None:
    own = layer(module)
    upwards = [name for name in imports(module) if own is not None and (layer(name) or 0) > own]
    assert not upwards


@pytest.mark.parametrize("module", sorted(name for name in modules() if belongs(name, "models")))
def test_models_know_neither_services_nor_bentoml_but_for_its_store(module: str) -> None:
    forbidden = ("services",) if module == "models.store" else ("services", "bentoml", "_bentoml_impl", "_bentoml_sdk")
    assert not [name for name in imports(module) if any(belongs(name, one) for one in forbidden)]


def test_only_the_composition_of_the_gateway_knows_the_other_services() -> None:
    knowing = {module for module in modules() if imports(module) & ONE_ENGINE}
    assert knowing == {"services.gateway.service"}


def test_protocols_do_not_know_each_other() -> None:
    packages = [f"services.gateway.{name}" for name in ("native", "openai", "oip")]
    for package in packages:
        others = [other for other in packages if other != package]
        for module in modules():
            if belongs(module, package):
                assert not [name for name in imports(module) if any(belongs(name, other) for other in others)], module


def test_only_the_settings_read_the_environment() -> None:
    assert {module for module in modules() if _reads_environment(module)} == {
        "services.settings.tree",
        "models.store",  # BENTOML_HOME is BentoML's variable, and models may not import the settings
    }


def _reads_environment(module: str) -> bool:
    """Whether it touches `os.environ` but for setting what a library reads, or asks for a variable in another way."""
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    written = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "setdefault"
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {"getenv", "getenvb", "environb"}:
            return True
        if isinstance(node, ast.Attribute) and node.attr == "environ" and id(node) not in written:
            return True
        if isinstance(node, ast.ImportFrom) and node.module == "os" and {"environ", "getenv"} & _names(node):
            return True
    return False


def _names(node: ast.ImportFrom) -> set[str]:
    return {alias.name for alias in node.names}


def loaded_by(statement: str) -> set[str]:
    """Names of the modules that a fresh Python has loaded after `statement`."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_service_loads_no_engine() -> None:
    assert not loaded_by("import service") & set(HEAVY)


def test_the_contract_of_models_is_light() -> None:
    loaded = loaded_by("import models.spec, models.attribution, models.llm.prompts")
    assert not loaded & {*HEAVY, "bentoml", "numpy", "services"}
