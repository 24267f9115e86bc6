DROP TABLE server_secrets;
DROP TABLE idempotency_keys;
