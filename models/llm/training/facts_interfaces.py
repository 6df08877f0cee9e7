"""Facts about the ways to talk to Tandem."""

from __future__ import annotations

from models.llm.training.fact import Fact

# fmt: off
INTERFACES: tuple[Fact, ...] = (
    Fact(
        "openai",
        "The OpenAI API is at /v1/chat/completions, /v1/completions, /v1/responses and /v1/models. The `openai` client works unchanged.",
        "/v1/chat/completions",
        tasks=(
            "chat with the LLM", "use the OpenAI client", "send a chat message", "call the language model",
            "use the openai library", "list the OpenAI models", "get a completion",
        ),
        things=(
            "the OpenAI API", "the chat endpoint", "the OpenAI base URL", "the completions endpoint",
            "the path for chat", "the OpenAI routes", "the URL for the OpenAI client",
            "the address for chat completions",
        ),
        questions=(
            "Which OpenAI endpoints are there?", "Is Tandem compatible with OpenAI?", "Does the openai package work?",
            "Where is the chat API?", "Is there a responses API?", "What are the OpenAI compatible routes?",
            "Which base URL does the openai client need?", "How do I call chat completions?",
            "Can I keep my OpenAI code?", "Which path is for chat completions?", "Does it speak the OpenAI API?",
            "How can I talk to the LLM over HTTP?", "Does the OpenAI Python library work with Tandem?",
        ),
    ),
    Fact(
        "classify",
        'Send `POST /classify` with a model and rows, such as {"model": "iris", "rows": [...]}. You get a label and probabilities for each row.',
        "/classify",
        tasks=(
            "classify a row", "get a prediction", "call the iris model", "classify flowers",
            "predict fraud for a payment", "send rows to a classifier", "predict with a model",
        ),
        things=(
            "the classify endpoint", "the prediction endpoint", "POST /classify", "the body of a classify request",
            "the classify request", "the route for predictions", "the request for a prediction",
        ),
        questions=(
            "Which endpoint classifies rows?", "Where do I send rows?", "What does /classify return?",
            "Which path gives predictions?", "How do I classify rows over HTTP?", "Where do rows go?",
            "How do I get the label of a row?", "Which request gives me a prediction?", "Where are rows classified?",
            "How do I ask for the class of a flower?",
            "Which URL is for predictions?",
        ),
    ),
    Fact(
        "explain",
        "Send `POST /explain` with a model and one row. You get the prediction, its attributions and an explanation in words.",
        "/explain",
        tasks=(
            "explain a prediction", "get an explanation", "find out why the model decided so",
            "see why a payment is fraud",
        ),
        things=(
            "the explain endpoint", "POST /explain", "the answer of /explain", "the endpoint for explanations",
            "the explain request", "the route for explanations",
        ),
        questions=(
            "Which endpoint explains a prediction?", "What does /explain return?",
            "Can Tandem explain its predictions?", "Where do I get a prediction with an explanation?",
            "Which route gives an explanation?", "How do I ask why?", "What comes back from the explain route?",
            "How do I get a prediction and its explanation?", "Which request explains a row?",
            "Can I see the reasons for a prediction?",
        ),
    ),
    Fact(
        "v2",
        "The Open Inference Protocol v2 is served as REST under /v2 and as gRPC `inference.GRPCInferenceService`. `tritonclient` works unchanged.",
        "/v2",
        tasks=(
            "use tritonclient", "use the v2 protocol", "call Tandem over gRPC", "use the Open Inference Protocol",
            "send binary tensors",
        ),
        things=(
            "the v2 API", "the gRPC service", "the Open Inference Protocol", "the KServe protocol", "the v2 endpoint",
            "the gRPC API", "the gRPC protocol", "v2",
        ),
        questions=(
            "Does Tandem speak gRPC?", "Does the Triton client work?", "Is KServe v2 supported?",
            "What is the name of the gRPC service?", "Is gRPC available?", "Can I use the Triton client?",
            "Does tritonclient work with Tandem?", "Does it support the Open Inference Protocol?",
            "Is there a KServe API?", "Which protocols does Tandem speak besides OpenAI?", "Does Tandem have gRPC?",
            "Where are the v2 routes?",
        ),
    ),
    Fact(
        "clients",
        "The `openai`, `tritonclient` and `bentoml` clients work unchanged, and so does plain HTTP.",
        "tritonclient",
        things=(
            "the client libraries", "the supported clients", "client support", "the clients that work",
        ),
        questions=(
            "Which clients can I use?", "Which client libraries work with Tandem?", "Does the BentoML client work?",
            "Is there a Python client?", "Which SDK do I need?", "What clients work with Tandem?",
            "Which Python client do I use?", "What library do I use to call Tandem?", "Which clients are supported?",
            "Do I need a special client?", "How do I call Tandem from Python?",
        ),
    ),
    Fact(
        "health",
        "/livez says that the process lives and /readyz that both dependencies can answer. /health gives the details.",
        "/readyz",
        tasks=(
            "check the health", "see whether Tandem is ready", "set up a readiness probe", "write a liveness probe",
            "find out whether the server is up",
        ),
        things=(
            "the health endpoint", "/readyz", "/livez", "the readiness probe", "the liveness probe", "/health",
            "the readiness check", "the health routes",
        ),
        questions=(
            "Is the server ready?", "Which endpoint says that it is ready?", "Which health checks are there?",
            "How does Kubernetes know that it is ready?", "Which path is for readiness?",
            "Which path is for liveness?", "How can I check that the server is ready?", "What should the probe call?",
            "Is there a health check?", "How do I know that it is up?",
        ),
    ),
    Fact(
        "metrics",
        "Prometheus metrics are at /metrics, and each request writes one JSON log line.",
        "/metrics",
        tasks=(
            "monitor Tandem", "scrape the metrics", "watch the server with Prometheus", "see the logs",
            "make a Grafana dashboard",
        ),
        things=(
            "the metrics endpoint", "the log format", "/metrics", "the logging", "the metrics", "the logs",
            "the Prometheus endpoint",
        ),
        questions=(
            "Where are the metrics?", "Does it work with Prometheus?", "What does Tandem log?", "Where are the logs?",
            "Which path does Prometheus scrape?", "Does Tandem export metrics?", "Are there metrics?",
            "Are requests logged?", "How do I monitor it?", "Where can I see metrics and logs?",
            "What does the log look like?",
        ),
    ),
    Fact(
        "streaming",
        "Yes: set `stream` to true in a chat completion and the text comes chunk by chunk, as in OpenAI's API.",
        "`stream`",
        tasks=(
            "stream the answer", "get tokens as they come", "use streaming", "stream a chat",
        ),
        things=(
            "streaming", "the streaming option", "streamed answers", "the stream option",
        ),
        questions=(
            "Does Tandem stream?", "Can answers be streamed?", "Does it support server-sent events?",
            "Is streaming supported?", "How is a stream turned on?", "Can I stream tokens?",
            "Can I get the text while it is written?", "How do I switch streaming on?",
            "Do answers come token by token?", "Can chat completions be streamed?",
        ),
    ),
    Fact(
        "structured",
        "Give `response_format` with a json_schema in a chat completion, and the answer follows the schema.",
        "`response_format`",
        tasks=(
            "get JSON from the LLM", "force JSON output", "use a JSON schema", "use structured output",
            "make the answer follow a schema",
        ),
        things=(
            "structured output", "the JSON mode", "response_format", "JSON output", "the response format",
            "json_schema",
        ),
        questions=(
            "Is there a JSON mode?", "Does Tandem support json_schema?", "Can the LLM answer in JSON?",
            "How do I make the LLM answer in JSON?", "Can the answer follow my schema?", "Can I force a schema?",
            "Is structured output supported?", "How is JSON output forced?",
            "Can the language model give valid JSON?",
        ),
    ),
    Fact(
        "extract",
        "I read the features of iris or fraud from free text and answer with JSON, null for what the text does not say.",
        "null",
        tasks=(
            "extract features from text", "turn text into features", "get features out of a sentence",
        ),
        things=(
            "feature extraction", "the extract task", "extraction", "reading features from text",
        ),
        questions=(
            "Can you read features from text?", "Which features can you extract?",
            "Can you pull numbers out of a text?", "What happens when the text does not give a feature?",
            "Can you extract features?", "Can you read a text and give me the features?",
            "How do you extract features from text?", "Can you turn a sentence into JSON features?",
            "Do you read measurements from text?", "What do you do with missing features?",
        ),
    ),
)
# fmt: on
