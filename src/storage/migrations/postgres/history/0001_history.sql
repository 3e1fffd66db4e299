-- What the journal tells, laid out for queries. Times in microseconds; a body is opaque here.

-- The last event that the tables below contain, and the digest of the journal row that holds it, by which tables of
-- another journal are found. Moved in the transaction that moves them.
CREATE TABLE checkpoint (
    id     BIGINT PRIMARY KEY CHECK (id = 1),
    seq    BIGINT NOT NULL,
    digest BYTEA
);
INSERT INTO checkpoint (id, seq) VALUES (1, 0);

-- Orders that have closed; open ones are asked of the engine.
CREATE TABLE orders (
    order_id     BIGINT PRIMARY KEY,
    account      BIGINT NOT NULL,
    market       BIGINT NOT NULL,
    service_user BIGINT NOT NULL,
    cl_ord_id    TEXT,
    userref      BIGINT,
    closed_us    BIGINT NOT NULL,
    body         BYTEA  NOT NULL
);
CREATE INDEX orders_closed ON orders (account, closed_us, order_id);
-- A client's own ids belong to the Service User: its last orders of one id are looked up, however many others have used it.
CREATE INDEX orders_named ON orders (service_user, cl_ord_id, closed_us, order_id) WHERE cl_ord_id IS NOT NULL;

-- One row per fill and side.
CREATE TABLE trades (
    exec    BIGINT PRIMARY KEY,
    account BIGINT NOT NULL,
    market  BIGINT NOT NULL,
    at_us   BIGINT NOT NULL,
    body    BYTEA  NOT NULL
);
CREATE INDEX trades_time ON trades (account, at_us, exec);
-- The last trades of each market, which `trade` begins with after a restart.
CREATE INDEX trades_market ON trades (market, exec);

CREATE TABLE ledger_entries (
    ledger_id BIGINT PRIMARY KEY,
    account   BIGINT NOT NULL,
    asset     BIGINT NOT NULL,
    kind      TEXT   NOT NULL,
    at_us     BIGINT NOT NULL,
    body      BYTEA  NOT NULL
);
CREATE INDEX ledger_entries_time ON ledger_entries (account, at_us, ledger_id);

-- Who did what in each Organization.
CREATE TABLE audit (
    entry_offset BIGINT PRIMARY KEY,
    organization BIGINT NOT NULL,
    at_us        BIGINT NOT NULL,
    body         BYTEA  NOT NULL
);
CREATE INDEX audit_time ON audit (organization, at_us, entry_offset);

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

-- What the trades of a market came to in each stretch of time. seq is the last event that is in it: what was
-- told before is not added again.
CREATE TABLE candles (
    market   BIGINT NOT NULL,
    interval BIGINT NOT NULL,
    begin_us BIGINT NOT NULL,
    open     BIGINT NOT NULL,
    high     BIGINT NOT NULL,
    low      BIGINT NOT NULL,
    close    BIGINT NOT NULL,
    trades   BIGINT NOT NULL,
    volume   BIGINT NOT NULL,
    cost     BIGINT NOT NULL,
    seq      BIGINT NOT NULL,
    PRIMARY KEY (market, interval, begin_us)
);

-- Where the items of each private stream lie in the journal: a row for each block of 256 events with at least
-- one of them, and the time of the first. The items themselves are the journal's.
CREATE TABLE stream_blocks (
    stream TEXT   NOT NULL,
    block  BIGINT NOT NULL,
    at_us  BIGINT NOT NULL,
    PRIMARY KEY (stream, block)
);
CREATE INDEX stream_blocks_time ON stream_blocks (at_us);

-- Every block with an item after this event is in the table: older ones were dropped.
CREATE TABLE streams_since (
    id  BIGINT PRIMARY KEY CHECK (id = 1),
    seq BIGINT NOT NULL
);
INSERT INTO streams_since (id, seq) VALUES (1, 0);
