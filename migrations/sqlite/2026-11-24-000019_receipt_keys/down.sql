CREATE TABLE expectations_rebuilt (
    id                   TEXT    NOT NULL PRIMARY KEY,
    key                  TEXT    NOT NULL CONSTRAINT expectations_key UNIQUE,     -- its own name for it, by whoever announces it
    master               TEXT    NOT NULL REFERENCES masters (id),
    account              INTEGER NOT NULL REFERENCES accounts (id),              -- the leaf that waits
    least                INTEGER NOT NULL,   -- bounds of the amount; equal when it is exact
    most                 INTEGER NOT NULL,
    first_on             TEXT    NOT NULL,   -- bounds of the booking day
    last_on              TEXT    NOT NULL,
    reference            TEXT,               -- as it was written ...
    reference_key        TEXT,               -- ... and as it is compared: upper case, without blanks and separators
    counterparty_account TEXT,
    counterparty_key     TEXT,
    note                 TEXT,
    metadata             TEXT,               -- JSON for other systems
    state                TEXT    NOT NULL CONSTRAINT expectations_state CHECK (state IN ('open', 'met', 'expired', 'cancelled')),
    line                 TEXT,               -- what met it: a line, which of its payments (NULL: the line as a whole) ...
    detail               INTEGER,
    route                INTEGER,            -- ... and the route of it (routes.seq) by which the leaf has the money
    reason               TEXT,               -- why it was cancelled, or opened again
    made_by              TEXT    NOT NULL,
    made_at              TEXT    NOT NULL,
    CONSTRAINT expectations_amount CHECK (least > 0 AND least <= most),
    CONSTRAINT expectations_days CHECK (first_on <= last_on),
    CONSTRAINT expectations_met CHECK ((state = 'met') = (line IS NOT NULL) AND (line IS NULL) = (route IS NULL)),
    -- One payment meets one expectation, and an expectation has room for one.
    CONSTRAINT expectations_met_once UNIQUE (line, route)
) STRICT;
INSERT INTO expectations_rebuilt SELECT * FROM expectations;
DROP TABLE expectations;
ALTER TABLE expectations_rebuilt RENAME TO expectations;
CREATE INDEX expectations_reference ON expectations (master, reference_key);
CREATE INDEX expectations_counterparty ON expectations (master, counterparty_key);
CREATE INDEX expectations_window ON expectations (master, state, last_on);
