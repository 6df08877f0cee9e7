# Tandem. `make` alone lists what there is; every target does its own set-up first.
# Variables: PORT, GRPC_PORT, HOST, DEVICE (cpu or gpu), ROLE (gateway, classifier or llm), ARGS (passed on), PEERS, SECONDS, IMAGE, PYTHON, BENTOML_HOME, TANDEM_*.

PORT ?= 3000
GRPC_PORT ?=
HOST ?= 127.0.0.1
DEVICE ?=
ROLE ?=
ARGS ?=
PEERS ?=
SECONDS ?= 30
UPGRADE ?=
IMAGE ?= tandem

export BENTOML_HOME ?= $(CURDIR)/.tandem/bentoml
export BENTOML_DO_NOT_TRACK ?= True
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# A caller's other environment must not reach into this one.
unexport VIRTUAL_ENV CONDA_PREFIX PYTHONHOME PYTHONPATH MAKEFLAGS MAKELEVEL ARGS

setup := sh scripts/with-python.sh -m scripts.setup
python := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help serve test fuzz bench check format train train-llm eval-llm model-add model-list bento image lock docs protos clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

serve: ## set up and serve everything on PORT (3000) and GRPC_PORT (3001); DEVICE=gpu for a GPU machine, ROLE=llm for a part
	@$(setup) --models --device "$(DEVICE)"
	@exec $(python) -m scripts.serve --host "$(HOST)" --port "$(PORT)" --grpc-port "$(GRPC_PORT)" --device "$(DEVICE)" --role "$(ROLE)"

test: ## set up and run all tests; ARGS="-k name" or ARGS=tests/unit chooses
	@$(setup) --models --dev
	@exec $(python) -m scripts.test $(ARGS)

fuzz: ## fuzz the decoders, guided by coverage, for SECONDS (30) in all; ARGS=TARGET chooses
	@$(setup) --dev
	@exec $(python) -m scripts.fuzz --seconds "$(SECONDS)" $(ARGS)

bench: ## measure against other servers; PEERS=all or names, ARGS=--quick for a trial, ARGS=--cost for what control costs
	@$(setup) --models --dev
	@exec $(python) -m scripts.bench $(if $(PEERS),--peers $(PEERS)) $(ARGS)

check: ## lint, formatting and types
	@$(setup) --dev
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy

format: ## put code into shape
	@$(setup) --dev
	$(python) -m ruff check --fix .
	$(python) -m ruff format .

train: ## train the classical models anew
	@$(setup)
	$(python) -m scripts.train

train-llm: ## train the language model that comes with the project (hours on a CPU; stop and go on at will)
	@$(setup) --dev
	$(python) -m scripts.train_llm $(ARGS)

eval-llm: ## measure that language model on held-out texts; needs `make serve` running
	@$(setup)
	$(python) -m scripts.eval_llm $(ARGS)

model-add: ## store a model of your own: FILE=model.onnx NAME=mine; ARGS="--labels a,b", ARGS=--help for more
	@$(setup)
	@$(python) -m scripts.models add $(if $(FILE),"$(FILE)") $(if $(NAME),--name "$(NAME)") $(ARGS)

model-list: ## list the stored models
	@$(setup)
	@$(python) -m scripts.models list

bento: ## build the bento, with all three services; DEVICE=gpu for the one for GPUs
	@$(setup) --models
	$(python) -m bentoml build -f bentofile$(if $(filter gpu,$(DEVICE)),-gpu).yaml

image: ## build the OCI image with docker, podman or buildah; DEVICE=gpu, IMAGE=name, ARGS=--help for more
	@$(setup) --models
	@$(python) -m scripts.image --device "$(DEVICE)" --name "$(IMAGE)" $(ARGS)

lock: ## pin requirements/*.in into requirements/*.txt; UPGRADE=1 for the newest versions
	@$(setup) --dev
	@$(python) -m scripts.lock $(if $(UPGRADE),--upgrade)

protos: ## write the Python files of our .proto files
	@$(setup) --dev
	@$(python) -m scripts.protos

docs: ## write docs/configuration.md and docs/metrics.md from the code
	@$(setup)
	$(python) -m scripts.document_settings
	$(python) -m scripts.document_metrics

clean: ## remove all that set-up, tests and serving made here: .venv, models, caches
	rm -rf .venv .tandem .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
