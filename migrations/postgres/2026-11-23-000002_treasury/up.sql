-- The treasury on top of the journal: whose accounts these are, what the banks said, and whose money each line is.

CREATE TABLE entities (
    id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    code     TEXT COLLATE "C" NOT NULL CONSTRAINT entities_code UNIQUE,
    name     TEXT COLLATE "C" NOT NULL,
    country  TEXT COLLATE "C" NOT NULL,                -- ISO 3166-1 alpha-2
    metadata TEXT COLLATE "C"
);

CREATE TABLE banks (
    id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    code     TEXT COLLATE "C" NOT NULL CONSTRAINT banks_code UNIQUE,
    name     TEXT COLLATE "C" NOT NULL,
    bic      TEXT COLLATE "C",
    country  TEXT COLLATE "C" NOT NULL,
    metadata TEXT COLLATE "C"
);

CREATE TABLE products (
    id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    code     TEXT COLLATE "C" NOT NULL CONSTRAINT products_code UNIQUE,
    name     TEXT COLLATE "C" NOT NULL,
    metadata TEXT COLLATE "C"
);

CREATE TABLE markets (
    code TEXT COLLATE "C" NOT NULL PRIMARY KEY,        -- ISO 3166-1 alpha-2
    name TEXT COLLATE "C" NOT NULL
);

CREATE TABLE masters (
    id               TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    code             TEXT COLLATE "C"    NOT NULL CONSTRAINT masters_code UNIQUE,
    name             TEXT COLLATE "C"    NOT NULL,
    bank             TEXT COLLATE "C"    NOT NULL REFERENCES banks (id),
    entity           TEXT COLLATE "C"    NOT NULL REFERENCES entities (id),
    currency         TEXT COLLATE "C"    NOT NULL,
    account_number   TEXT COLLATE "C"    NOT NULL,     -- as statements name it: upper case, no blanks
    time_zone        TEXT COLLATE "C"    NOT NULL,
    cut_over_on      DATE    NOT NULL,     -- lines booked before are history and post nothing
    opening          BIGINT NOT NULL,     -- the bank's balance at the start of that day
    number_scheme    TEXT COLLATE "C"    NOT NULL CONSTRAINT masters_number_scheme CHECK (number_scheme IN ('iban', 'rf', 'digits')),
    number_prefix    TEXT COLLATE "C"    NOT NULL,     -- the range that the bank has allotted for virtual account numbers
    numbers_given    BIGINT NOT NULL,
    book             BIGINT NOT NULL REFERENCES books (id),
    account          BIGINT NOT NULL REFERENCES accounts (id),
    suspense         BIGINT NOT NULL REFERENCES accounts (id),
    in_transit       BIGINT NOT NULL REFERENCES accounts (id),
    line_count       BIGINT NOT NULL,     -- grows with each line: tells an import that another one was here meanwhile
    metadata         TEXT COLLATE "C",
    CONSTRAINT masters_account UNIQUE (account_number, currency)
);

-- Virtual accounts in a master: leaves that hold money, house leaves of the treasury, and summary nodes over others.
CREATE TABLE sub_accounts (
    id             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    master         TEXT COLLATE "C" NOT NULL REFERENCES masters (id),
    parent         TEXT COLLATE "C" REFERENCES sub_accounts (id),
    code           TEXT COLLATE "C" NOT NULL CONSTRAINT sub_accounts_code UNIQUE,   -- the account's code: de-eur/tiktok/de/operating
    name           TEXT COLLATE "C" NOT NULL,
    kind           TEXT COLLATE "C" NOT NULL CONSTRAINT sub_accounts_kind CHECK (kind IN ('summary', 'leaf', 'house')),
    product        TEXT COLLATE "C" REFERENCES products (id),
    market         TEXT COLLATE "C" REFERENCES markets (code),
    owner          TEXT COLLATE "C" NOT NULL REFERENCES entities (id),              -- when it is not the master's, an intercompany position
    account        BIGINT CONSTRAINT sub_accounts_account UNIQUE REFERENCES accounts (id),
    virtual_number TEXT COLLATE "C",
    metadata       TEXT COLLATE "C",
    CONSTRAINT sub_accounts_leaf CHECK ((kind = 'summary') = (account IS NULL)),
    CONSTRAINT sub_accounts_number UNIQUE (master, virtual_number)
);

-- Files exactly as received.
CREATE TABLE statement_files (
    id          TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    sha256      TEXT COLLATE "C"    NOT NULL CONSTRAINT statement_files_content UNIQUE,
    name        TEXT COLLATE "C"    NOT NULL,
    channel     TEXT COLLATE "C"    NOT NULL,          -- how it came: cli, demo
    origin      TEXT COLLATE "C"    NOT NULL,          -- whether the sender was verified, and how: unverified
    format      TEXT COLLATE "C"    NOT NULL,
    size        BIGINT NOT NULL,
    received_at TIMESTAMP    NOT NULL,
    profile     TEXT COLLATE "C",                   -- the declared profile that it is read by, as its file said then
    state       TEXT COLLATE "C"    NOT NULL CONSTRAINT statement_files_state CHECK (state IN ('storing', 'accepted', 'refused')),
    problems    TEXT COLLATE "C"    NOT NULL           -- JSON: those of the file itself
);

