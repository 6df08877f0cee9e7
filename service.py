"""Composition root: `bentoml serve service:Gateway` runs the gateway and, linked to it, the Classifier and the LLM."""

from services.gateway.service import Gateway

__all__ = ["Gateway"]
