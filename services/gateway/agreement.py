"""What several Classifiers serve together. Each counts its own changes, and one that came later may serve other versions."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING

import msgspec

from services.classifier.routes import Generation, Listed, Listing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class _Version(msgspec.Struct, frozen=True):
    name: str
    version: str
    trained_at: datetime


_version = msgspec.json.Decoder(_Version).decode


def together(generations: Iterable[Generation]) -> Generation:
    """Another run when one of them comes or goes, and a higher generation when one of them changes what it serves."""
    newest: dict[str, int] = {}
    for one in generations:
        newest[one.run] = max(one.generation, newest.get(one.run, 0))
    return Generation("+".join(sorted(newest)), sum(newest.values()))


def merged(listings: Sequence[Listing]) -> Listing:
    """Everything that one of them serves. Where they differ in what a bare name stands for, it is the newest of those."""
    if len(listings) == 1:
        return listings[0]
    specs: dict[_Version, msgspec.Raw] = {}
    defaults: dict[str, _Version] = {}
    for listing in listings:
        for one in listing.served:
            version = _version(one.spec)
            specs.setdefault(version, one.spec)
            other = defaults.get(version.name)
            if one.default and (other is None or _age(version) > _age(other)):
                defaults[version.name] = version
    served = [Listed(spec, default=defaults.get(version.name) == version) for version, spec in specs.items()]
    keys = {(version.name, version.version) for version in specs}
    stored = {(one.name, one.version): one for listing in listings for one in listing.stored}
    run = together(Generation(listing.run, listing.generation) for listing in listings)
    return Listing(run.run, run.generation, served, [one for key, one in stored.items() if key not in keys])


def _age(version: _Version) -> tuple[datetime, str]:
    return version.trained_at, version.version
