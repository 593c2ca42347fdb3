"""The audit log: a table that only grows.

Plain SQL, because Django must not manage the table: it would truncate it between tests, and it cannot write triggers.
"""

from django.db import migrations

CREATE = """
CREATE TABLE da_audit_event (
    id bigserial PRIMARY KEY,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    session_id uuid,
    step_id uuid,
    person text NOT NULL,
    address text NOT NULL,
    question text NOT NULL,
    sql text NOT NULL,
    fingerprint text NOT NULL,
    verdict jsonb NOT NULL,
    rows bigint,
    bytes bigint,
    duration_ms bigint,
    error text NOT NULL,
    previous_hash text NOT NULL UNIQUE,
    hash text NOT NULL UNIQUE
);
CREATE INDEX da_audit_event_session ON da_audit_event (session_id, id);
CREATE INDEX da_audit_event_step ON da_audit_event (step_id, id);

COMMENT ON TABLE da_audit_event IS 'Append-only log of the data agent; manage.py verify_audit checks its hash chain.';
COMMENT ON COLUMN da_audit_event.kind IS
    'proposed, blocked, edited, approved, rejected, skipped, expired, executed, failed, cancelled or answered.';
COMMENT ON COLUMN da_audit_event.fingerprint IS 'SHA-256 of the original bytes of sql, in hexadecimal; empty without sql.';
COMMENT ON COLUMN da_audit_event.previous_hash IS 'hash of the row before; the first row has 64 zeros.';
COMMENT ON COLUMN da_audit_event.hash IS 'SHA-256 over this row and previous_hash, see data_agent/audit.py.';

CREATE FUNCTION da_audit_event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'da_audit_event is append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
REVOKE ALL ON FUNCTION da_audit_event_is_append_only() FROM PUBLIC;
CREATE TRIGGER da_audit_event_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON da_audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION da_audit_event_is_append_only();
ALTER TABLE da_audit_event ENABLE ALWAYS TRIGGER da_audit_event_append_only;
"""

DROP = """
DROP TABLE da_audit_event;
DROP FUNCTION da_audit_event_is_append_only();
"""


class Migration(migrations.Migration):
    """Creates the table, its trigger and the comments."""

    dependencies = [("data_agent", "0001_initial")]

    operations = [migrations.RunSQL(CREATE, DROP)]
