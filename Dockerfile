# syntax=docker/dockerfile:1

FROM python:3.11-slim-bookworm AS build
WORKDIR /build
COPY requirements.txt .
# Wheels alone: nothing is compiled, here or later. pip stays here.
RUN python -m venv --without-pip /venv && \
    python -m pip --python /venv/bin/python install --no-cache-dir --only-binary :all: --require-hashes -r requirements.txt

FROM python:3.11-slim-bookworm
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 10001 --no-create-home triptych
COPY --from=build /venv /venv
WORKDIR /app
COPY manage.py pyproject.toml ./
COPY config config
COPY llm llm
COPY kafka_chat kafka_chat
COPY ws_chat ws_chat
COPY data_agent data_agent
COPY templates templates
COPY static static
# All that is written is written now: the file system is read-only later.
RUN python manage.py collectstatic --noinput && python -m compileall -q config llm kafka_chat ws_chat data_agent
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["python", "-m", "config.serving", "-e", "tcp:port=8000:interface=0.0.0.0", "config.asgi:application"]
