"""Facts about the commands that test, measure, train and package Tandem."""

from __future__ import annotations

from models.llm.training.fact import Fact

# fmt: off
MAKING: tuple[Fact, ...] = (
    Fact(
        "tests",
        "Run `make test`. It sets up the environment and runs the unit, integration and end-to-end tests.",
        "make test",
        tasks=(
            "run the tests", "test Tandem", "run the test suite", "check that the tests pass",
        ),
        things=(
            "the command for the tests", "the test command", "the tests", "the test suite",
        ),
        questions=(
            "Which command runs the tests?", "Are there tests?", "How do I execute the tests?",
            "How are tests started?", "What is the make target for tests?", "How can I see that everything works?",
            "Are there end-to-end tests?", "What runs all the tests?",
        ),
    ),
    Fact(
        "check",
        "Run `make check`. It runs ruff, the format check and mypy in strict mode.",
        "make check",
        tasks=(
            "lint the code", "check the types", "run ruff", "run mypy", "check the formatting",
        ),
        things=(
            "the linter", "the type checker", "make check", "the lint command", "the static checks",
        ),
        questions=(
            "Which linter does Tandem use?", "How is the code linted?", "How are types checked?",
            "What runs mypy and ruff?", "How do I check the code style?", "Which command checks lint and types?",
            "Is there type checking?",
        ),
    ),
    Fact(
        "bench",
        "Run `make bench`. It measures requests per second and latency on this machine.",
        "make bench",
        tasks=(
            "benchmark Tandem", "measure the speed", "measure the latency", "run the benchmark",
            "find out how fast it is", "measure the throughput",
        ),
        things=(
            "the benchmark", "make bench", "the speed of Tandem", "the benchmark command", "the performance",
        ),
        questions=(
            "How fast is Tandem?", "How many requests per second can Tandem take?", "How quick is it?",
            "How many requests a second does it do?", "How do I run a benchmark?", "Is there a load test?",
            "What is the throughput of Tandem?", "Which command measures performance?",
            "How do I measure requests per second?",
        ),
    ),
    Fact(
        "bento",
        "Run `make bento`. It builds the bento, which `bentoml serve tandem:latest` then serves.",
        "make bento",
        tasks=(
            "build a bento", "package Tandem", "build the bundle", "make a bento of it",
        ),
        things=(
            "make bento", "the bento", "the command that builds the bento", "the bento build",
        ),
        questions=(
            "How do I create a bento?", "Which command makes the bento?", "What builds the bento?",
            "Can I package it as a bento?", "How do I run bentoml build?", "How is Tandem packaged?",
        ),
    ),
    Fact(
        "image",
        "Run `make bento`, then `bentoml containerize tandem:latest`: one OCI image holds all three services.",
        "bentoml containerize",
        tasks=(
            "build a docker image", "build the container image", "make an OCI image", "run Tandem in docker",
            "containerize Tandem", "deploy Tandem as a container",
        ),
        things=(
            "the container image", "the docker image", "the OCI image", "the Docker build",
            "the container",
        ),
        questions=(
            "Is there a Dockerfile?", "How do I build the image?", "Which command builds the container image?",
            "How do I get a container?", "Can I run it as a container?", "Does Tandem have a docker image?",
            "How is the docker image made?", "Can I use Docker or Podman?", "How do I deploy Tandem with containers?",
        ),
    ),
    Fact(
        "train",
        "Run `make train`. It trains iris, digits and fraud and saves them to the BentoML model store.",
        "make train",
        tasks=(
            "train the classical models", "train iris again", "retrain the classifiers", "train the fraud model",
            "train the models",
        ),
        things=(
            "make train", "the command that trains the classifiers", "the training of the classifiers",
            "the training command",
        ),
        questions=(
            "Where are the trained models saved?", "Where is the model store?",
            "How are the classical models trained?",
            "How do I train from scratch?", "How is the fraud model trained again?", "What trains iris and digits?",
            "Can I train the classifiers again?",
        ),
    ),
    Fact(
        "train llm",
        "Run `make train-llm` to train the embedded language model again, and `make eval-llm` to measure it.",
        "make train-llm",
        tasks=(
            "train the embedded LLM", "train you", "retrain the language model", "evaluate the embedded LLM",
            "measure the quality of the LLM", "reproduce tandem-mini",
        ),
        things=(
            "make train-llm", "make eval-llm", "the training of the embedded LLM",
            "the command that trains the embedded LLM", "the evaluation of the embedded LLM",
        ),
        questions=(
            "How were you trained?", "How was the embedded language model made?", "On what data were you trained?",
            "How is the embedded LLM trained?", "Which command trains the language model?",
            "Which command measures the embedded LLM?", "Can I train the embedded language model myself?",
            "How do I evaluate the language model?", "How was tandem-mini made?", "Who trained you?",
            "What is your training data?",
        ),
    ),
)
# fmt: on
