-- Requests that change something, by the key that their sender gave: written in the commit of what they did, and never removed,
-- since a key that comes back after years must not do it again. Keys are each principal's own.
CREATE TABLE idempotency_keys (
    principal TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    operation TEXT    NOT NULL,
    digest    BLOB    NOT NULL,              -- of operation, path, query and body: what the key stands for
    status    INTEGER NOT NULL,
    answer    TEXT    NOT NULL,
    made_at   TEXT    NOT NULL,
    PRIMARY KEY (principal, key)
) STRICT, WITHOUT ROWID;

-- What servers on this database sign with, such as cursors; made by the first of them.
CREATE TABLE server_secrets (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
