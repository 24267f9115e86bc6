-- Statements that were not here by their time: told of once each, and how that ended.
CREATE TABLE missing_statements (
    master   TEXT COLLATE "C" NOT NULL REFERENCES masters (id),
    role     TEXT COLLATE "C" NOT NULL
        CONSTRAINT missing_statements_role CHECK (role IN ('statement', 'report', 'notification')),
    day      DATE NOT NULL,      -- the day that it tells of
    due_at   TIMESTAMP NOT NULL, -- until when it was to be here
    told_at  TIMESTAMP NOT NULL, -- when its absence was recorded
    ended    TEXT COLLATE "C"
        CONSTRAINT missing_statements_ended CHECK (ended IN ('came', 'nothing_booked', 'not_expected')),
    ended_at TIMESTAMP,          -- when that was seen
    PRIMARY KEY (master, role, day),
    CONSTRAINT missing_statements_end CHECK ((ended IS NULL) = (ended_at IS NULL))
);
CREATE INDEX missing_statements_open ON missing_statements (day) WHERE ended IS NULL;
