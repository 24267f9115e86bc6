-- Who may do what: people, machines with keys, roles and where they hold. No secret is kept as it is; names stand here and
-- never in events, which are sealed and cannot be erased.

-- A person is an id that never changes; login and name may.
CREATE TABLE people (
    id        TEXT    NOT NULL PRIMARY KEY,
    login     TEXT    NOT NULL CONSTRAINT people_login UNIQUE,   -- lower case
    name      TEXT    NOT NULL,
    state     TEXT    NOT NULL CONSTRAINT people_state CHECK (state IN ('invited', 'active', 'disabled')),
    password  TEXT,                          -- argon2id with its salt and cost
    totp      BLOB,                          -- what the codes are made of: it must be known to check one
    totp_step INTEGER,                       -- the step of the last code that was used: none before it counts again
    made_by   TEXT    NOT NULL,
    made_at   TEXT    NOT NULL,
    CONSTRAINT people_active CHECK (state <> 'active' OR (password IS NOT NULL AND totp IS NOT NULL))
) STRICT;

-- By this a person sets password and second factor, once. Without a person: the first administrator's.
CREATE TABLE invitations (
    hash       BLOB NOT NULL PRIMARY KEY,
    person     TEXT REFERENCES people (id),
    made_by    TEXT NOT NULL,
    made_at    TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT;
CREATE INDEX invitations_person ON invitations (person);

-- For who has lost the second factor; each once.
CREATE TABLE recovery_codes (
    person  TEXT NOT NULL REFERENCES people (id),
    hash    BLOB NOT NULL,
    used_at TEXT,
    PRIMARY KEY (person, hash)
) STRICT, WITHOUT ROWID;

-- Failures by login and place, both only as digests: most of them are nobody's, or personal data. The place of nothing: all.
CREATE TABLE sign_in_failures (
    login   BLOB    NOT NULL,
    place   BLOB    NOT NULL,
    count   INTEGER NOT NULL,
    last_at TEXT    NOT NULL,
    known   INTEGER NOT NULL,                -- the person has signed in from there
    PRIMARY KEY (login, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_in_failures_last ON sign_in_failures (last_at);

CREATE TABLE sessions (
    id           TEXT    NOT NULL PRIMARY KEY,
    hash         BLOB    NOT NULL CONSTRAINT sessions_hash UNIQUE,
    person       TEXT    NOT NULL REFERENCES people (id),
    device       TEXT    NOT NULL,           -- as the surface calls it, for the person to know it again
    made_at      TEXT    NOT NULL,
    last_used_at TEXT    NOT NULL,           -- to the minute
    idle_seconds INTEGER NOT NULL,
    expires_at   TEXT    NOT NULL,
    ended_at     TEXT
) STRICT;
CREATE INDEX sessions_person ON sessions (person) WHERE ended_at IS NULL;

CREATE TABLE api_keys (
    id           TEXT NOT NULL PRIMARY KEY,
    name         TEXT NOT NULL,              -- the machine's: keys of one name take turns
    owner        TEXT NOT NULL REFERENCES people (id),   -- what it asks for, this person has asked for
    hash         BLOB NOT NULL,
    made_by      TEXT NOT NULL,
    made_at      TEXT NOT NULL,
    expires_at   TEXT NOT NULL,
    last_used_at TEXT,                       -- to the minute
    revoked_at   TEXT
) STRICT;
CREATE INDEX api_keys_name ON api_keys (name) WHERE revoked_at IS NULL;
CREATE INDEX api_keys_owner ON api_keys (owner) WHERE revoked_at IS NULL;

-- A treasury's own roles; the built-in ones stand in the code. What they were before, events say.
CREATE TABLE roles (
    code        TEXT NOT NULL PRIMARY KEY,
    name        TEXT NOT NULL,
    permissions TEXT NOT NULL                -- codes with blanks between
) STRICT;

-- Who has which role, and where. Those revoked stay.
CREATE TABLE grants (
    id         TEXT NOT NULL PRIMARY KEY,
    person     TEXT REFERENCES people (id),
    api_key    TEXT REFERENCES api_keys (id),
    role       TEXT NOT NULL,
    scope      TEXT NOT NULL,                -- all, or bounds: product:tiktok+master:de-eur
    made_by    TEXT NOT NULL,
    made_at    TEXT NOT NULL,
    revoked_by TEXT,
    revoked_at TEXT,
    CONSTRAINT grants_holder CHECK ((person IS NULL) <> (api_key IS NULL)),
    CONSTRAINT grants_revoked CHECK ((revoked_by IS NULL) = (revoked_at IS NULL))
) STRICT;
-- Read on every request; and nobody has the same twice.
CREATE UNIQUE INDEX grants_person ON grants (person, role, scope) WHERE revoked_at IS NULL;
CREATE UNIQUE INDEX grants_api_key ON grants (api_key, role, scope) WHERE revoked_at IS NULL;
