-- Deposits and withdrawals that have ended, by creation; kind is deposit or withdrawal. Open ones are asked of
-- the engine.
CREATE TABLE transfers (
    id         INTEGER PRIMARY KEY,
    kind       TEXT    NOT NULL,
    account    INTEGER NOT NULL,
    asset      INTEGER NOT NULL,
    method     TEXT    NOT NULL,
    created_us INTEGER NOT NULL,
    body       BLOB    NOT NULL
);
CREATE INDEX transfers_time ON transfers (account, kind, created_us, id);
