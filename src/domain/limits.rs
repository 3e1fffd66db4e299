//! Every maximum of the engine in one list. The gateway's own limits are settings.

/// Markets that one server may hold.
pub const MARKETS_MAX: usize = 1_000;
/// Assets that one server may hold.
pub const ASSETS_MAX: usize = 1_000;
/// Open orders of one account over all markets.
pub const OPEN_ORDERS_MAX: usize = 1_000_000;
/// Ids in one `cancel_order` or `query_orders`.
pub const ORDER_IDS_MAX: usize = 50;
/// Votes that one one-time code may carry (rule 15).
pub const VOTES_MAX: usize = 50;
/// Nonces remembered inside a key's window (rule 2).
pub const NONCES_MAX: usize = 1_024;
/// Pending requests of one Organization.
pub const REQUESTS_OPEN_MAX: usize = 10_000;
/// Pending requests that the Service Users of one Organization may have asked for; the rest of the queue is the
/// Members', who govern them.
pub const SERVICE_USER_REQUESTS_OPEN_MAX: usize = REQUESTS_OPEN_MAX / 2;
/// Ended requests of one Organization that can still be looked up; the audit log has all of them.
pub const REQUESTS_ENDED_MAX: usize = 10_000;
/// Service Users of one Organization.
pub const SERVICE_USERS_MAX: usize = 1_000;
/// Organizations that one server may hold, each with one account.
pub const ORGANIZATIONS_MAX: usize = 100_000;
/// Members of one Organization.
pub const MEMBERS_MAX: usize = 1_000;
/// Withdrawal addresses of one Organization.
pub const ADDRESSES_MAX: usize = 1_000;
/// Rules of one policy.
pub const RULES_MAX: usize = 50;
/// Addresses or initiators that one rule may name.
pub const RULE_NAMES_MAX: usize = 100;
/// How long an old key may stay good beside its successor, seconds.
pub const OVERLAP_MAX_S: u64 = 7 * 86_400;
/// The longest timeout of the dead man's switch, seconds: less than a day.
pub const SWITCH_MAX_S: u64 = 86_399;
/// The highest offset of an item; a client may hold it as a float of 64 bits (rule 41).
pub const OFFSET_MAX: u64 = (1 << 53) - 1;
/// Networks in one key's IP allow-list.
pub const NETWORKS_MAX: usize = 100;
/// Bytes of a name or e-mail address.
pub const NAME_BYTES_MAX: usize = 64;
/// Bytes of an address that money goes to or comes from, and of its tag.
pub const ADDRESS_BYTES_MAX: usize = 128;
/// Bytes of a transaction's id: Ethereum's have 66, Solana's up to 88.
pub const TXID_BYTES_MAX: usize = 128;
/// Bytes of a comment or reason.
pub const COMMENT_BYTES_MAX: usize = 500;
/// Decimals of an asset; ten is the most that Kraken uses, twelve leaves room in 64 bits.
pub const DECIMALS_MAX: u8 = 12;
/// Decimals of a market's prices; products with a quantity stay within 128 bits.
pub const PRICE_DECIMALS_MAX: u8 = 12;
/// The longest that a policy lets a request wait, or a new address cool down, seconds: 90 days.
pub const POLICY_PERIOD_MAX_S: u64 = 90 * 86_400;
/// How long a closed order's client id still answers with the first result, µs (rule 30).
pub const CLIENT_ORDER_ID_KEPT_US: u64 = 60_000_000;
/// How long an invitation stays good, µs (rule 17).
pub const INVITATION_US: u64 = 7 * 86_400_000_000;
/// How long a created key's secret waits to be claimed, µs (rule 28).
pub const CLAIM_US: u64 = 7 * 86_400_000_000;
/// A Member session's absolute life, µs (rule 16).
pub const MEMBER_SESSION_US: u64 = 12 * 3_600_000_000;
/// A request's life when its policy names none, µs.
pub const REQUEST_EXPIRY_US: u64 = 7 * 86_400_000_000;
/// The period of the rolling total of withdrawals, µs (rule 21).
pub const ROLLING_TOTAL_US: u64 = 86_400_000_000;
/// Deposit addresses in one `add_deposit_addresses`.
pub const DEPOSIT_ADDRESSES_MAX: usize = 1_000;
/// Deposit addresses that one account may have of one asset.
pub const ACCOUNT_DEPOSIT_ADDRESSES_MAX: usize = 50;
/// A pool with fewer deposit addresses left than this is reported on `custody`.
pub const DEPOSIT_POOL_LOW: usize = 20;
/// Withdrawals of one account that may be open at once.
pub const WITHDRAWALS_OPEN_MAX: usize = 10_000;
/// Ended deposits, and ended withdrawals, of one account that the snapshot of a channel shows.
pub const RECENT_TRANSFERS_MAX: usize = 50;
/// Earn strategies that one server may hold.
pub const EARN_STRATEGIES_MAX: usize = 1_000;
/// Organizations that one Earn strategy may name.
pub const EARN_ORGANIZATIONS_MAX: usize = 255;
/// The longest bonding, unbonding, exit queue or payout period, seconds: ten years.
pub const EARN_PERIOD_MAX_S: u64 = 10 * 366 * 86_400;
/// Operations of one account that may be entering one strategy, and as many that may be leaving it.
pub const EARN_STAGES_MAX: usize = 100;
/// Members that one `create_organization` may name.
pub const FIRST_MEMBERS_MAX: usize = 20;
/// Exports of one account, made or not.
pub const EXPORTS_MAX: usize = 10;
/// Exports of one Organization that wait to be made.
pub const EXPORTS_OPEN_MAX: usize = 5;
/// How long an export is kept from its order on, µs.
pub const EXPORT_US: u64 = 7 * 86_400_000_000;
/// Rows that one page of a list may hold.
pub const PAGE_MAX: usize = 500;
/// Requests that one page of `requests` looks at, for those that fit its filters and that the Member may view.
pub const REQUESTS_LOOKED_AT_MAX: usize = 2_000;
/// How far ahead the deadline of a request may lie, µs (docs.kraken.com, `add_order`).
pub const DEADLINE_MAX_US: u64 = 60_000_000;
/// How far ahead the start and the end of an order may lie, µs: a month (docs.kraken.com, `add_order`).
pub const SCHEDULE_MAX_US: u64 = 31 * 86_400_000_000;
/// Slices that an iceberg's remainder may have (docs.kraken.com, `add_order`, `display_qty`).
pub const DISPLAY_PARTS_MAX: i64 = 15;
/// Events after which a Tick leaves the rest of what is due to the next one, so that nobody waits for all of it.
pub const TICK_EVENTS_MAX: usize = 1_000;
/// Trailing stops of one market: a trade may move every one.
pub const TRAILING_MAX: usize = 1_000;
/// Trailing stops of one account in one market, so that no account uses up the market's limit.
pub const TRAILING_ACCOUNT_MAX: usize = 100;
