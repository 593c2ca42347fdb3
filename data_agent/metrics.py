"""What is measured about the data agent."""

from prometheus_client import Counter

_EVENTS = Counter("triptych_audit_events", "Events in the data agent's audit log, by kind.", ["kind"])


def note_event(kind: str) -> None:
    """Count an event that is in the log."""
    _EVENTS.labels(kind).inc()
