DROP TABLE missing_statements;
