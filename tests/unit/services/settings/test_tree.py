from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel, ValidationError

from services.settings.tree import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings but those of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TANDEM_CONFIG", raising=False)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def test_environment_comes_before_the_file_and_the_file_before_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tandem.yaml").write_text("gateway: {max_rows: 5, workers: 2}\n", encoding="utf-8")
    monkeypatch.setenv("TANDEM_GATEWAY__MAX_ROWS", "7")
    settings = Settings()
    assert settings.gateway.max_rows == 7
    assert settings.gateway.workers == 2
    assert settings.gateway.connect_timeout == 2.0


def test_file_can_be_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("batching: {max_in_flight: 9}\n", encoding="utf-8")
    monkeypatch.setenv("TANDEM_CONFIG", str(other))
    assert Settings().batching.max_in_flight == 9


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("TANDEM_GATEWAY__MAX_ROWS", "0", "max_rows"),
        ("TANDEM_GATEWAY__MAX_ROWS", "many", "max_rows"),
        ("TANDEM_GATEWAY__PROBE_TIMEOUT", "2", "probe_timeout"),
        ("TANDEM_GATEWAY__MAX_ROW", "1", "max_row"),
        ("TANDEM_LLM__DTYPE", "int4", "dtype"),
        ("TANDEM_AUTH", "maybe", "auth"),
    ],
)
def test_value_or_name_that_is_wrong_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=field):
        Settings()


def test_unknown_name_in_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tandem.yaml").write_text("gateways: {}\n", encoding="utf-8")
    with pytest.raises(ValidationError, match="gateways"):
        Settings()


def test_settings_are_frozen_and_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings()
    monkeypatch.setenv("TANDEM_GATEWAY__MAX_ROWS", "7")
    assert load_settings() is settings
    with pytest.raises(ValidationError, match="frozen"):
        settings.gateway.__setattr__("max_rows", 7)
    with pytest.raises(ValidationError, match="frozen"):
        settings.__setattr__("auth", "off")


def sections(section: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield section
    for field in section.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from sections(field.annotation)


def test_every_field_is_documented_and_every_section_closed() -> None:
    for section in sections(Settings):
        assert section.__doc__
        assert section.model_config["frozen"]
        assert section.model_config["extra"] == "forbid"
        for name, field in section.model_fields.items():
            nested = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
            assert nested or field.description, f"{section.__name__}.{name}"
