"""The classifiers that Tandem ships, by name. Importing this imports no framework."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from models.classifiers import digits, fraud, iris

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.classifiers.recipe import Recipe

RECIPES: Mapping[str, Recipe] = MappingProxyType({"iris": iris.RECIPE, "fraud": fraud.RECIPE, "digits": digits.RECIPE})
