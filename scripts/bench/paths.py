"""Where the benchmark keeps things."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""Root of the repository."""

PEERS = Path(__file__).resolve().parent / "peers"
"""Server code and pinned requirements of every peer."""

WORK = ROOT / ".bench"
"""Environments, logs and request bodies; ignored by git."""

RESULTS = ROOT / "docs" / "bench"
"""JSON and charts that are committed."""

PAGE = ROOT / "docs" / "performance.md"
"""The page that says what came out, with one table that the benchmark itself writes."""
