-- The booking day that a statement gives a line which was told early for another day. The line and its entry keep the day on
-- which they posted; another statement of either day must know where the bank's books have it.
CREATE TABLE line_days (
    line      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    master    TEXT COLLATE "C" NOT NULL,
    booked_on DATE NOT NULL
);
CREATE INDEX line_days_day ON line_days (master, booked_on, line);
