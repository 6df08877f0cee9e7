"""The way between a gateway and the services it reaches over a network."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic reads the annotations
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from services.settings.section import Section

_SHORTEST = 32


class HopSettings(Section):
    """Between the gateway and a Classifier or LLM that runs elsewhere: `docs/roles.md`. Unused on one machine."""

    auth: Literal["token", "off"] = Field(
        "token",
        description="`off` lets a Classifier or LLM listen beyond loopback without a token: only where a network policy or a mesh lets nobody else reach it.",
    )
    token: SecretStr | None = Field(
        None,
        description="Secret that the gateway shows to the Classifier and the LLM, the same in all three; at least 32 characters. Better in a file.",
    )
    token_file: Path | None = Field(
        None,
        description="File with the token, as a mounted secret is, read at the start and used instead of `token`. Of several lines the first is shown and each is accepted, so that a token can be changed without a gap.",
    )
    resolve_interval: float = Field(
        2.0, gt=0, description="Seconds between two look-ups of the replicas behind a dependency's name."
    )
    connection_max_age: float = Field(
        30.0,
        gt=0,
        description="Seconds after which a connection to a dependency elsewhere is replaced, so that new replicas behind one address get their share.",
    )

    @field_validator("token")
    @classmethod
    def _is_long(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None:
            check_token(token.get_secret_value())
        return token

    def tokens(self) -> tuple[str, ...]:
        """Every token that is accepted, the one to show first; empty where none is configured.

        Raises ValueError when the file cannot be used.
        """
        if self.token_file is None:
            return (self.token.get_secret_value(),) if self.token else ()
        try:
            lines = self.token_file.read_text(encoding="ascii").split()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"The token file {self.token_file} cannot be read: {error}.") from None
        if not lines:
            raise ValueError(f"The token file {self.token_file} is empty.")
        for line in lines:
            check_token(line)
        return tuple(lines)


def check_token(token: str) -> None:
    """Raises ValueError when `token` could be guessed, or cannot travel in a header."""
    if len(token) < _SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(
            f"a token has at least {_SHORTEST} printable ASCII characters and no space; `openssl rand -hex 32` makes one"
        )