CREATE TABLE statement_chunks (
    file  TEXT COLLATE "C"    NOT NULL,
    seq   BIGINT NOT NULL,
    bytes BYTEA    NOT NULL,
    PRIMARY KEY (file, seq)
);

CREATE TABLE statements (
    id              TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    file            TEXT COLLATE "C"    NOT NULL REFERENCES statement_files (id),
    place           BIGINT NOT NULL,      -- in the file, from 0
    master          TEXT COLLATE "C" REFERENCES masters (id),
    account_number  TEXT COLLATE "C",
    currency        TEXT COLLATE "C",
    format          TEXT COLLATE "C"    NOT NULL,
    role            TEXT COLLATE "C"    NOT NULL CONSTRAINT statements_role CHECK (role IN ('statement', 'report', 'notification')),
    message_id      TEXT COLLATE "C",
    statement_id    TEXT COLLATE "C",
    number          BIGINT,
    page            BIGINT,
    opening         BIGINT,
    opening_on      DATE,
    opening_carried BOOLEAN NOT NULL,      -- carried from the page before, not the day's own
    closing         BIGINT,
    closing_on      DATE,
    closing_carried BOOLEAN NOT NULL,
    first_day       DATE,                  -- first and last booking day of its lines
    last_day        DATE,
    line_count      BIGINT NOT NULL,
    booked_count    BIGINT NOT NULL,
    credit_total    BIGINT NOT NULL,
    debit_total     BIGINT NOT NULL,
    content         BYTEA    NOT NULL,      -- SHA-256 over what it says, apart from how it is written
    state           TEXT COLLATE "C"    NOT NULL CONSTRAINT statements_state CHECK (state IN
        ('posting', 'posted', 'refused', 'quarantined', 'restated', 'already_imported', 'copy', 'rejected', 'superseded')),
    same_as         TEXT COLLATE "C" REFERENCES statements (id),    -- the statement that it repeats or restates
    problems        TEXT COLLATE "C"    NOT NULL,      -- JSON
    decided_by      TEXT COLLATE "C",                  -- who accepted or rejected it, where a person had to
    decided_at      TIMESTAMP,
    reason          TEXT COLLATE "C",
    CONSTRAINT statements_place UNIQUE (file, place)
);
CREATE INDEX statements_master ON statements (master, last_day);
CREATE INDEX statements_content ON statements (content);

-- What the bank has booked, each line once however many messages tell of it. `facet` is the strongest that told: notified
-- (booked, as a report or notification says) or booked (as the statement of the day says). A line posts once, at the first.
CREATE TABLE lines (
    id                   TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    master               TEXT COLLATE "C"    NOT NULL,
    statement            TEXT COLLATE "C"    NOT NULL,   -- the first that told of it, and where in it
    place                BIGINT NOT NULL,
    booked_on            DATE    NOT NULL,
    valued_on            DATE    NOT NULL,
    amount               BIGINT NOT NULL,   -- credit to us positive
    identity             BYTEA    NOT NULL,   -- digest of its content ...
    ordinal              BIGINT NOT NULL,   -- ... and its place among equals
    facet                TEXT COLLATE "C"    NOT NULL CONSTRAINT lines_facet CHECK (facet IN ('notified', 'booked')),
    posting              TEXT COLLATE "C"    NOT NULL CONSTRAINT lines_posting CHECK (posting IN ('none', 'history', 'posted', 'withdrawn')),
    reversal             BOOLEAN NOT NULL,
    bank_ref             TEXT COLLATE "C",
    owner_ref            TEXT COLLATE "C",
    end_to_end_id        TEXT COLLATE "C",
    code                 TEXT COLLATE "C",
    counterparty_name    TEXT COLLATE "C",
    counterparty_account TEXT COLLATE "C",
    ultimate_name        TEXT COLLATE "C",
    own_account          TEXT COLLATE "C",
    creditor_reference   TEXT COLLATE "C",
    remittance           TEXT COLLATE "C",
    info                 TEXT COLLATE "C",
    return_reason        TEXT COLLATE "C",
    detail_count         BIGINT NOT NULL,
    unconfirmed          BOOLEAN NOT NULL,     -- its credits are held until a statement has it
    replaces             TEXT COLLATE "C"                   -- the line in whose place it stands, as a statement corrected that
);
-- I6: the identity of a line never expires.
CREATE UNIQUE INDEX lines_identity ON lines (master, identity, ordinal);
CREATE INDEX lines_day ON lines (master, booked_on, id);
-- One place of a statement tells of one line, whoever posts it.
CREATE UNIQUE INDEX lines_statement ON lines (statement, place);
-- Those that no statement has yet: few, and looked for with each statement.
CREATE INDEX lines_notified ON lines (master, booked_on) WHERE facet = 'notified';

