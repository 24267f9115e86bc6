-- Webhooks: where events are sent, how far that is, and what came of it. The first table changes by commands with events; the
-- other two are housekeeping, written without a seal.

CREATE TABLE webhook_endpoints (
    id              TEXT NOT NULL PRIMARY KEY,
    url             TEXT NOT NULL,   -- may carry a secret of the receiver's, so events name its host only
    kinds           TEXT NOT NULL,   -- prefixes with blanks between; none: all kinds
    owner           TEXT NOT NULL,   -- the actor who made it: it sees what they may see at the moment of sending
    state           TEXT NOT NULL CONSTRAINT webhook_endpoints_state CHECK (state IN ('on', 'off')),
    why_off         TEXT,
    secret          BLOB NOT NULL,   -- as it is: what signs cannot be kept as a digest
    previous_secret BLOB,            -- signs beside the present one until its end
    previous_until  TEXT,
    made_by         TEXT NOT NULL,
    made_at         TEXT NOT NULL,
    CONSTRAINT webhook_endpoints_why CHECK ((state = 'off') = (why_off IS NOT NULL)),
    CONSTRAINT webhook_endpoints_previous CHECK ((previous_secret IS NULL) = (previous_until IS NULL))
) STRICT;

-- Where sending stands: one for what is recorded from now on, and one for each range that is sent again.
CREATE TABLE webhook_cursors (
    id          TEXT    NOT NULL PRIMARY KEY,
    endpoint    TEXT    NOT NULL REFERENCES webhook_endpoints (id),
    at          INTEGER NOT NULL,    -- the last event that was sent or was not for it
    last        INTEGER,             -- the last of a range; none: it goes on for ever
    failures    INTEGER NOT NULL,    -- of the next event
    due_at      TEXT,                -- not before, after a failure
    lease_owner TEXT,
    lease_until TEXT,
    CONSTRAINT webhook_cursors_failures CHECK (failures >= 0)
) STRICT;
CREATE INDEX webhook_cursors_endpoint ON webhook_cursors (endpoint);

CREATE TABLE webhook_deliveries (
    id           TEXT    NOT NULL PRIMARY KEY,
    endpoint     TEXT    NOT NULL REFERENCES webhook_endpoints (id),
    message      TEXT    NOT NULL,   -- webhook-id: the same for the same event, however often it is sent
    event        INTEGER,            -- none: a test
    attempt      INTEGER NOT NULL,
    sent_at      TEXT    NOT NULL,
    status       INTEGER,            -- none: no answer
    milliseconds INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,   -- of the body that was sent
    error        TEXT                -- none: it was taken
) STRICT;
CREATE INDEX webhook_deliveries_endpoint ON webhook_deliveries (endpoint, id);
CREATE INDEX webhook_deliveries_sent_at ON webhook_deliveries (sent_at);
