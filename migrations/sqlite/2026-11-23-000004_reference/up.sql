-- What decisions and questions go by besides the books: limits of accounts, business days, and rates into the reporting currency.

-- Limits bind decisions, not facts. They stand with the account, which every posting reads anyway: no statement more.
ALTER TABLE accounts ADD COLUMN ceiling        INTEGER CONSTRAINT accounts_ceiling CHECK (ceiling >= 0);   -- of the booked balance, on its normal side
ALTER TABLE accounts ADD COLUMN movement_limit INTEGER CONSTRAINT accounts_movement_limit CHECK (movement_limit > 0);   -- of what one decision moves
-- An instant, the end of a day in its master's time zone, so that posting needs to know no time zone.
ALTER TABLE accounts ADD COLUMN expires_at     TEXT;

-- The days on which a master's bank works, and until when that day's messages are to be here (local time, such as 09:00).
ALTER TABLE masters ADD COLUMN calendar     TEXT NOT NULL DEFAULT 'weekdays';
ALTER TABLE masters ADD COLUMN statement_by TEXT;
ALTER TABLE masters ADD COLUMN report_by    TEXT;

-- What is set for the whole treasury: the reporting currency, whose rates, when a rate is too old.
CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- Calendars that are declared; `weekdays` and `target` are rules of the program and stand nowhere.
CREATE TABLE calendars (
    code    TEXT NOT NULL PRIMARY KEY,
    name    TEXT NOT NULL,
    weekend TEXT NOT NULL           -- days of the week: sat,sun
) STRICT;

CREATE TABLE calendar_holidays (
    calendar TEXT NOT NULL REFERENCES calendars (code),
    day      TEXT NOT NULL,
    name     TEXT NOT NULL,
    PRIMARY KEY (calendar, day)
) STRICT, WITHOUT ROWID;

-- Who publishes rates. All of a source's rates have one base, through which any two of its currencies compare.
CREATE TABLE rate_sources (
    code TEXT NOT NULL PRIMARY KEY,
    base TEXT NOT NULL
) STRICT;

-- So many units of a currency for one unit of the source's base. What was published stays: a correction is the next version, so
-- that a report which names its rates can be made again.
CREATE TABLE rates (
    source      TEXT    NOT NULL,
    currency    TEXT    NOT NULL,
    day         TEXT    NOT NULL,
    version     INTEGER NOT NULL CONSTRAINT rates_version CHECK (version >= 1),
    rate        TEXT    NOT NULL,   -- an exact decimal: neither database is to round it
    recorded_at TEXT    NOT NULL,
    PRIMARY KEY (source, currency, day, version)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER rates_append_only_update BEFORE UPDATE ON rates BEGIN SELECT RAISE(ABORT, 'I2: rates are append-only'); END;
CREATE TRIGGER rates_append_only_delete BEFORE DELETE ON rates BEGIN SELECT RAISE(ABORT, 'I2: rates are append-only'); END;