-- The further messages that told of a line; the first stands in the line itself.
CREATE TABLE line_facets (
    statement TEXT COLLATE "C"    NOT NULL,
    place     BIGINT NOT NULL,
    line      TEXT COLLATE "C"    NOT NULL,
    kind      TEXT COLLATE "C"    NOT NULL CONSTRAINT line_facets_kind CHECK (kind IN ('notified', 'booked')),
    PRIMARY KEY (statement, place)
);
CREATE INDEX line_facets_line ON line_facets (line);

-- What the bank says will come or go (pending): shown, and never posted. Met by a line, or expired when none came.
CREATE TABLE pending_lines (
    id                   TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    master               TEXT COLLATE "C"    NOT NULL,
    statement            TEXT COLLATE "C"    NOT NULL,   -- the message that told of it first, and where in it
    place                BIGINT NOT NULL,
    expected_on          DATE NOT NULL,
    amount               BIGINT NOT NULL,   -- credit to us positive
    identity             BYTEA NOT NULL,
    bank_ref             TEXT COLLATE "C",
    end_to_end_id        TEXT COLLATE "C",
    counterparty_name    TEXT COLLATE "C",
    counterparty_account TEXT COLLATE "C",
    remittance           TEXT COLLATE "C",
    state                TEXT COLLATE "C"    NOT NULL CONSTRAINT pending_lines_state CHECK (state IN ('open', 'met', 'expired')),
    line                 TEXT COLLATE "C",            -- the line that met it
    CONSTRAINT pending_lines_met CHECK ((state = 'met') = (line IS NOT NULL)),
    CONSTRAINT pending_lines_place UNIQUE (statement, place)
);
CREATE INDEX pending_lines_open ON pending_lines (master) WHERE state = 'open';

-- How a bank reports on a master, where it is not the usual way.
CREATE TABLE bank_profiles (
    master         TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    notified       TEXT COLLATE "C"    NOT NULL CONSTRAINT bank_profiles_notified CHECK (notified IN ('unconfirmed', 'final')),
    reports        TEXT COLLATE "C"    NOT NULL CONSTRAINT bank_profiles_reports CHECK (reports IN ('cumulative', 'delta')),
    contradictions TEXT COLLATE "C"    NOT NULL CONSTRAINT bank_profiles_contradictions CHECK (contradictions IN ('wait', 'accept'))
);

-- The payments inside a line that is a batch; a line with one detail carries it itself.
CREATE TABLE line_details (
    line                 TEXT COLLATE "C"    NOT NULL,
    place                BIGINT NOT NULL,
    amount               BIGINT,            -- signed as the line
    end_to_end_id        TEXT COLLATE "C",
    bank_ref             TEXT COLLATE "C",
    counterparty_name    TEXT COLLATE "C",
    counterparty_account TEXT COLLATE "C",
    own_account          TEXT COLLATE "C",
    creditor_reference   TEXT COLLATE "C",
    remittance           TEXT COLLATE "C",
    return_reason        TEXT COLLATE "C",
    PRIMARY KEY (line, place)
);

-- Rules are versioned data: a change is a new version, and every route says which version made it.
CREATE TABLE rules (
    code       TEXT COLLATE "C"    NOT NULL,
    version    BIGINT NOT NULL,
    priority   BIGINT NOT NULL,             -- the smallest number is tried first
    state      TEXT COLLATE "C"    NOT NULL CONSTRAINT rules_state CHECK (state IN ('active', 'retired')),
    definition TEXT COLLATE "C"    NOT NULL,             -- JSON: conditions and targets
    made_by    TEXT COLLATE "C"    NOT NULL,
    made_at    TIMESTAMP    NOT NULL,
    PRIMARY KEY (code, version)
);

-- The decision whose money a line is, or one payment of it, with why. The newest is in force, earlier ones stay: one of the
-- whole line replaces all before it, one of a payment those of the same payment and of the whole line.
CREATE TABLE routes (
    line       TEXT COLLATE "C"    NOT NULL,
    seq        BIGINT NOT NULL,             -- from 0
    detail     BIGINT,                      -- which of the line's payments; NULL: the line as a whole
    amount     BIGINT NOT NULL,             -- of the line or payment, credit to us positive
    entry      BIGINT NOT NULL,             -- the journal entry that carried it out
    evidence   TEXT COLLATE "C"    NOT NULL CONSTRAINT routes_evidence CHECK (evidence IN ('virtual_number', 'expected', 'return', 'own_transfer',
        'rule', 'settlement', 'none', 'person', 'withdrawn')),
    rule       TEXT COLLATE "C",
    version    BIGINT,
    matched    TEXT COLLATE "C"    NOT NULL,             -- JSON: the fields that decided, and their values
    sentence   TEXT COLLATE "C"    NOT NULL,             -- why, for people
    shares     TEXT COLLATE "C"    NOT NULL,             -- JSON: [[account, minor units], ...]
    suspense   BOOLEAN NOT NULL,             -- whether the line waits to be placed
    decided_by TEXT COLLATE "C"    NOT NULL,
    decided_at TIMESTAMP    NOT NULL,
    PRIMARY KEY (line, seq)
);
CREATE INDEX routes_suspense ON routes (line) WHERE suspense;
