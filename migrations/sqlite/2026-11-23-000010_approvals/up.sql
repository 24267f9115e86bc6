-- Four eyes for anything: what somebody proposes, what others decide on it, and who has to. What is proposed never changes:
-- another content is another proposal. Reasons stand here and in no event, which is sealed.

CREATE TABLE proposals (
    id           TEXT NOT NULL PRIMARY KEY,
    kind         TEXT NOT NULL,
    subject      TEXT NOT NULL,              -- what it is about, as a list shows it
    content      TEXT NOT NULL,              -- canonical JSON: what the command is given when it is carried out
    effect       TEXT NOT NULL,              -- canonical JSON: what it would change, before and after, as it was shown
    digest       TEXT NOT NULL,              -- SHA-256 over kind, subject, content and effect; each decision names it
    targets      TEXT NOT NULL,              -- JSON: where it acts; who decides must reach all of it
    policy       TEXT NOT NULL,              -- JSON: who has to approve, as it was in force
    maker        TEXT NOT NULL,              -- who acts, as events record it
    maker_person TEXT REFERENCES people (id),   -- a key counts as its owner; an operator of the machine is no person here
    made_at      TEXT NOT NULL,
    expires_at   TEXT NOT NULL,
    state        TEXT NOT NULL CONSTRAINT proposals_state
                 CHECK (state IN ('open', 'approved', 'rejected', 'withdrawn', 'expired', 'void')),
    ended_at     TEXT,
    why          TEXT,                       -- why it was rejected, withdrawn or is void
    CONSTRAINT proposals_ended CHECK ((state = 'open') = (ended_at IS NULL))
) STRICT;
-- Few are open, and all that have ended stay.
CREATE INDEX proposals_open ON proposals (kind, subject) WHERE state = 'open';

-- A person decides once on a proposal.
CREATE TABLE decisions (
    proposal   TEXT NOT NULL REFERENCES proposals (id),
    place      INTEGER NOT NULL,             -- from 1, in the order of deciding
    person     TEXT NOT NULL REFERENCES people (id),
    digest     TEXT NOT NULL,                -- of exactly what was decided on
    decision   TEXT NOT NULL CONSTRAINT decisions_decision CHECK (decision IN ('approve', 'reject')),
    reason     TEXT,
    decided_at TEXT NOT NULL,
    PRIMARY KEY (proposal, place),
    CONSTRAINT decisions_person UNIQUE (proposal, person)
) STRICT, WITHOUT ROWID;

-- Who has to approve what; a kind without a row has what comes with Tributary.
CREATE TABLE approval_policies (
    kind         TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    needs        TEXT    NOT NULL,           -- JSON
    expires_days INTEGER NOT NULL,
    made_by      TEXT    NOT NULL,
    made_at      TEXT    NOT NULL,
    PRIMARY KEY (kind, version)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER decisions_append_only_update BEFORE UPDATE ON decisions BEGIN SELECT RAISE(ABORT, 'I2: decisions are append-only'); END;
CREATE TRIGGER decisions_append_only_delete BEFORE DELETE ON decisions BEGIN SELECT RAISE(ABORT, 'I2: decisions are append-only'); END;
CREATE TRIGGER approval_policies_append_only_update BEFORE UPDATE ON approval_policies BEGIN SELECT RAISE(ABORT, 'I2: approval_policies are append-only'); END;
CREATE TRIGGER approval_policies_append_only_delete BEFORE DELETE ON approval_policies BEGIN SELECT RAISE(ABORT, 'I2: approval_policies are append-only'); END;
-- Only how a proposal ends is written later, and once.
CREATE TRIGGER proposals_once BEFORE UPDATE ON proposals
WHEN OLD.state <> 'open' OR OLD.id <> NEW.id OR OLD.kind <> NEW.kind OR OLD.subject <> NEW.subject OR OLD.content <> NEW.content
     OR OLD.effect <> NEW.effect OR OLD.digest <> NEW.digest OR OLD.targets <> NEW.targets OR OLD.policy <> NEW.policy
     OR OLD.maker <> NEW.maker OR OLD.maker_person IS NOT NEW.maker_person OR OLD.made_at <> NEW.made_at
     OR OLD.expires_at <> NEW.expires_at
BEGIN SELECT RAISE(ABORT, 'I7: what is proposed never changes'); END;
CREATE TRIGGER proposals_kept BEFORE DELETE ON proposals BEGIN SELECT RAISE(ABORT, 'I2: proposals are append-only'); END;
