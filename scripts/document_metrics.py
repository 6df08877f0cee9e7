"""Writes docs/metrics.md from the metrics' own definitions and the alerts: `python -m scripts.document_metrics` (`make docs`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from services.telemetry.definitions import ALL

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "metrics.md"
_RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"

_INTRODUCTION = """\
# Metrics and alerts

`GET /metrics`, in Prometheus' text format. This page is written by `make docs` from `services/telemetry/definitions.py` and
`deploy/prometheus/rules.yaml`, and a test keeps them equal.

```yaml
scrape_configs:
  - job_name: tandem
    authorization:
      credentials_file: /run/secrets/metrics-key   # a key of scope admin; without keys, leave this out
    static_configs:
      - targets: ["127.0.0.1:3000"]
```

- **Whichever process answers, it answers for all**: every gateway worker, the Classifier's and the LLM's processes, and vLLM, whose own metrics
  (`vllm:...`) are part of the answer under their own names. They all count into one folder, so nobody has to be asked: while the LLM is down or
  busy, `/metrics` is as quick as ever and what was counted stays. `tandem_dependency_state` says how each dependency is.
- A Classifier or an LLM that [runs alone](roles.md) has a `/metrics` of its own, with the token of the hop; a gateway then tells what
  it counts itself and what it hears of them: states, models, GPUs.
- Counts reach `/metrics` five times a second; a process that is killed takes the last fifth of a second with it.
- What OpenTelemetry's conventions for generative AI name (status: in development) has that name: `gen_ai.server.time_to_first_token` in seconds is
  `gen_ai_server_time_to_first_token_seconds`. It is measured in the gateway, so that queueing and the way count. Tokens are what vLLM says it used, for
  whole answers and streams, over `/v1`, `/explain` and gRPC alike; of an answer that is cut only `vllm:generation_tokens_total` knows.
- Label values are bounded: routes are templates, models those that are served, reasons the kinds of `services/errors.py`.
- Tokens a second: `job_model:gen_ai_output_tokens:rate1m`, which the rules record.
"""

_DASHBOARD = """\
## Dashboard

`deploy/grafana/dashboard.json`: traffic, latency, batching, language model, limits and rejections, processes, GPUs. Import it, or let
`deploy/compose.yaml` provision it; data source and jobs are chosen at its top. Tests hold every query in it and in the rules to metrics and labels that
exist, in the definitions and in what a real server tells a real Prometheus.
"""

_ALERTS = """\
## Alerts

`deploy/prometheus/rules.yaml`, each with a scenario that `promtool test rules` runs in `tests/unit/deploy/`. The objective is 99.9 % of
requests without a 5xx over thirty days; the two alerts on its budget look at a long and a short window each, so that they come
soon and go soon.
"""


def page() -> str:
    """The whole page, as Markdown."""
    metrics = [
        (f"`{one.shown}`", one.kind, ", ".join(f"`{label}`" for label in one.labels), one.meaning) for one in ALL
    ]
    read = yaml.safe_load(_RULES.read_text(encoding="utf-8"))
    rules: list[dict[str, Any]] = [rule for group in read["groups"] for rule in group["rules"]]
    alerts = [
        (
            f"`{rule['alert']}`",
            rule["labels"]["severity"],
            rule.get("for", "at once"),
            rule["annotations"]["description"],
        )
        for rule in rules
        if "alert" in rule
    ]
    return "\n".join(
        (
            _INTRODUCTION,
            "## Metrics\n",
            _table(("name", "type", "labels", "meaning"), metrics),
            _ALERTS,
            _table(("alert", "severity", "after", "what to look at"), alerts),
            _DASHBOARD,
        )
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def main() -> None:
    """Writes the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(f"Wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
