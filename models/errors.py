"""What can go wrong with a stored model::

ModelError
├── ModelMissing   no such model or version in the store
├── ModelBroken    it is there but cannot be read or run
├── NotStored      what was to be added cannot be served as it is
└── BadInput       the model refuses an input
"""

from __future__ import annotations


class ModelError(Exception):
    """Base of the tree."""


class ModelMissing(ModelError):
    """There is no such model, or no such version of it."""


class ModelBroken(ModelError):
    """The stored model cannot be read or run."""


class NotStored(ModelError):
    """A model that was to be added to the store cannot be; the message says why and what helps."""


class BadInput(ModelError):
    """The model refuses an input, which has the right name and datatype, for its shape or content."""
