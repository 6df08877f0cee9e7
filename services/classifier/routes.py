"""Where the Classifier listens for the gateway: known to both sides, and to nothing else."""

from __future__ import annotations

import msgspec

PREDICT_PATH = "/_tandem/predict"
"""POST a frame with the tensor ``features``; answers a frame with ``probabilities``."""

ATTRIBUTE_PATH = "/_tandem/attribute"
"""POST a frame with one row; answers JSON with ``probabilities`` and ``attributions``."""

INFER_PATH = "/_tandem/infer"
"""POST a frame with a tensor model's inputs; answers a frame with its outputs."""

MODELS_PATH = "/_tandem/models"
"""GET answers a `Listing` as JSON; POST a `Change` as JSON answers one once every worker has made it."""


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model to load (`load`) or to serve no more."""

    name: str
    load: bool
    version: str = ""
    """Which one; empty for the newest or pinned one to load, and for all of them to unload."""


class Generation(msgspec.Struct, frozen=True):
    """How often what is served has changed in one run of the server: the part of its status that the catalogue needs."""

    run: str
    generation: int


class Listed(msgspec.Struct, frozen=True):
    """One version that is served."""

    spec: msgspec.Raw
    """Its `ModelSpec` as JSON."""
    default: bool
    """Whether the model's bare name stands for it."""


class StoredModel(msgspec.Struct, frozen=True):
    """One version that is in the model store and not served, with the reason."""

    name: str
    version: str
    reason: str


class Listing(msgspec.Struct, frozen=True):
    """Everything that the Classifier serves and has. Within a `run` of the server a higher `generation` is newer."""

    run: str
    generation: int
    served: list[Listed]
    stored: list[StoredModel]
