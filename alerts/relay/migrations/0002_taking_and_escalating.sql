-- Acknowledgement, escalation, flapping, lost sight. A step that is due is found from chain_from and steps.
ALTER TABLE incidents ADD COLUMN query TEXT NOT NULL DEFAULT '';
ALTER TABLE incidents ADD COLUMN chain_from INTEGER NOT NULL DEFAULT 0;
ALTER TABLE incidents ADD COLUMN steps INTEGER NOT NULL DEFAULT 1;
ALTER TABLE incidents ADD COLUMN acked_at INTEGER;
ALTER TABLE incidents ADD COLUMN acked_by TEXT NOT NULL DEFAULT '';
ALTER TABLE incidents ADD COLUMN reopened_at INTEGER;
ALTER TABLE incidents ADD COLUMN flapping_since INTEGER;
ALTER TABLE incidents ADD COLUMN summary_at INTEGER;
ALTER TABLE incidents ADD COLUMN quiet_since INTEGER;
ALTER TABLE incidents ADD COLUMN lost_at INTEGER;
UPDATE incidents SET chain_from = received_at;
CREATE INDEX incidents_by_identity ON incidents (identity, resolved_received_at);

-- A channel can be told of an incident many times now, so the table's old constraints have to go.
CREATE TABLE new_deliveries (
    id INTEGER PRIMARY KEY,
    incident_id INTEGER NOT NULL REFERENCES incidents ON DELETE CASCADE,
    channel TEXT NOT NULL,
    transition TEXT NOT NULL,
    step INTEGER NOT NULL DEFAULT 0, -- of the escalation
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'merged', 'dead')),
    plain INTEGER NOT NULL DEFAULT 0, -- 1: the platform refused the full form
    attempts INTEGER NOT NULL DEFAULT 0,
    since INTEGER NOT NULL, -- the episode it is about
    until INTEGER,
    created_at INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    delivered_at INTEGER
) STRICT;
CREATE TABLE new_attempts (
    id INTEGER PRIMARY KEY,
    delivery_id INTEGER NOT NULL REFERENCES new_deliveries ON DELETE CASCADE,
    at INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    detail TEXT NOT NULL
) STRICT;
INSERT INTO new_deliveries
    SELECT d.id, d.incident_id, d.channel, d.transition, 0, d.state, d.plain, d.attempts, i.started_at, i.resolved_at,
        d.created_at, d.next_attempt_at, d.delivered_at
    FROM deliveries d JOIN incidents i ON i.id = d.incident_id;
INSERT INTO new_attempts SELECT * FROM attempts;
DROP TABLE attempts;
DROP TABLE deliveries;
ALTER TABLE new_deliveries RENAME TO deliveries;
ALTER TABLE new_attempts RENAME TO attempts;
CREATE INDEX deliveries_pending ON deliveries (channel, next_attempt_at) WHERE state = 'pending';
CREATE INDEX deliveries_by_incident ON deliveries (incident_id, channel);
CREATE INDEX attempts_by_delivery ON attempts (delivery_id);

-- The messages that can be changed in place.
CREATE TABLE handles (
    incident_id INTEGER NOT NULL REFERENCES incidents ON DELETE CASCADE,
    channel TEXT NOT NULL,
    handle TEXT NOT NULL,
    PRIMARY KEY (incident_id, channel)
) STRICT, WITHOUT ROWID;

-- What happened besides alerts and deliveries; only ever added to.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    incident_id INTEGER NOT NULL REFERENCES incidents ON DELETE CASCADE,
    at INTEGER NOT NULL,
    what TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_incident ON events (incident_id);

-- Actions work once.
CREATE TABLE spent (nonce TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- What has to outlive a restart.
CREATE TABLE memory (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    key BLOB NOT NULL, -- signs actions and sessions
    checked_at INTEGER NOT NULL DEFAULT 0, -- until then nothing has been missed
    beat_at INTEGER NOT NULL DEFAULT 0 -- the last heartbeat
) STRICT;
INSERT INTO memory (id, key) VALUES (1, randomblob(64));
