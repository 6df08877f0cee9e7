"""What can go wrong with a stored model::

ModelError
├── ModelMissing   no such model or version in the store
└── ModelBroken    it is there but cannot be read or run
"""

from __future__ import annotations


class ModelError(Exception):
    """Base of the tree."""


class ModelMissing(ModelError):
    """There is no such model, or no such version of it."""


class ModelBroken(ModelError):
    """The stored model cannot be read or run."""
