-- Four eyes for anything: what somebody proposes, what others decide on it, and who has to. What is proposed never changes:
-- another content is another proposal. Reasons stand here and in no event, which is sealed.

CREATE TABLE proposals (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    kind         TEXT COLLATE "C" NOT NULL,
    subject      TEXT COLLATE "C" NOT NULL,              -- what it is about, as a list shows it
    content      TEXT COLLATE "C" NOT NULL,              -- canonical JSON: what the command is given when it is carried out
    effect       TEXT COLLATE "C" NOT NULL,              -- canonical JSON: what it would change, before and after, as it was shown
    digest       TEXT COLLATE "C" NOT NULL,              -- SHA-256 over kind, subject, content and effect; each decision names it
    targets      TEXT COLLATE "C" NOT NULL,              -- JSON: where it acts; who decides must reach all of it
    policy       TEXT COLLATE "C" NOT NULL,              -- JSON: who has to approve, as it was in force
    maker        TEXT COLLATE "C" NOT NULL,              -- who acts, as events record it
    maker_person TEXT COLLATE "C" REFERENCES people (id),   -- a key counts as its owner; an operator of the machine is no person here
    made_at      TIMESTAMP NOT NULL,
    expires_at   TIMESTAMP NOT NULL,
    state        TEXT COLLATE "C" NOT NULL CONSTRAINT proposals_state
                 CHECK (state IN ('open', 'approved', 'rejected', 'withdrawn', 'expired', 'void')),
    ended_at     TIMESTAMP,
    why          TEXT COLLATE "C",                       -- why it was rejected, withdrawn or is void
    CONSTRAINT proposals_ended CHECK ((state = 'open') = (ended_at IS NULL))
);
-- Few are open, and all that have ended stay.
CREATE INDEX proposals_open ON proposals (kind, subject) WHERE state = 'open';

-- A person decides once on a proposal.
CREATE TABLE decisions (
    proposal   TEXT COLLATE "C" NOT NULL REFERENCES proposals (id),
    place      BIGINT NOT NULL,             -- from 1, in the order of deciding
    person     TEXT COLLATE "C" NOT NULL REFERENCES people (id),
    digest     TEXT COLLATE "C" NOT NULL,                -- of exactly what was decided on
    decision   TEXT COLLATE "C" NOT NULL CONSTRAINT decisions_decision CHECK (decision IN ('approve', 'reject')),
    reason     TEXT COLLATE "C",
    decided_at TIMESTAMP NOT NULL,
    PRIMARY KEY (proposal, place),
    CONSTRAINT decisions_person UNIQUE (proposal, person)
);

-- Who has to approve what; a kind without a row has what comes with Tributary.
CREATE TABLE approval_policies (
    kind         TEXT COLLATE "C"    NOT NULL,
    version      BIGINT NOT NULL,
    needs        TEXT COLLATE "C"    NOT NULL,           -- JSON
    expires_days BIGINT NOT NULL,
    made_by      TEXT COLLATE "C"    NOT NULL,
    made_at      TIMESTAMP    NOT NULL,
    PRIMARY KEY (kind, version)
);

CREATE TRIGGER decisions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON decisions FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER approval_policies_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON approval_policies FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER proposals_kept BEFORE DELETE OR TRUNCATE ON proposals FOR EACH STATEMENT EXECUTE FUNCTION append_only();
-- Only how a proposal ends is written later, and once.
CREATE FUNCTION proposals_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'I7: what is proposed never changes';
END $$;
CREATE TRIGGER proposals_once BEFORE UPDATE ON proposals FOR EACH ROW
WHEN (OLD.state <> 'open' OR OLD.id <> NEW.id OR OLD.kind <> NEW.kind OR OLD.subject <> NEW.subject OR OLD.content <> NEW.content
      OR OLD.effect <> NEW.effect OR OLD.digest <> NEW.digest OR OLD.targets <> NEW.targets OR OLD.policy <> NEW.policy
      OR OLD.maker <> NEW.maker OR OLD.maker_person IS DISTINCT FROM NEW.maker_person OR OLD.made_at <> NEW.made_at
      OR OLD.expires_at <> NEW.expires_at)
EXECUTE FUNCTION proposals_once();
