"""Every setting of the bundle, documented by field, read once and frozen.

A value comes from, in order: the environment (prefix ``TANDEM_``, ``__`` between levels, as in
``TANDEM_LLM__MODEL``), then ``tandem.yaml`` in the working folder (or the file that ``TANDEM_CONFIG`` names),
then the default here. Nothing else in Tandem reads the environment.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from services.settings.classifier import ClassifierSettings, ModelsSettings
from services.settings.control import AdmissionSettings, KeysSettings, LimitsSettings, RedisSettings
from services.settings.drain import DrainSettings
from services.settings.gateway import BatchingSettings, GatewaySettings
from services.settings.hop import HopSettings
from services.settings.llm import LLMSettings
from services.settings.telemetry import LogsSettings, TracingSettings

Role = Literal["all", "gateway", "classifier", "llm"]


class _Sources(BaseSettings):
    """Shared source order of the tree."""

    model_config = SettingsConfigDict(
        env_prefix="TANDEM_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        config = Path(os.environ.get("TANDEM_CONFIG", "tandem.yaml"))
        return (init_settings, env_settings, YamlConfigSettingsSource(settings_cls, yaml_file=config))


class Settings(_Sources):
    """The whole tree."""

    gateway: GatewaySettings = GatewaySettings()
    batching: BatchingSettings = BatchingSettings()
    drain: DrainSettings = DrainSettings()
    keys: KeysSettings = KeysSettings()
    limits: LimitsSettings = LimitsSettings()
    admission: AdmissionSettings = AdmissionSettings()
    redis: RedisSettings = RedisSettings()
    classifier: ClassifierSettings = ClassifierSettings()
    models: ModelsSettings = ModelsSettings()
    llm: LLMSettings = LLMSettings()
    hop: HopSettings = HopSettings()
    logs: LogsSettings = LogsSettings()
    tracing: TracingSettings = TracingSettings()
    config: str | None = Field(
        None, description="Path of the YAML file with settings; default `tandem.yaml` where it exists."
    )
    auth: Literal["keys", "off"] = Field(
        "keys",
        description="`off` lets anybody in, wherever the server listens. Unset and without keys, only loopback may be bound.",
    )
    role: Role = Field(
        "all",
        description="What is started: `all` of it, or one service whose dependencies are elsewhere (`docs/roles.md`); the same as `make serve ROLE=...`.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line that is written."
    )


@cache
def load_settings() -> Settings:
    """The settings of this process, read at the first call."""
    return Settings()


def shared_metrics_folder() -> Path | None:
    """Where BentoML lets all processes of a server write their metrics; None when this process is alone."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(folder) if folder else None
