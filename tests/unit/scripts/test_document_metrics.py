from __future__ import annotations

from scripts.document_metrics import PAGE, page
from services.telemetry.definitions import ALL


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


def test_every_metric_has_a_row() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    assert all(any(f"| `{one.shown}` | {one.kind} |" in row for row in rows) for one in ALL)
