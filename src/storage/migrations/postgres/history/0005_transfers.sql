-- Deposits and withdrawals that have ended, by creation; kind is deposit or withdrawal. Open ones are asked of
-- the engine.
CREATE TABLE transfers (
    id         BIGINT PRIMARY KEY,
    kind       TEXT   NOT NULL,
    account    BIGINT NOT NULL,
    asset      BIGINT NOT NULL,
    method     TEXT   NOT NULL,
    created_us BIGINT NOT NULL,
    body       BYTEA  NOT NULL
);
CREATE INDEX transfers_time ON transfers (account, kind, created_us, id);
