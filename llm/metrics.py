"""What is measured about answers and the model calls behind them."""

from decimal import Decimal

from prometheus_client import Counter, Histogram

from config.observability.metrics import FIRST, WHOLE
from llm.types import Call

_RUNS = Counter("triptych_runs", "Answers that have ended, by how.", ["transport", "end"])
_FIRST_TOKEN = Histogram(
    "triptych_first_token_seconds", "From the question to the first token.", ["transport", "provider"], buckets=FIRST
)
_ANSWER = Histogram(
    "triptych_answer_seconds",
    "From the question to its end, however it ended.",
    ["transport", "provider"],
    buckets=WHOLE,
)
_CALLS = Counter(
    "triptych_model_calls", "Requests to providers, by what came of them.", ["purpose", "provider", "outcome"]
)
_CALL_FIRST_TOKEN = Histogram(
    "triptych_model_first_token_seconds",
    "From a request to a provider to its first token.",
    ["purpose", "provider"],
    buckets=FIRST,
)
_TOKENS = Counter("triptych_model_tokens", "Tokens, of prompts and of completions.", ["purpose", "provider", "kind"])
_COST = Counter(
    "triptych_model_cost_usd", "What calls have cost by the price table, in US dollars.", ["purpose", "provider"]
)
_REFUSALS = Counter("triptych_budget_refusals", "Questions refused by a budget.", ["subject", "window", "tier"])


def note_end(
    transport: str, end: str, provider: str, *, first_token_seconds: float | None, total_seconds: float
) -> None:
    """Count an answer that has ended; durations are from the question on, as its visitor saw them."""
    provider = provider or "none"
    _RUNS.labels(transport, end).inc()
    if first_token_seconds is not None:
        _FIRST_TOKEN.labels(transport, provider).observe(first_token_seconds)
    _ANSWER.labels(transport, provider).observe(total_seconds)


def note_call(call: Call) -> None:
    """Count one request to a provider."""
    _CALLS.labels(call.purpose, call.provider, call.outcome).inc()
    if call.first_token_seconds is not None:
        _CALL_FIRST_TOKEN.labels(call.purpose, call.provider).observe(call.first_token_seconds)
    _TOKENS.labels(call.purpose, call.provider, "prompt").inc(call.prompt_tokens)
    _TOKENS.labels(call.purpose, call.provider, "completion").inc(call.completion_tokens)


def note_cost(purpose: str, provider: str, usd: Decimal | None) -> None:
    """Add what a call has cost, where its price is known."""
    if usd is not None:
        _COST.labels(purpose, provider).inc(float(usd))


def note_refusal(subject: str, window: str, tier: str) -> None:
    """Count a question that a budget has refused."""
    _REFUSALS.labels(subject, window, tier).inc()
