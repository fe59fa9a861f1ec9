-- Times are Unix milliseconds, UTC.
CREATE TABLE incidents (
    id INTEGER PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    identity TEXT NOT NULL,
    alertname TEXT NOT NULL,
    failure_type TEXT NOT NULL,
    service TEXT NOT NULL,
    env TEXT NOT NULL,
    severity TEXT NOT NULL,
    tier TEXT NOT NULL,
    summary TEXT NOT NULL,
    impact TEXT NOT NULL,
    description TEXT NOT NULL,
    expression TEXT NOT NULL,
    labels TEXT NOT NULL, -- a JSON object
    started_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    resolved_at INTEGER,
    resolved_received_at INTEGER
) STRICT;

CREATE UNIQUE INDEX one_open_incident_per_identity ON incidents (identity) WHERE resolved_at IS NULL;
CREATE INDEX incidents_by_start ON incidents (started_at);

-- Every episode ever heard of, so that a repeat is recognised, also long after it was over.
CREATE TABLE alerts (
    fingerprint TEXT NOT NULL,
    starts_at INTEGER NOT NULL,
    ends_at INTEGER,
    heard_at INTEGER NOT NULL, -- when this was last news
    incident_id INTEGER NOT NULL REFERENCES incidents ON DELETE CASCADE,
    PRIMARY KEY (fingerprint, starts_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX alerts_by_incident ON alerts (incident_id);

-- The outbox: what each channel has to be told about each incident, and whether it accepted.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    incident_id INTEGER NOT NULL REFERENCES incidents ON DELETE CASCADE,
    channel TEXT NOT NULL,
    transition TEXT NOT NULL CHECK (transition IN ('firing', 'resolved')),
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'merged')),
    plain INTEGER NOT NULL DEFAULT 0, -- 1: the platform refused the full form
    attempts INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    delivered_at INTEGER,
    UNIQUE (incident_id, channel, transition)
) STRICT;
CREATE INDEX deliveries_pending ON deliveries (channel, next_attempt_at) WHERE state = 'pending';

CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    delivery_id INTEGER NOT NULL REFERENCES deliveries ON DELETE CASCADE,
    at INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX attempts_by_delivery ON attempts (delivery_id);

-- Written by the readiness probe: a store that cannot be written to must not look healthy.
CREATE TABLE probe (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;
