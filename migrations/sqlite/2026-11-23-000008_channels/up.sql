-- Statements that were not here by their time: told of once each, and how that ended.
CREATE TABLE missing_statements (
    master   TEXT NOT NULL REFERENCES masters (id),
    role     TEXT NOT NULL CONSTRAINT missing_statements_role CHECK (role IN ('statement', 'report', 'notification')),
    day      TEXT NOT NULL,      -- the day that it tells of
    due_at   TEXT NOT NULL,      -- until when it was to be here
    told_at  TEXT NOT NULL,      -- when its absence was recorded
    ended    TEXT CONSTRAINT missing_statements_ended CHECK (ended IN ('came', 'nothing_booked', 'not_expected')),
    ended_at TEXT,               -- when that was seen
    PRIMARY KEY (master, role, day),
    CONSTRAINT missing_statements_end CHECK ((ended IS NULL) = (ended_at IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX missing_statements_open ON missing_statements (day) WHERE ended IS NULL;
