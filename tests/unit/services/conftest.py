"""Property-based tests draw the same examples everywhere, so that a run can be repeated."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("tandem", derandomize=True, deadline=None)
settings.load_profile("tandem")
