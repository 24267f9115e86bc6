-- Who may do what: people, machines with keys, roles and where they hold. No secret is kept as it is; names stand here and
-- never in events, which are sealed and cannot be erased.

-- A person is an id that never changes; login and name may.
CREATE TABLE people (
    id        TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    login     TEXT COLLATE "C"    NOT NULL CONSTRAINT people_login UNIQUE,   -- lower case
    name      TEXT COLLATE "C"    NOT NULL,
    state     TEXT COLLATE "C"    NOT NULL CONSTRAINT people_state CHECK (state IN ('invited', 'active', 'disabled')),
    password  TEXT COLLATE "C",                          -- argon2id with its salt and cost
    totp      BYTEA,                          -- what the codes are made of: it must be known to check one
    totp_step BIGINT,                       -- the step of the last code that was used: none before it counts again
    made_by   TEXT COLLATE "C"    NOT NULL,
    made_at   TIMESTAMP    NOT NULL,
    CONSTRAINT people_active CHECK (state <> 'active' OR (password IS NOT NULL AND totp IS NOT NULL))
);

-- By this a person sets password and second factor, once. Without a person: the first administrator's.
CREATE TABLE invitations (
    hash       BYTEA NOT NULL PRIMARY KEY,
    person     TEXT COLLATE "C" REFERENCES people (id),
    made_by    TEXT COLLATE "C" NOT NULL,
    made_at    TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL
);
CREATE INDEX invitations_person ON invitations (person);

-- For who has lost the second factor; each once.
CREATE TABLE recovery_codes (
    person  TEXT COLLATE "C" NOT NULL REFERENCES people (id),
    hash    BYTEA NOT NULL,
    used_at TIMESTAMP,
    PRIMARY KEY (person, hash)
);

-- Failures by login and place, both only as digests: most of them are nobody's, or personal data. The place of nothing: all.
CREATE TABLE sign_in_failures (
    login   BYTEA    NOT NULL,
    place   BYTEA    NOT NULL,
    count   BIGINT NOT NULL,
    last_at TIMESTAMP    NOT NULL,
    known   BOOLEAN NOT NULL,                -- the person has signed in from there
    PRIMARY KEY (login, place)
);
CREATE INDEX sign_in_failures_last ON sign_in_failures (last_at);

CREATE TABLE sessions (
    id           TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    hash         BYTEA    NOT NULL CONSTRAINT sessions_hash UNIQUE,
    person       TEXT COLLATE "C"    NOT NULL REFERENCES people (id),
    device       TEXT COLLATE "C"    NOT NULL,           -- as the surface calls it, for the person to know it again
    made_at      TIMESTAMP    NOT NULL,
    last_used_at TIMESTAMP    NOT NULL,           -- to the minute
    idle_seconds BIGINT NOT NULL,
    expires_at   TIMESTAMP    NOT NULL,
    ended_at     TIMESTAMP
);
CREATE INDEX sessions_person ON sessions (person) WHERE ended_at IS NULL;

CREATE TABLE api_keys (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name         TEXT COLLATE "C" NOT NULL,              -- the machine's: keys of one name take turns
    owner        TEXT COLLATE "C" NOT NULL REFERENCES people (id),   -- what it asks for, this person has asked for
    hash         BYTEA NOT NULL,
    made_by      TEXT COLLATE "C" NOT NULL,
    made_at      TIMESTAMP NOT NULL,
    expires_at   TIMESTAMP NOT NULL,
    last_used_at TIMESTAMP,                       -- to the minute
    revoked_at   TIMESTAMP
);
CREATE INDEX api_keys_name ON api_keys (name) WHERE revoked_at IS NULL;
CREATE INDEX api_keys_owner ON api_keys (owner) WHERE revoked_at IS NULL;

-- A treasury's own roles; the built-in ones stand in the code. What they were before, events say.
CREATE TABLE roles (
    code        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name        TEXT COLLATE "C" NOT NULL,
    permissions TEXT COLLATE "C" NOT NULL                -- codes with blanks between
);

-- Who has which role, and where. Those revoked stay.
CREATE TABLE grants (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    person     TEXT COLLATE "C" REFERENCES people (id),
    api_key    TEXT COLLATE "C" REFERENCES api_keys (id),
    role       TEXT COLLATE "C" NOT NULL,
    scope      TEXT COLLATE "C" NOT NULL,                -- all, or bounds: product:tiktok+master:de-eur
    made_by    TEXT COLLATE "C" NOT NULL,
    made_at    TIMESTAMP NOT NULL,
    revoked_by TEXT COLLATE "C",
    revoked_at TIMESTAMP,
    CONSTRAINT grants_holder CHECK ((person IS NULL) <> (api_key IS NULL)),
    CONSTRAINT grants_revoked CHECK ((revoked_by IS NULL) = (revoked_at IS NULL))
);
-- Read on every request; and nobody has the same twice.
CREATE UNIQUE INDEX grants_person ON grants (person, role, scope) WHERE revoked_at IS NULL;
CREATE UNIQUE INDEX grants_api_key ON grants (api_key, role, scope) WHERE revoked_at IS NULL;
