"""Every metric of Tandem's own, by name, labels and meaning: what is counted elsewhere is counted under one of these.

`docs/metrics.md` is written from here. What OpenTelemetry's semantic conventions for generative AI name has that name, in
Prometheus' spelling, and the buckets that they ask for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

LATENCY_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
ROWS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
DURATION_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
FIRST_TOKEN_BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
PER_TOKEN_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
"""The conventions begin at 0.01 s, which is where a GPU ends."""
TOKENS_BUCKETS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
SPEED_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

_GENERATION = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric. A counter's name goes without the `_total` that its samples end in."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str
    buckets: tuple[float, ...] = ()
    across: Literal["livesum", "livemin"] = "livesum"
    """What a gauge of several processes is in all."""

    @property
    def shown(self) -> str:
        """The name that queries use; of a histogram, less its endings."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


REQUESTS = Definition("tandem_requests", "counter", ("route", "status"), "Requests answered. gRPC has HTTP's status.")
REQUEST_DURATION = Definition(
    "tandem_request_duration_seconds", "histogram", ("route",), "Time to the end of the answer.", LATENCY_BUCKETS
)
REQUESTS_IN_FLIGHT = Definition("tandem_requests_in_flight", "gauge", (), "Requests being answered.")
REQUEST_ERRORS = Definition(
    "tandem_request_errors",
    "counter",
    ("route", "reason"),
    "Requests refused or failed, by reason: `rate_limit_exceeded`, `overloaded`, `deadline_exceeded`, `unavailable`, "
    "`invalid_api_key`, `payload_too_large`, ... (`services/errors.py`).",
)

BATCH_ROWS = Definition("tandem_batch_rows", "histogram", ("model",), "Rows in a batch.", ROWS_BUCKETS)
BATCH_WAIT = Definition(
    "tandem_batch_wait_seconds", "histogram", ("model",), "Time the oldest row of a batch waited.", LATENCY_BUCKETS
)
BATCH_DURATION = Definition(
    "tandem_batch_duration_seconds",
    "histogram",
    ("model",),
    "Time from a batch's departure to its answer: hop and engine.",
    LATENCY_BUCKETS,
)
ENGINE_DURATION = Definition(
    "tandem_engine_duration_seconds",
    "histogram",
    ("model", "operation"),
    "Time a batch takes in the Classifier (`predict`, `infer`) or a row's attributions do (`attribute`), waiting for its "
    "turn included.",
    LATENCY_BUCKETS,
)
BATCHES_IN_FLIGHT = Definition("tandem_batches_in_flight", "gauge", ("model",), "Batches under way.")
BATCH_QUEUE_ROWS = Definition("tandem_batch_queue_rows", "gauge", ("model",), "Rows that wait for a batch.")
BATCH_QUEUE_LIMIT = Definition(
    "tandem_batch_queue_limit_rows", "gauge", ("model",), "Rows that may wait before requests get 429."
)

ADMISSION_WAIT = Definition(
    "tandem_admission_wait_seconds",
    "histogram",
    ("backend",),
    "Time until a request was let in: to the language model (`llm`), or for attributions (`attributions`).",
    LATENCY_BUCKETS,
)
ADMISSION_QUEUE = Definition(
    "tandem_admission_queue_requests", "gauge", ("backend",), "Requests that wait to be let in."
)
ADMISSION_QUEUE_LIMIT = Definition(
    "tandem_admission_queue_limit_requests", "gauge", ("backend",), "Requests that may wait before more get 429."
)
ADMISSION_IN_FLIGHT = Definition(
    "tandem_admission_in_flight_requests", "gauge", ("backend",), "Requests that were let in and are under way."
)
ADMISSION_TOKENS = Definition(
    "tandem_admission_in_flight_tokens", "gauge", ("backend",), "Tokens that those may use, estimated from above."
)

LIMITER_DECISIONS = Definition(
    "tandem_limiter_decisions",
    "counter",
    ("decision", "scope", "limit"),
    "Charges to limits: `allowed`; `refused`, by whose limit (`caller`, `caller's model`, `model`) and which (`requests`, "
    "`tokens`, `concurrent`); and while the store is down `unchecked` (let in) or `unavailable` (kept out).",
)
LIMITER_UP = Definition(
    "tandem_limiter_up", "gauge", (), "0 while the store of limits cannot be used.", across="livemin"
)

