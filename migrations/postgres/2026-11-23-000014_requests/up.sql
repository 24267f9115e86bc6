-- Requests that change something, by the key that their sender gave: written in the commit of what they did, and never removed,
-- since a key that comes back after years must not do it again. Keys are each principal's own.
CREATE TABLE idempotency_keys (
    principal TEXT COLLATE "C" NOT NULL,
    key       TEXT COLLATE "C" NOT NULL,
    operation TEXT COLLATE "C" NOT NULL,
    digest    BYTEA     NOT NULL,            -- of operation, path, query and body: what the key stands for
    status    BIGINT    NOT NULL,
    answer    TEXT COLLATE "C" NOT NULL,
    made_at   TIMESTAMP NOT NULL,
    PRIMARY KEY (principal, key)
);

-- What servers on this database sign with, such as cursors; made by the first of them.
CREATE TABLE server_secrets (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);
