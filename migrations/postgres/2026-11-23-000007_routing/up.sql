-- What routing needs beside the line itself: what the bank kept of it, the payment that a return belongs to, and the two
-- sides of a transfer between own masters.

-- What the bank shows as kept inside a line or payment, unsigned: only a rule that says so grosses up by it.
ALTER TABLE lines ADD COLUMN charges BIGINT;
-- As of a line of one payment: rules ask for it, and a back-test must see what the import saw.
ALTER TABLE line_details ADD COLUMN ultimate_name TEXT COLLATE "C";
ALTER TABLE line_details ADD COLUMN charges BIGINT;

-- A return names the payment that it returns by its end-to-end id; only what went out can come back.
CREATE INDEX lines_end_to_end ON lines (end_to_end_id) WHERE amount < 0 AND end_to_end_id IS NOT NULL;
CREATE INDEX line_details_end_to_end ON line_details (end_to_end_id) WHERE amount < 0 AND end_to_end_id IS NOT NULL;

-- What people decided, from which suggestions are made.
CREATE INDEX routes_person ON routes (line) WHERE evidence = 'person';

-- One side of a transfer between own masters: a line, or a payment of it, whose counterparty is another master. When the
-- other side has come, each names its match.
CREATE TABLE own_transfers (
    line           TEXT COLLATE "C" NOT NULL,
    detail         BIGINT NOT NULL,          -- which of the line's payments; -1: the line as a whole
    master         TEXT COLLATE "C" NOT NULL,
    other          TEXT COLLATE "C" NOT NULL,             -- the master on the other side
    amount         BIGINT NOT NULL,          -- credit to us positive
    valued_on      DATE NOT NULL,
    end_to_end_id  TEXT COLLATE "C",
    matched_line   TEXT COLLATE "C",
    matched_detail BIGINT,
    PRIMARY KEY (line, detail),
    CONSTRAINT own_transfers_matched CHECK ((matched_line IS NULL) = (matched_detail IS NULL))
);
CREATE INDEX own_transfers_open ON own_transfers (master, other, amount) WHERE matched_line IS NULL;
