-- What the journal tells, laid out for queries. Times in microseconds; a body is opaque here.

-- The last event that the tables below contain, moved in the transaction that moves them.
CREATE TABLE checkpoint (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL
);
INSERT INTO checkpoint (id, seq) VALUES (1, 0);

-- An order as its latest event left it; closed_us is null while it is open.
CREATE TABLE orders (
    order_id     INTEGER PRIMARY KEY,
    account      INTEGER NOT NULL,
    market       INTEGER NOT NULL,
    service_user INTEGER NOT NULL,
    cl_ord_id    TEXT,
    userref      INTEGER,
    opened_us    INTEGER NOT NULL,
    closed_us    INTEGER,
    event_offset INTEGER NOT NULL,
    body         BLOB    NOT NULL
);
CREATE INDEX orders_closed ON orders (account, closed_us, order_id) WHERE closed_us IS NOT NULL;
CREATE INDEX orders_client ON orders (account, cl_ord_id) WHERE cl_ord_id IS NOT NULL;

-- One row per fill and side.
CREATE TABLE trades (
    exec     INTEGER PRIMARY KEY,
    account  INTEGER NOT NULL,
    market   INTEGER NOT NULL,
    order_id INTEGER NOT NULL,
    at_us    INTEGER NOT NULL,
    body     BLOB    NOT NULL
);
CREATE INDEX trades_time ON trades (account, at_us, exec);

CREATE TABLE ledger_entries (
    ledger_id INTEGER PRIMARY KEY,
    account   INTEGER NOT NULL,
    asset     INTEGER NOT NULL,
    kind      TEXT    NOT NULL,
    at_us     INTEGER NOT NULL,
    body      BLOB    NOT NULL
);
CREATE INDEX ledger_entries_time ON ledger_entries (account, at_us, ledger_id);
