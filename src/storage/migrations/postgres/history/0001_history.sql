-- What the journal tells, laid out for queries. Times in microseconds; a body is opaque here.

-- The last event that the tables below contain, moved in the transaction that moves them.
CREATE TABLE checkpoint (
    id  BIGINT PRIMARY KEY CHECK (id = 1),
    seq BIGINT NOT NULL
);
INSERT INTO checkpoint (id, seq) VALUES (1, 0);

-- An order as its latest event left it; closed_us is null while it is open.
CREATE TABLE orders (
    order_id     BIGINT PRIMARY KEY,
    account      BIGINT NOT NULL,
    market       BIGINT NOT NULL,
    service_user BIGINT NOT NULL,
    cl_ord_id    TEXT,
    userref      BIGINT,
    opened_us    BIGINT NOT NULL,
    closed_us    BIGINT,
    event_offset BIGINT NOT NULL,
    body         BYTEA  NOT NULL
);
CREATE INDEX orders_closed ON orders (account, closed_us, order_id) WHERE closed_us IS NOT NULL;
CREATE INDEX orders_client ON orders (account, cl_ord_id) WHERE cl_ord_id IS NOT NULL;

-- One row per fill and side.
CREATE TABLE trades (
    exec     BIGINT PRIMARY KEY,
    account  BIGINT NOT NULL,
    market   BIGINT NOT NULL,
    order_id BIGINT NOT NULL,
    at_us    BIGINT NOT NULL,
    body     BYTEA  NOT NULL
);
CREATE INDEX trades_time ON trades (account, at_us, exec);

CREATE TABLE ledger_entries (
    ledger_id BIGINT PRIMARY KEY,
    account   BIGINT NOT NULL,
    asset     BIGINT NOT NULL,
    kind      TEXT   NOT NULL,
    at_us     BIGINT NOT NULL,
    body      BYTEA  NOT NULL
);
CREATE INDEX ledger_entries_time ON ledger_entries (account, at_us, ledger_id);
