"""What was measured, as plain data, and the medians over rounds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Load:
    """One point: so many connections, each with one request under way, of so many rows."""

    connections: int
    rows: int = 1


@dataclass(frozen=True)
class Sample:
    """One point of one server in one round. Latencies in milliseconds."""

    peer: str
    round: int
    load: Load
    per_second: float
    """Answers a second, errors included."""
    p50: float
    p90: float
    p99: float
    longest: float
    errors: int
    """Answers with status 400 and above."""
    socket_errors: int
    server_cores: float
    """CPU seconds a second of all of the server's processes."""
    client_cores: float
    other_cores: float
    """CPU seconds a second of everything else on the machine: disturbance."""
    rss_mib: float


@dataclass(frozen=True)
class Start:
    """How long a server took to its first right answer."""

    peer: str
    round: int
    seconds: float


@dataclass(frozen=True)
class Summary:
    """Medians over the rounds of one point of one server; errors are added up."""

    peer: str
    load: Load
    rounds: int
    per_second: float
    p50: float
    p99: float
    errors: int
    server_cores: float
    rss_mib: float

    @property
    def rows_per_second(self) -> float:
        """Rows a second."""
        return self.per_second * self.load.rows

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU time of all of the server's processes, a request."""
        return 1e6 * self.server_cores / self.per_second if self.per_second else 0.0


def summarise(samples: Iterable[Sample]) -> list[Summary]:
    """One summary a server and point, in the order in which they first appear."""
    groups: dict[tuple[str, Load], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.peer, sample.load), []).append(sample)
    return [_summary(peer, load, group) for (peer, load), group in groups.items()]


def _summary(peer: str, load: Load, group: Sequence[Sample]) -> Summary:
    return Summary(
        peer=peer,
        load=load,
        rounds=len(group),
        per_second=median(one.per_second for one in group),
        p50=median(one.p50 for one in group),
        p99=median(one.p99 for one in group),
        errors=sum(one.errors + one.socket_errors for one in group),
        server_cores=median(one.server_cores for one in group),
        rss_mib=median(one.rss_mib for one in group),
    )


def ratio(samples: Sequence[Sample], load: Load, over: str, under: str, figure: str = "per_second") -> float | None:
    """Median over rounds of `over`'s figure divided by `under`'s of the same round; None without common rounds."""
    found = ratios(samples, load, over, under, figure)
    return median(found) if found else None


def ratios(samples: Sequence[Sample], load: Load, over: str, under: str, figure: str = "per_second") -> list[float]:
    """`over`'s figure divided by `under`'s of the same round, for each round that has both."""
    tops = {one.round: getattr(one, figure) for one in samples if one.peer == over and one.load == load}
    bottoms = {one.round: getattr(one, figure) for one in samples if one.peer == under and one.load == load}
    return [tops[key] / bottoms[key] for key in tops if bottoms.get(key)]


def as_json(items: Iterable[Sample | Start | Summary]) -> list[dict[str, Any]]:
    """The same as JSON objects, figures rounded to what they are worth."""
    return [_rounded(asdict(item)) for item in items]


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in values.items()}
