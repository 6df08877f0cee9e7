"""What every part of the settings tree is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A frozen part of the tree, in which an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
