-- The treasury on top of the journal: whose accounts these are, what the banks said, and whose money each line is.

CREATE TABLE entities (
    id       TEXT NOT NULL PRIMARY KEY,
    code     TEXT NOT NULL CONSTRAINT entities_code UNIQUE,
    name     TEXT NOT NULL,
    country  TEXT NOT NULL,                -- ISO 3166-1 alpha-2
    metadata TEXT
) STRICT;

CREATE TABLE banks (
    id       TEXT NOT NULL PRIMARY KEY,
    code     TEXT NOT NULL CONSTRAINT banks_code UNIQUE,
    name     TEXT NOT NULL,
    bic      TEXT,
    country  TEXT NOT NULL,
    metadata TEXT
) STRICT;

CREATE TABLE products (
    id       TEXT NOT NULL PRIMARY KEY,
    code     TEXT NOT NULL CONSTRAINT products_code UNIQUE,
    name     TEXT NOT NULL,
    metadata TEXT
) STRICT;

CREATE TABLE markets (
    code TEXT NOT NULL PRIMARY KEY,        -- ISO 3166-1 alpha-2
    name TEXT NOT NULL
) STRICT;

CREATE TABLE masters (
    id               TEXT    NOT NULL PRIMARY KEY,
    code             TEXT    NOT NULL CONSTRAINT masters_code UNIQUE,
    name             TEXT    NOT NULL,
    bank             TEXT    NOT NULL REFERENCES banks (id),
    entity           TEXT    NOT NULL REFERENCES entities (id),
    currency         TEXT    NOT NULL,
    account_number   TEXT    NOT NULL,     -- as statements name it: upper case, no blanks
    time_zone        TEXT    NOT NULL,
    cut_over_on      TEXT    NOT NULL,     -- lines booked before are history and post nothing
    opening          INTEGER NOT NULL,     -- the bank's balance at the start of that day
    number_scheme    TEXT    NOT NULL CONSTRAINT masters_number_scheme CHECK (number_scheme IN ('iban', 'rf', 'digits')),
    number_prefix    TEXT    NOT NULL,     -- the range that the bank has allotted for virtual account numbers
    numbers_given    INTEGER NOT NULL,
    book             INTEGER NOT NULL REFERENCES books (id),
    account          INTEGER NOT NULL REFERENCES accounts (id),
    suspense         INTEGER NOT NULL REFERENCES accounts (id),
    in_transit       INTEGER NOT NULL REFERENCES accounts (id),
    line_count       INTEGER NOT NULL,     -- grows with each line: tells an import that another one was here meanwhile
    metadata         TEXT,
    CONSTRAINT masters_account UNIQUE (account_number, currency)
) STRICT;

-- Virtual accounts in a master: leaves that hold money, house leaves of the treasury, and summary nodes over others.
CREATE TABLE sub_accounts (
    id             TEXT NOT NULL PRIMARY KEY,
    master         TEXT NOT NULL REFERENCES masters (id),
    parent         TEXT REFERENCES sub_accounts (id),
    code           TEXT NOT NULL CONSTRAINT sub_accounts_code UNIQUE,   -- the account's code: de-eur/tiktok/de/operating
    name           TEXT NOT NULL,
    kind           TEXT NOT NULL CONSTRAINT sub_accounts_kind CHECK (kind IN ('summary', 'leaf', 'house')),
    product        TEXT REFERENCES products (id),
    market         TEXT REFERENCES markets (code),
    owner          TEXT NOT NULL REFERENCES entities (id),              -- when it is not the master's, an intercompany position
    account        INTEGER CONSTRAINT sub_accounts_account UNIQUE REFERENCES accounts (id),
    virtual_number TEXT,
    metadata       TEXT,
    CONSTRAINT sub_accounts_leaf CHECK ((kind = 'summary') = (account IS NULL)),
    CONSTRAINT sub_accounts_number UNIQUE (master, virtual_number)
) STRICT;

-- Files exactly as received.
CREATE TABLE statement_files (
    id          TEXT    NOT NULL PRIMARY KEY,
    sha256      TEXT    NOT NULL CONSTRAINT statement_files_content UNIQUE,
    name        TEXT    NOT NULL,
    channel     TEXT    NOT NULL,          -- how it came: cli, demo
    origin      TEXT    NOT NULL,          -- whether the sender was verified, and how: unverified
    format      TEXT    NOT NULL,
    size        INTEGER NOT NULL,
    received_at TEXT    NOT NULL,
    profile     TEXT,                   -- the declared profile that it is read by, as its file said then
    state       TEXT    NOT NULL CONSTRAINT statement_files_state CHECK (state IN ('storing', 'accepted', 'refused')),
    problems    TEXT    NOT NULL           -- JSON: those of the file itself
) STRICT;

