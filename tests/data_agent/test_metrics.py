"""What the audit log leaves in the metrics."""

import pytest
from django.db import transaction

from data_agent import audit
from data_agent.audit import Person
from tests.measured import Since

pytestmark = pytest.mark.django_db(transaction=True)


def test_events_are_counted_by_kind_once_they_are_in_the_log() -> None:
    since = Since()
    ada = Person(7, "ada")
    audit.record("approved", ada)
    with transaction.atomic():
        audit.record("executed", ada)
        transaction.set_rollback(True)
    assert since.more("triptych_audit_events_total", kind="approved") == 1
    assert since.more("triptych_audit_events_total", kind="executed") == 0
