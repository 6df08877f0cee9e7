"""Facts about how Tandem behaves in service: limits, errors, keys."""

from __future__ import annotations

from models.llm.training.fact import Fact

# fmt: off
OPERATION: tuple[Fact, ...] = (
    Fact(
        "services",
        "Tandem is three services: the Gateway takes all requests, the Classifier runs the classical models and the LLM service runs vLLM.",
        "Gateway",
        things=(
            "the architecture", "the services", "the Gateway", "the Classifier service", "the structure of Tandem",
            "the three services", "the design", "the parts of Tandem",
        ),
        questions=(
            "How is Tandem built?", "Which services does Tandem have?", "How many services are there?",
            "How do the parts fit together?", "What does the gateway do?", "What is the architecture of Tandem?",
            "What are the services?", "What does Tandem consist of?", "Which parts does Tandem have?",
            "How does Tandem work inside?", "What services are there?", "What is the structure?",
            "Which component takes the requests?", "Which service runs vLLM?", "How many processes are there?",
            "What runs the classical models?", "Draw the architecture.", "Name the services.", "What is behind the gateway?",
            "Which components does the bundle have?", "How is the bundle structured?", "Who does what in Tandem?",
            "What are the components?", "Which service handles requests first?",
        ),
    ),
    Fact(
        "batching",
        "Concurrent rows for one model are coalesced into one call, and the answer to a row is the same alone and in any batch.",
        "coalesced",
        tasks=(
            "batch requests", "send many rows at once",
        ),
        things=(
            "adaptive batching", "batching", "the batcher", "the batching of rows", "how rows are batched",
        ),
        questions=(
            "Does Tandem batch requests?", "How does batching work?", "Does batching change the answers?",
            "Why is it fast with many clients?", "Are requests batched?", "Is there batching?",
            "Are rows put together in batches?", "What does adaptive batching do?",
            "How are concurrent requests handled?", "Is the answer the same in a batch?",
        ),
    ),
    Fact(
        "rows",
        "One request may hold 10,000 rows; more gets 400. TANDEM_GATEWAY__MAX_ROWS changes that.",
        "10,000",
        tasks=(
            "send more rows", "raise the row limit",
        ),
        things=(
            "the row limit", "the largest number of rows", "the maximum number of rows", "the limit on rows",
        ),
        questions=(
            "How many rows can I send?", "How many rows fit in one request?", "Is there a limit on rows?",
            "What is the most rows in a request?", "How many rows are allowed?", "How many rows may a request have?",
            "Can I send 20,000 rows?", "What is the maximum number of rows?", "Too many rows, what is the limit?",
            "How many rows at once?",
            "How large may a batch of rows be?", "What if I send too many rows?", "Is there a maximum of rows per request?",
            "How big can a classify request be?", "Can a request hold a million rows?", "What is the row limit?",
            "May I send 5,000 rows in one go?", "How many examples can I classify in one call?",
            "I have 50,000 rows, can I post them all?", "Rows per request?", "How many inputs per request?",
        ),
    ),
    Fact(
        "body",
        "A request body may have 16 MiB; a larger one gets 413. TANDEM_GATEWAY__MAX_BODY_BYTES changes that.",
        "16 MiB",
        tasks=(
            "send a larger body", "raise the body limit",
        ),
        things=(
            "the body limit", "the largest request", "error 413", "the request size limit", "the maximum body size",
            "the size limit",
        ),
        questions=(
            "How large may a request be?", "Why do I get 413?", "Is there a limit on the body size?",
            "How big can a request be?", "What is the maximum request size?", "What is the limit for the body?",
            "I get 413, why?", "Is there a size limit for requests?", "How many bytes may a body have?",
        ),
    ),
    Fact(
        "overload",
        "When a limit or queue is full Tandem answers 429 with Retry-After: wait that long and try again.",
        "429",
        tasks=(
            "handle overload", "react to 429",
        ),
        things=(
            "error 429", "a 429", "the overload answer", "Retry-After", "status 429", "too many requests",
        ),
        questions=(
            "Why do I get 429?", "What happens under overload?", "What if too many requests come?",
            "What happens when the queue is full?", "I get 429, why?", "What does 429 mean?",
            "What should I do about 429?", "What does the server do when it is overloaded?",
            "Too many requests, what now?", "What happens if I send too much at once?",
        ),
    ),
    Fact(
        "errors",
        "Malformed input gets 400, an unknown model or path 404, a full queue 429, a dependency that is down 503 and a passed deadline 504.",
        "404",
        things=(
            "the error codes", "error 404", "error 400", "the status codes", "the error codes of Tandem",
            "the status for an unknown model", "the HTTP errors",
        ),
        questions=(
            "Which errors can I get?", "Why do I get 404?", "What does 400 mean?",
            "What happens with an unknown model?", "What happens with a bad row?",
            "What status does an unknown model get?", "What error do I get for a wrong path?",
            "Which status codes are used?", "What happens if I send a bad row?", "What does status 404 mean?",
            "What does a malformed request get?",
        ),
    ),
    Fact(
        "down",
        "When the LLM is down or loading, its routes answer 503 with Retry-After; /explain still returns prediction and attributions, with explanation null.",
        "503",
        tasks=(
            "handle a dead LLM", "react to 503",
        ),
        things=(
            "error 503", "a 503", "a dead LLM", "status 503",
        ),
        questions=(
            "What happens when the LLM is down?", "Why do I get 503?", "What if the LLM is still loading?",
            "What if vLLM crashes?", "Why is the explanation null?",
            "What if the LLM service is gone?", "I get 503, why?", "What does 503 mean?",
            "Does /explain work without the LLM?", "What if the language model is not ready?",
            "What happens when vLLM is dead?",
        ),
    ),
    Fact(
        "timeout",
        "A classical prediction may take 60 seconds, then it gets 504. TANDEM_GATEWAY__REQUEST_TIMEOUT changes that.",
        "504",
        tasks=(
            "change the timeout", "set a deadline", "raise the timeout",
        ),
        things=(
            "the timeout", "error 504", "the deadline", "the time limit", "the request timeout", "status 504",
        ),
        questions=(
            "How long may a request take?", "Why do I get 504?", "When does a request time out?",
            "After how long does a request time out?", "How many seconds until a timeout?", "I get 504, why?",
            "What is the time limit of a prediction?", "How do I set the timeout?",
            "When does a prediction time out?",
        ),
    ),
    Fact(
        "keys",
        "Keys are stored hashed. Without keys Tandem binds to loopback only, unless TANDEM_AUTH=off is set.",
        "hashed",
        tasks=(
            "secure Tandem", "use API keys", "turn authentication off", "protect the server", "require a key",
            "add an API key",
        ),
        things=(
            "authentication", "the API key", "TANDEM_AUTH", "the security model", "API keys", "the access control",
            "security",
        ),
        questions=(
            "Do I need an API key?", "How are keys stored?", "Is Tandem secure?", "Who may call the server?",
            "Why does it refuse to start on 0.0.0.0?", "How do I set an API key?", "How is Tandem protected?",
            "How do I turn on keys?", "Are API keys supported?", "How do I protect it with keys?",
            "Can anybody call my server?", "Is there authentication?", "How do I secure the server?",
            "Can I switch authentication off?",
        ),
    ),
    Fact(
        "disconnect",
        "When a client disconnects, its generation stops within a second.",
        "within a second",
        tasks=(
            "cancel a generation", "stop an answer", "abort a request",
        ),
        things=(
            "a client that disconnects", "what happens on disconnect",
        ),
        questions=(
            "What happens when a client disconnects?", "Does generation stop when I close the connection?",
            "What if I hang up?", "What if the client goes away?", "Does it stop when the client disconnects?",
            "Is generation cancelled when I disconnect?", "How fast does generation stop after a disconnect?",
            "What happens if the connection is closed?", "Can I cancel an answer?",
        ),
    ),
    Fact(
        "docs",
        "The README shows the main path; docs/ has a page for each task, such as docs/configuration.md, docs/llm.md and docs/architecture.md.",
        "docs/",
        tasks=(
            "learn more about Tandem", "find the documentation", "read more",
        ),
        things=(
            "the documentation", "the manual", "the README", "the documentation pages",
        ),
        questions=(
            "Where is the documentation?", "Is there a manual?", "Are there docs?", "Where are the docs?",
            "Where can I read more?", "Is there documentation?", "Where is the manual?",
            "Which page explains the settings?", "Where do I find documentation?",
        ),
    ),
)
# fmt: on