CREATE TABLE statement_chunks (
    file  TEXT    NOT NULL,
    seq   INTEGER NOT NULL,
    bytes BLOB    NOT NULL,
    PRIMARY KEY (file, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE statements (
    id              TEXT    NOT NULL PRIMARY KEY,
    file            TEXT    NOT NULL REFERENCES statement_files (id),
    place           INTEGER NOT NULL,      -- in the file, from 0
    master          TEXT REFERENCES masters (id),
    account_number  TEXT,
    currency        TEXT,
    format          TEXT    NOT NULL,
    role            TEXT    NOT NULL CONSTRAINT statements_role CHECK (role IN ('statement', 'report', 'notification')),
    message_id      TEXT,
    statement_id    TEXT,
    number          INTEGER,
    page            INTEGER,
    opening         INTEGER,
    opening_on      TEXT,
    opening_carried INTEGER NOT NULL,      -- carried from the page before, not the day's own
    closing         INTEGER,
    closing_on      TEXT,
    closing_carried INTEGER NOT NULL,
    first_day       TEXT,                  -- first and last booking day of its lines
    last_day        TEXT,
    line_count      INTEGER NOT NULL,
    booked_count    INTEGER NOT NULL,
    credit_total    INTEGER NOT NULL,
    debit_total     INTEGER NOT NULL,
    content         BLOB    NOT NULL,      -- SHA-256 over what it says, apart from how it is written
    state           TEXT    NOT NULL CONSTRAINT statements_state CHECK (state IN
        ('posting', 'posted', 'refused', 'quarantined', 'restated', 'already_imported', 'copy', 'rejected', 'superseded')),
    same_as         TEXT REFERENCES statements (id),    -- the statement that it repeats or restates
    problems        TEXT    NOT NULL,      -- JSON
    decided_by      TEXT,                  -- who accepted or rejected it, where a person had to
    decided_at      TEXT,
    reason          TEXT,
    CONSTRAINT statements_place UNIQUE (file, place)
) STRICT;
CREATE INDEX statements_master ON statements (master, last_day);
CREATE INDEX statements_content ON statements (content);

-- What the bank has booked, each line once however many messages tell of it. `facet` is the strongest that told: notified
-- (booked, as a report or notification says) or booked (as the statement of the day says). A line posts once, at the first.
CREATE TABLE lines (
    id                   TEXT    NOT NULL PRIMARY KEY,
    master               TEXT    NOT NULL,
    statement            TEXT    NOT NULL,   -- the first that told of it, and where in it
    place                INTEGER NOT NULL,
    booked_on            TEXT    NOT NULL,
    valued_on            TEXT    NOT NULL,
    amount               INTEGER NOT NULL,   -- credit to us positive
    identity             BLOB    NOT NULL,   -- digest of its content ...
    ordinal              INTEGER NOT NULL,   -- ... and its place among equals
    facet                TEXT    NOT NULL CONSTRAINT lines_facet CHECK (facet IN ('notified', 'booked')),
    posting              TEXT    NOT NULL CONSTRAINT lines_posting CHECK (posting IN ('none', 'history', 'posted', 'withdrawn')),
    reversal             INTEGER NOT NULL,
    bank_ref             TEXT,
    owner_ref            TEXT,
    end_to_end_id        TEXT,
    code                 TEXT,
    counterparty_name    TEXT,
    counterparty_account TEXT,
    ultimate_name        TEXT,
    own_account          TEXT,
    creditor_reference   TEXT,
    remittance           TEXT,
    info                 TEXT,
    return_reason        TEXT,
    detail_count         INTEGER NOT NULL,
    unconfirmed          INTEGER NOT NULL,     -- its credits are held until a statement has it
    replaces             TEXT                   -- the line in whose place it stands, as a statement corrected that
) STRICT;
-- I6: the identity of a line never expires.
CREATE UNIQUE INDEX lines_identity ON lines (master, identity, ordinal);
CREATE INDEX lines_day ON lines (master, booked_on, id);
-- One place of a statement tells of one line, whoever posts it.
CREATE UNIQUE INDEX lines_statement ON lines (statement, place);
-- Those that no statement has yet: few, and looked for with each statement.
CREATE INDEX lines_notified ON lines (master, booked_on) WHERE facet = 'notified';

-- The further messages that told of a line; the first stands in the line itself.
CREATE TABLE line_facets (
    statement TEXT    NOT NULL,
    place     INTEGER NOT NULL,
    line      TEXT    NOT NULL,
    kind      TEXT    NOT NULL CONSTRAINT line_facets_kind CHECK (kind IN ('notified', 'booked')),
    PRIMARY KEY (statement, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX line_facets_line ON line_facets (line);

-- What the bank says will come or go (pending): shown, and never posted. Met by a line, or expired when none came.
CREATE TABLE pending_lines (
    id                   TEXT    NOT NULL PRIMARY KEY,
    master               TEXT    NOT NULL,
    statement            TEXT    NOT NULL,   -- the message that told of it first, and where in it
    place                INTEGER NOT NULL,
    expected_on          TEXT NOT NULL,
    amount               INTEGER NOT NULL,   -- credit to us positive
    identity             BLOB NOT NULL,
    bank_ref             TEXT,
    end_to_end_id        TEXT,
    counterparty_name    TEXT,
    counterparty_account TEXT,
    remittance           TEXT,
    state                TEXT    NOT NULL CONSTRAINT pending_lines_state CHECK (state IN ('open', 'met', 'expired')),
    line                 TEXT,            -- the line that met it
    CONSTRAINT pending_lines_met CHECK ((state = 'met') = (line IS NOT NULL)),
    CONSTRAINT pending_lines_place UNIQUE (statement, place)
) STRICT;
CREATE INDEX pending_lines_open ON pending_lines (master) WHERE state = 'open';

-- How a bank reports on a master, where it is not the usual way.
CREATE TABLE bank_profiles (
    master         TEXT    NOT NULL PRIMARY KEY,
    notified       TEXT    NOT NULL CONSTRAINT bank_profiles_notified CHECK (notified IN ('unconfirmed', 'final')),
    reports        TEXT    NOT NULL CONSTRAINT bank_profiles_reports CHECK (reports IN ('cumulative', 'delta')),
    contradictions TEXT    NOT NULL CONSTRAINT bank_profiles_contradictions CHECK (contradictions IN ('wait', 'accept'))
) STRICT, WITHOUT ROWID;

-- The payments inside a line that is a batch; a line with one detail carries it itself.
CREATE TABLE line_details (
    line                 TEXT    NOT NULL,
    place                INTEGER NOT NULL,
    amount               INTEGER,            -- signed as the line
    end_to_end_id        TEXT,
    bank_ref             TEXT,
    counterparty_name    TEXT,
    counterparty_account TEXT,
    own_account          TEXT,
    creditor_reference   TEXT,
    remittance           TEXT,
    return_reason        TEXT,
    PRIMARY KEY (line, place)
) STRICT, WITHOUT ROWID;

-- Rules are versioned data: a change is a new version, and every route says which version made it.
CREATE TABLE rules (
    code       TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    priority   INTEGER NOT NULL,             -- the smallest number is tried first
    state      TEXT    NOT NULL CONSTRAINT rules_state CHECK (state IN ('active', 'retired')),
    definition TEXT    NOT NULL,             -- JSON: conditions and targets
    made_by    TEXT    NOT NULL,
    made_at    TEXT    NOT NULL,
    PRIMARY KEY (code, version)
) STRICT, WITHOUT ROWID;

-- The decision whose money a line is, or one payment of it, with why. The newest is in force, earlier ones stay: one of the
-- whole line replaces all before it, one of a payment those of the same payment and of the whole line.
CREATE TABLE routes (
    line       TEXT    NOT NULL,
    seq        INTEGER NOT NULL,             -- from 0
    detail     INTEGER,                      -- which of the line's payments; NULL: the line as a whole
    amount     INTEGER NOT NULL,             -- of the line or payment, credit to us positive
    entry      INTEGER NOT NULL,             -- the journal entry that carried it out
    evidence   TEXT    NOT NULL CONSTRAINT routes_evidence CHECK (evidence IN ('virtual_number', 'expected', 'return', 'own_transfer',
        'rule', 'settlement', 'none', 'person', 'withdrawn')),
    rule       TEXT,
    version    INTEGER,
    matched    TEXT    NOT NULL,             -- JSON: the fields that decided, and their values
    sentence   TEXT    NOT NULL,             -- why, for people
    shares     TEXT    NOT NULL,             -- JSON: [[account, minor units], ...]
    suspense   INTEGER NOT NULL,             -- whether the line waits to be placed
    decided_by TEXT    NOT NULL,
    decided_at TEXT    NOT NULL,
    PRIMARY KEY (line, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX routes_suspense ON routes (line) WHERE suspense = 1;
