-- Webhooks: where events are sent, how far that is, and what came of it. The first table changes by commands with events; the
-- other two are housekeeping, written without a seal.

CREATE TABLE webhook_endpoints (
    id              TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    url             TEXT COLLATE "C" NOT NULL,   -- may carry a secret of the receiver's, so events name its host only
    kinds           TEXT COLLATE "C" NOT NULL,   -- prefixes with blanks between; none: all kinds
    owner           TEXT COLLATE "C" NOT NULL,   -- the actor who made it: it sees what they may see at the moment of sending
    state           TEXT COLLATE "C" NOT NULL CONSTRAINT webhook_endpoints_state CHECK (state IN ('on', 'off')),
    why_off         TEXT COLLATE "C",
    secret          BYTEA NOT NULL,   -- as it is: what signs cannot be kept as a digest
    previous_secret BYTEA,            -- signs beside the present one until its end
    previous_until  TIMESTAMP,
    made_by         TEXT COLLATE "C" NOT NULL,
    made_at         TIMESTAMP NOT NULL,
    CONSTRAINT webhook_endpoints_why CHECK ((state = 'off') = (why_off IS NOT NULL)),
    CONSTRAINT webhook_endpoints_previous CHECK ((previous_secret IS NULL) = (previous_until IS NULL))
);

-- Where sending stands: one for what is recorded from now on, and one for each range that is sent again.
CREATE TABLE webhook_cursors (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    endpoint    TEXT COLLATE "C" NOT NULL REFERENCES webhook_endpoints (id),
    at          BIGINT NOT NULL,    -- the last event that was sent or was not for it
    last        BIGINT,             -- the last of a range; none: it goes on for ever
    failures    BIGINT NOT NULL,    -- of the next event
    due_at      TIMESTAMP,                -- not before, after a failure
    lease_owner TEXT COLLATE "C",
    lease_until TIMESTAMP,
    CONSTRAINT webhook_cursors_failures CHECK (failures >= 0)
);
CREATE INDEX webhook_cursors_endpoint ON webhook_cursors (endpoint);

CREATE TABLE webhook_deliveries (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    endpoint     TEXT COLLATE "C" NOT NULL REFERENCES webhook_endpoints (id),
    message      TEXT COLLATE "C" NOT NULL,   -- webhook-id: the same for the same event, however often it is sent
    event        BIGINT,            -- none: a test
    attempt      BIGINT NOT NULL,
    sent_at      TIMESTAMP NOT NULL,
    status       BIGINT,            -- none: no answer
    milliseconds BIGINT NOT NULL,
    bytes        BIGINT NOT NULL,   -- of the body that was sent
    error        TEXT COLLATE "C"                -- none: it was taken
);
CREATE INDEX webhook_deliveries_endpoint ON webhook_deliveries (endpoint, id);
CREATE INDEX webhook_deliveries_sent_at ON webhook_deliveries (sent_at);
