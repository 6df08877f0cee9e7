"""Where the Classifier listens for the gateway: known to both sides, and to nothing else."""

from __future__ import annotations

PREDICT_PATH = "/_tandem/predict"
"""POST a frame with the tensor ``features``; answers a frame with ``probabilities``."""

ATTRIBUTE_PATH = "/_tandem/attribute"
"""POST a frame with one row; answers JSON with ``probabilities`` and ``attributions``."""