TOKEN_USAGE = Definition(
    "gen_ai_client_token_usage",
    "histogram",
    (*_GENERATION, "gen_ai_token_type"),
    "Tokens of prompts (`input`) and answers (`output`), as vLLM says it used; nothing for an answer that was cut.",
    TOKENS_BUCKETS,
)
GENERATION_DURATION = Definition(
    "gen_ai_server_request_duration_seconds",
    "histogram",
    (*_GENERATION, "error_type"),
    "Time from a request's admission to its last token, queueing included. `error_type` is empty for success, else "
    "vLLM's status, an error's code, or `cancelled`.",
    DURATION_BUCKETS,
)
TIME_TO_FIRST_TOKEN = Definition(
    "gen_ai_server_time_to_first_token_seconds",
    "histogram",
    _GENERATION,
    "Of streams: time to the first token, queueing included.",
    FIRST_TOKEN_BUCKETS,
)
TIME_PER_OUTPUT_TOKEN = Definition(
    "gen_ai_server_time_per_output_token_seconds",
    "histogram",
    _GENERATION,
    "Of streams: mean time of each token after the first.",
    PER_TOKEN_BUCKETS,
)
TIME_PER_CHUNK = Definition(
    "gen_ai_client_operation_time_per_output_chunk_seconds",
    "histogram",
    _GENERATION,
    "Of streams: inter-token latency, from one piece that arrives to the next.",
    PER_TOKEN_BUCKETS,
)
OUTPUT_SPEED = Definition(
    "tandem_output_tokens_per_second",
    "histogram",
    _GENERATION,
    "Output tokens a second of one answer, from its admission to its end.",
    SPEED_BUCKETS,
)

MODEL_CHANGES = Definition(
    "tandem_model_changes",
    "counter",
    ("change", "outcome"),
    "Models loaded or unloaded on request (`load`, `unload`), and whether that worked (`ok`, `failed`).",
)
MODEL_INFO = Definition(
    "tandem_model_info",
    "gauge",
    ("model", "version", "framework"),
    "1 for each version served; a language model's adapters count as models.",
)
BUILD_INFO = Definition(
    "tandem_build_info", "gauge", ("version", "bentoml", "vllm", "python"), "1, with the versions in use."
)
DEPENDENCY_STATE = Definition(
    "tandem_dependency_state",
    "gauge",
    ("dependency", "state"),
    "1 for the state that `classifier` and `llm` are in, as `/readyz` has it; 0 for the others.",
)

LOG_LINES_DROPPED = Definition("tandem_log_lines_dropped", "counter", (), "Access log lines that could not be written.")

_PROCESS = ("service", "worker", "process")
PROCESS_CPU = Definition(
    "tandem_process_cpu_seconds", "counter", _PROCESS, "CPU time used. `process` is `worker` or a child's own name."
)
PROCESS_MEMORY = Definition("tandem_process_resident_memory_bytes", "gauge", _PROCESS, "Memory in use.")
PROCESS_FILES = Definition("tandem_process_open_fds", "gauge", _PROCESS, "Open files and sockets.")
PROCESS_START = Definition(
    "tandem_process_start_time_seconds", "gauge", _PROCESS, "When it started, in seconds since 1970."
)

_GPU = ("gpu", "name")
GPU_MEMORY_USED = Definition("tandem_gpu_memory_used_bytes", "gauge", _GPU, "GPU memory in use, by whomever.")
GPU_MEMORY_TOTAL = Definition("tandem_gpu_memory_total_bytes", "gauge", _GPU, "GPU memory there is.")
GPU_UTILIZATION = Definition("tandem_gpu_utilization_ratio", "gauge", _GPU, "Share of time that the GPU computed.")
GPU_TEMPERATURE = Definition("tandem_gpu_temperature_celsius", "gauge", _GPU, "Temperature of the GPU.")
GPU_POWER = Definition("tandem_gpu_power_watts", "gauge", _GPU, "Power that the GPU draws.")

ALL: tuple[Definition, ...] = tuple(value for value in tuple(globals().values()) if isinstance(value, Definition))
"""In the order in which they are shown."""
