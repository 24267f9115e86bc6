-- The booking day that a statement gives a line which was told early for another day. The line and its entry keep the day on
-- which they posted; another statement of either day must know where the bank's books have it.
CREATE TABLE line_days (
    line      TEXT NOT NULL PRIMARY KEY,
    master    TEXT NOT NULL,
    booked_on TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX line_days_day ON line_days (master, booked_on, line);
