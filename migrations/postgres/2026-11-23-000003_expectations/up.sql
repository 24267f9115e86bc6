-- What products wait for: receipts that are announced before the bank tells of them, and the files by which a platform says
-- how a lump is shared out.

-- Expected receipts. What is asked for never changes (`content` of its first event proves it); `state` and what met it do.
CREATE TABLE expectations (
    id                   TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    key                  TEXT COLLATE "C"    NOT NULL CONSTRAINT expectations_key UNIQUE,     -- its own name for it, by whoever announces it
    master               TEXT COLLATE "C"    NOT NULL REFERENCES masters (id),
    account              BIGINT NOT NULL REFERENCES accounts (id),              -- the leaf that waits
    least                BIGINT NOT NULL,   -- bounds of the amount; equal when it is exact
    most                 BIGINT NOT NULL,
    first_on             DATE    NOT NULL,   -- bounds of the booking day
    last_on              DATE    NOT NULL,
    reference            TEXT COLLATE "C",               -- as it was written ...
    reference_key        TEXT COLLATE "C",               -- ... and as it is compared: upper case, without blanks and separators
    counterparty_account TEXT COLLATE "C",
    counterparty_key     TEXT COLLATE "C",
    note                 TEXT COLLATE "C",
    metadata             TEXT COLLATE "C",               -- JSON for other systems
    state                TEXT COLLATE "C"    NOT NULL CONSTRAINT expectations_state CHECK (state IN ('open', 'met', 'expired', 'cancelled')),
    line                 TEXT COLLATE "C",               -- what met it: a line, which of its payments (NULL: the line as a whole) ...
    detail               BIGINT,
    route                BIGINT,            -- ... and the route of it (routes.seq) by which the leaf has the money
    reason               TEXT COLLATE "C",               -- why it was cancelled, or opened again
    made_by              TEXT COLLATE "C"    NOT NULL,
    made_at              TIMESTAMP    NOT NULL,
    CONSTRAINT expectations_amount CHECK (least > 0 AND least <= most),
    CONSTRAINT expectations_days CHECK (first_on <= last_on),
    CONSTRAINT expectations_met CHECK ((state = 'met') = (line IS NOT NULL) AND (line IS NULL) = (route IS NULL)),
    -- One payment meets one expectation, and an expectation has room for one.
    CONSTRAINT expectations_met_once UNIQUE (line, route)
);
-- Which of them the lines of some days may meet, by what they are corroborated with; and whether there is one at all.
CREATE INDEX expectations_reference ON expectations (master, reference_key);
CREATE INDEX expectations_counterparty ON expectations (master, counterparty_key);
CREATE INDEX expectations_window ON expectations (master, state, last_on);

-- Settlement files: how much of a lump each leaf gets.
CREATE TABLE settlements (
    id            TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    code          TEXT COLLATE "C"    NOT NULL CONSTRAINT settlements_code UNIQUE,            -- the platform's own name for it
    master        TEXT COLLATE "C"    NOT NULL REFERENCES masters (id),
    platform      TEXT COLLATE "C"    NOT NULL,          -- who pays, as the bank writes the name
    payer_account TEXT COLLATE "C",                      -- and from which account
    reference     TEXT COLLATE "C",                      -- the reference that the payment carries
    total         BIGINT NOT NULL,          -- the lump; what the platform takes back is negative
    paid_on       DATE    NOT NULL,          -- the bank's line is from this day on
    state         TEXT COLLATE "C"    NOT NULL CONSTRAINT settlements_state CHECK (state IN ('waiting', 'carried_out', 'cancelled')),
    line          TEXT COLLATE "C",                      -- the line that it shares out, which of its payments, its route and the entry
    detail        BIGINT,
    route         BIGINT,
    entry         BIGINT,
    file_name     TEXT COLLATE "C"    NOT NULL,
    made_by       TEXT COLLATE "C"    NOT NULL,
    made_at       TIMESTAMP    NOT NULL,
    decided_by    TEXT COLLATE "C",                      -- who carried it out or cancelled it, and why
    reason        TEXT COLLATE "C",
    CONSTRAINT settlements_total CHECK (total <> 0),
    CONSTRAINT settlements_carried_out CHECK ((state = 'carried_out') = (line IS NOT NULL) AND (line IS NULL) = (route IS NULL)
        AND (line IS NULL) = (entry IS NULL)),
    CONSTRAINT settlements_once UNIQUE (line, route)
);
CREATE INDEX settlements_waiting ON settlements (master, state);

CREATE TABLE settlement_lines (
    settlement  TEXT COLLATE "C"    NOT NULL,
    place       BIGINT NOT NULL,            -- from 0, as in the file
    account     BIGINT NOT NULL,            -- the leaf
    gross       BIGINT NOT NULL,            -- gross - commission - tax = net; kept for the general ledger
    commission  BIGINT NOT NULL,
    tax         BIGINT NOT NULL,
    net         BIGINT NOT NULL,            -- what the leaf gets; negative: what it gives
    reference   TEXT COLLATE "C",
    happened_on DATE,
    PRIMARY KEY (settlement, place),
    CONSTRAINT settlement_lines_net CHECK (gross - commission - tax = net)
);
