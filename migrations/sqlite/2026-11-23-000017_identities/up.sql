-- Sign-in by a provider (OpenID Connect): which of its identities is which person, and which answers of it were used.

-- An identity is linked to one person, and a person to one identity of an issuer. Those unlinked stay. The subject may be
-- personal data: events carry a digest of it with the salt, so that it can be erased here.
CREATE TABLE identities (
    id          TEXT NOT NULL PRIMARY KEY,
    person      TEXT NOT NULL REFERENCES people (id),
    issuer      TEXT NOT NULL,
    subject     TEXT NOT NULL,           -- as the issuer names them, for ever
    salt        BLOB NOT NULL,
    made_by     TEXT NOT NULL,
    made_at     TEXT NOT NULL,
    unlinked_by TEXT,
    unlinked_at TEXT,
    CONSTRAINT identities_unlinked CHECK ((unlinked_by IS NULL) = (unlinked_at IS NULL))
) STRICT;
CREATE UNIQUE INDEX identities_subject ON identities (issuer, subject) WHERE unlinked_at IS NULL;
CREATE UNIQUE INDEX identities_person ON identities (person, issuer) WHERE unlinked_at IS NULL;

-- Sign-ins by a provider that have come to their end, so that none does twice; forgotten once they would have expired anyway.
-- Written only for somebody whom the provider has vouched for: nobody else can fill it. Housekeeping, without an event.
CREATE TABLE used_sign_ins (
    digest  BLOB NOT NULL PRIMARY KEY,
    used_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX used_sign_ins_at ON used_sign_ins (used_at);
