-- The journal: what nobody may change, and the balances that follow from it.
--
-- Portable by rule: money is BIGINT minor units, currencies and states are text, instants are UTC without a zone, given by
-- us and never by the database. Hot tables carry no foreign keys: on PostgreSQL each would cost a trigger per row, and the
-- writer, which alone inserts here, has read every account that it posts to. `check` proves the references instead (I3).

-- What one commit added, hashed onto the seal before it. Its number is the head of the journal: a second writer that
-- slipped past the lock would fail whole on this key.
CREATE TABLE seals (
    number      INTEGER NOT NULL PRIMARY KEY,
    recorded_at TEXT    NOT NULL,
    first_entry INTEGER NOT NULL,
    last_entry  INTEGER NOT NULL,   -- first_entry - 1 when the commit added no entry
    first_event INTEGER NOT NULL,
    last_event  INTEGER NOT NULL,
    root        BLOB    NOT NULL,   -- Merkle root (RFC 6962) over one leaf per entry, then one per event
    hash        BLOB    NOT NULL,   -- leaf hash of this seal in the tree over seals
    peaks       BLOB    NOT NULL,   -- the tree over seals up to this one: its perfect subtrees, largest first
    CONSTRAINT seals_ranges CHECK (number >= 1 AND last_entry >= first_entry - 1 AND last_event >= first_event - 1),
    CONSTRAINT seals_hashes CHECK (length(root) = 32 AND length(hash) = 32 AND length(peaks) % 32 = 0)
) STRICT;

CREATE INDEX seals_recorded_at ON seals (recorded_at);   -- as known at an instant

-- Every recorded change and refusal in one gapless order: audit record, outbox and live feed are readers of it.
CREATE TABLE events (
    number  INTEGER NOT NULL PRIMARY KEY,
    seal    INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    kind    TEXT    NOT NULL,       -- what happened, e.g. statement.accepted
    subject TEXT    NOT NULL,       -- to what: an id, a code, a range of entries
    before  TEXT,                   -- JSON, where there was a before
    after   TEXT                    -- JSON
) STRICT;
CREATE INDEX events_subject ON events (subject, number);

-- Sets of accounts that must balance by themselves.
CREATE TABLE books (
    id       INTEGER NOT NULL PRIMARY KEY,
    code     TEXT    NOT NULL CONSTRAINT books_code UNIQUE,
    kind     TEXT    NOT NULL CONSTRAINT books_kind CHECK (kind IN ('cash', 'memo')),
    currency TEXT    NOT NULL
) STRICT;

CREATE TABLE accounts (
    id       INTEGER NOT NULL PRIMARY KEY,
    book     INTEGER NOT NULL REFERENCES books (id),
    code     TEXT    NOT NULL CONSTRAINT accounts_code UNIQUE,   -- a path: de-eur/tiktok/de/operating
    currency TEXT    NOT NULL,
    exponent INTEGER NOT NULL,                                   -- so that an amount can always be printed exactly
    kind     TEXT    NOT NULL CONSTRAINT accounts_kind CHECK (kind IN ('master', 'leaf', 'house', 'suspense', 'in_transit', 'memo')),
    floor    INTEGER,                                            -- binds decisions, not facts; none for master, suspense, in-transit
    state    TEXT    NOT NULL CONSTRAINT accounts_state CHECK (state IN ('open', 'frozen', 'closed'))
) STRICT;
CREATE INDEX accounts_book ON accounts (book, id);

-- The moving part of an account, apart and narrow: it is written once per account and commit. Lifetime sums instead of a
-- net, because no day total can then overflow before they do.
CREATE TABLE balances (
    account  INTEGER NOT NULL PRIMARY KEY,
    debits   INTEGER NOT NULL,
    credits  INTEGER NOT NULL,
    held     INTEGER NOT NULL,
    postings INTEGER NOT NULL,
    CONSTRAINT balances_signs CHECK (debits >= 0 AND credits >= 0 AND held >= 0)
) STRICT;

CREATE TABLE entries (
    number      INTEGER NOT NULL PRIMARY KEY,
    seal        INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    basis       TEXT    NOT NULL,   -- fact (the bank did it) or decision (we did): only decisions respect floors
    description TEXT    NOT NULL,   -- no personal data: it is sealed and cannot be erased
    booked_on   TEXT    NOT NULL,
    valued_on   TEXT    NOT NULL,
    cause_type  TEXT    NOT NULL,
    cause_id    TEXT    NOT NULL,
    cause_seq   INTEGER NOT NULL,
    reverses    INTEGER,
    actor       TEXT    NOT NULL,
    metadata    TEXT,
    CONSTRAINT entries_basis CHECK (basis IN ('fact', 'decision'))
) STRICT;
-- I6: one outside fact, one effect, for ever. Causes are mostly time-ordered, so this index grows at its end.
CREATE UNIQUE INDEX entries_cause ON entries (cause_type, cause_id, cause_seq);
CREATE UNIQUE INDEX entries_reverses ON entries (reverses) WHERE reverses IS NOT NULL;

