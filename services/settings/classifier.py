"""The classical models and their service."""

from __future__ import annotations

from pydantic import Field

from services.settings.section import Section


class ClassifierSettings(Section):
    """The classical models' service."""

    workers: int = Field(1, ge=1, description="Classifier processes.")
    threads: int = Field(1, ge=1, description="Threads that torch, XGBoost and ONNX Runtime may use in each process.")
    max_batch_size: int = Field(
        1024, ge=1, description="Most rows in one batch of the BentoML APIs (`batchable=True`)."
    )


class ModelsSettings(Section):
    """Which of the stored models and versions are served."""

    pinned: dict[str, str] = Field(
        default_factory=dict,
        description="Version that a model's bare name stands for, by model name; default: its newest version.",
    )
    load_timeout: float = Field(
        120.0, gt=0, description="Seconds that every Classifier process may take to load a model at run time."
    )
