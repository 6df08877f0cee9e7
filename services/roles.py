"""What each role serves and needs, for a checkout and an image alike: `docs/roles.md`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.settings.tree import Role, Settings

GATEWAY = "service:Gateway"

TARGETS: Mapping[Role, str] = {
    "all": GATEWAY,
    "gateway": GATEWAY,
    "classifier": "services.classifier.service:Classifier",
    "llm": "services.llm.service:LLM",
}
"""What `bentoml serve` is given for each role, in the project's folder or in a bento's `src`."""


def serves_gateway(role: Role) -> bool:
    """Whether clients of Tandem reach this role: it speaks gRPC as well and asks them for keys."""
    return TARGETS[role] == GATEWAY


def role_problems(settings: Settings) -> list[str]:
    """What keeps `settings.role` from being started, a sentence each."""
    missing = [name for name in ("classifier_url", "llm_url") if not getattr(settings.gateway, name)]
    problems = [
        f"The gateway alone needs the address of what it depends on: set TANDEM_GATEWAY__{name.upper()}."
        for name in (missing if settings.role == "gateway" else ())
    ]
    try:
        settings.hop.tokens()
    except ValueError as problem:
        problems.append(str(problem))
    return problems