-- Clustered by account: a balance as known at an instant is one seek, a statement one range scan.
CREATE TABLE postings (
    account       INTEGER NOT NULL,
    entry         INTEGER NOT NULL,
    leg           INTEGER NOT NULL,
    amount        INTEGER NOT NULL,   -- debit positive
    balance_after INTEGER NOT NULL,   -- debit positive
    PRIMARY KEY (account, entry, leg)
) STRICT, WITHOUT ROWID;
CREATE INDEX postings_entry ON postings (entry, leg);

-- Holds are movements inside entries: placed, then consumed, released or expired, in parts or whole.
CREATE TABLE holds (
    account    INTEGER NOT NULL,
    entry      INTEGER NOT NULL,
    leg        INTEGER NOT NULL,
    hold       TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    amount     INTEGER NOT NULL,      -- always positive; the kind says which way
    held_after INTEGER NOT NULL,
    PRIMARY KEY (account, entry, leg),
    CONSTRAINT holds_kind CHECK (kind IN ('placed', 'consumed', 'released', 'expired')),
    CONSTRAINT holds_amount CHECK (amount > 0 AND held_after >= 0)
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_entry ON holds (entry, leg);
CREATE INDEX holds_hold ON holds (hold, entry);

-- Sums per account, day and day of recording: charts, interest and dated balances cost days, not postings. One row has
-- both bases, since booking and value day are mostly the same day: half the rows to write.
CREATE TABLE day_totals (
    account     INTEGER NOT NULL,
    day         TEXT    NOT NULL,
    recorded_on TEXT    NOT NULL,
    booked_debits  INTEGER NOT NULL,
    booked_credits INTEGER NOT NULL,
    valued_debits  INTEGER NOT NULL,
    valued_credits INTEGER NOT NULL,
    PRIMARY KEY (account, day, recorded_on)
) STRICT, WITHOUT ROWID;

-- Long work that survives a crash: who works on it until when, and how far it is.
CREATE TABLE jobs (
    id          TEXT NOT NULL PRIMARY KEY,
    kind        TEXT NOT NULL,
    subject     TEXT NOT NULL,
    state       TEXT NOT NULL CONSTRAINT jobs_state CHECK (state IN ('ready', 'done', 'failed')),
    cursor      TEXT NOT NULL,        -- JSON, moved in the same commit as the work that it counts
    lease_owner TEXT,
    lease_until TEXT,
    created_at  TEXT NOT NULL,
    problem     TEXT,
    CONSTRAINT jobs_once UNIQUE (kind, subject)
) STRICT;

-- I2: what is in the journal stays as it is.
CREATE TRIGGER seals_append_only_update    BEFORE UPDATE ON seals    BEGIN SELECT RAISE(ABORT, 'I2: seals are append-only'); END;
CREATE TRIGGER seals_append_only_delete    BEFORE DELETE ON seals    BEGIN SELECT RAISE(ABORT, 'I2: seals are append-only'); END;
CREATE TRIGGER events_append_only_update   BEFORE UPDATE ON events   BEGIN SELECT RAISE(ABORT, 'I2: events are append-only'); END;
CREATE TRIGGER events_append_only_delete   BEFORE DELETE ON events   BEGIN SELECT RAISE(ABORT, 'I2: events are append-only'); END;
CREATE TRIGGER entries_append_only_update  BEFORE UPDATE ON entries  BEGIN SELECT RAISE(ABORT, 'I2: entries are append-only'); END;
CREATE TRIGGER entries_append_only_delete  BEFORE DELETE ON entries  BEGIN SELECT RAISE(ABORT, 'I2: entries are append-only'); END;
CREATE TRIGGER postings_append_only_update BEFORE UPDATE ON postings BEGIN SELECT RAISE(ABORT, 'I2: postings are append-only'); END;
CREATE TRIGGER postings_append_only_delete BEFORE DELETE ON postings BEGIN SELECT RAISE(ABORT, 'I2: postings are append-only'); END;
CREATE TRIGGER holds_append_only_update    BEFORE UPDATE ON holds    BEGIN SELECT RAISE(ABORT, 'I2: holds are append-only'); END;
CREATE TRIGGER holds_append_only_delete    BEFORE DELETE ON holds    BEGIN SELECT RAISE(ABORT, 'I2: holds are append-only'); END;
