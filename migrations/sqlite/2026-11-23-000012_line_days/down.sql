DROP TABLE line_days;
