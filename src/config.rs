//! Settings of `serve`: read from one TOML file, checked once, typed from then on.
//!
//! A name that is not known is refused, so that a misspelt setting never silently means its
//! default. The one secret that may stand here, the database's password, prints as `***`; the master
//! key has a file or environment variable of its own.

mod form;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::{fs, io};

pub use form::problem;
use form::{in_terms_of_the_file, place};
use ipnet::IpNet;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::access::key::network;
use crate::access::tier::Tiers;
pub use crate::storage::postgres::DatabaseUrl;

/// Everything that the operator may choose.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Whether plain HTTP may be served off loopback, as behind a proxy that terminates TLS.
    pub allow_plain_off_loopback: bool,
    /// Directory of the journal, history and lock.
    pub data_dir: PathBuf,
    /// The Postgres database that holds journal and history instead of files in `data_dir`.
    pub database: Option<DatabaseUrl>,
    /// File with the master key; the environment variable wins over it.
    pub master_key_file: Option<PathBuf>,
    /// Exact origins that the dashboard is served from; empty means the default ones.
    origins: Vec<String>,
    /// Addresses or networks of the proxies whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// The certificate, if the port speaks TLS.
    pub tls: Tls,
    /// What the log looks like.
    pub log: Log,
    /// Bounds on what clients may take up.
    pub limits: Limits,
    /// How fast keys may trade.
    pub rates: Tiers,
}

/// TLS: both files or neither.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the certificate and its chain.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
}

/// The log, on standard error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// How a line is written.
    pub format: LogFormat,
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// Bounds on what clients may take up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections open at once.
    pub max_connections: usize,
    /// Bytes that may wait for a client that reads too slowly.
    pub send_queue_bytes: usize,
    /// Commands that may wait for the engine; beyond it the answer is "unavailable".
    pub submit_queue: usize,
    /// Events after which a snapshot is saved, if no more orders than that are open.
    pub snapshot_events: usize,
    /// Seconds that a Service User with cancel on disconnect has to come back.
    pub disconnect_grace_s: usize,
    /// Seconds without a message after which a Member's session ends (rule 16).
    pub member_idle_s: usize,
    /// Connections, WebSockets or not, open at once from one address, or from one IPv6 network of 64 bits.
    pub connections_per_address: usize,
    /// WebSockets open at once of one key or Member.
    pub connections_per_key: usize,
    /// Market data subscriptions of one connection.
    pub subscriptions_per_connection: usize,
    /// Messages a second on one connection, after a burst of a second's worth.
    pub messages_per_second: usize,
    /// Handshakes, and requests over HTTP that the engine judges, at once; further ones wait their turn.
    pub pending_handshakes: usize,
    /// Seconds of silence after which a socket is pinged, and after as many more without an answer, closed.
    pub ping_s: usize,
    /// Items of each private channel that are kept in memory for clients that reconnect (rule 42).
    pub replay_ring: usize,
    /// Items that all private channels together keep in memory; the oldest are dropped first.
    pub replay_items: usize,
    /// Seconds of each private channel that can be replayed from the journal.
    pub replay_s: usize,
}

/// Why settings are not usable; names the field at fault.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("settings file {path}: {source}")]
    File {
        /// The file at fault.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The text is not TOML, or a field is unknown or of the wrong type. The value is not quoted: it may be the
    /// database's password.
    #[error("settings: {place}: {problem}")]
    Form {
        /// The line, counted from 1, and the name that it begins with.
        place: String,
        /// What is wrong there.
        problem: String,
    },
    /// A field has the right type and an invalid value.
    #[error("settings: {field}: {problem}")]
    Value {
        /// The field at fault, with its table.
        field: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            allow_plain_off_loopback: false,
            data_dir: "data".into(),
            database: None,
            master_key_file: Some("master.key".into()),
            origins: Vec::new(),
            trusted_proxies: Vec::new(),
            tls: Tls::default(),
            log: Log::default(),
            limits: Limits::default(),
            rates: Tiers::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            send_queue_bytes: 1024 * 1024,
            submit_queue: 16 * 1024,
            snapshot_events: 1_000_000,
            member_idle_s: 30 * 60,
            ping_s: 15,
            disconnect_grace_s: 5,
            connections_per_address: 1_000,
            connections_per_key: 10_000,
            subscriptions_per_connection: 1_000,
            messages_per_second: 20_000,
            pending_handshakes: 1_000,
            replay_ring: 4_096,
            replay_items: 1_000_000,
            replay_s: 7 * 86_400,
        }
    }
}

impl Config {
    /// The defaults, at this address and directory.
    pub fn at(listen: SocketAddr, data_dir: PathBuf) -> Self {
        Self { listen, data_dir, ..Self::default() }
    }

    /// Settings from a file. Paths in it are relative to its own directory, so that the server
    /// finds them wherever it is started.
    ///
    /// # Errors
    /// When the file cannot be read, and as [`parse`](Config::parse).
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
        let mut config = Self::parse(&text)?;
        let base = path.parent().unwrap_or(Path::new(""));
        config.data_dir = base.join(&config.data_dir);
        config.master_key_file = config.master_key_file.map(|file| base.join(file));
        config.tls.certificate = config.tls.certificate.map(|file| base.join(file));
        config.tls.key = config.tls.key.map(|file| base.join(file));
        Ok(config)
    }

    /// Settings from the text of a file, checked.
    ///
    /// # Errors
    /// Names the first field that is unknown, of the wrong type or out of range.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Form {
            place: place(text, error.span().map_or(0, |span| span.start)),
            problem: in_terms_of_the_file(error.message()),
        })?;
        config.check()?;
        Ok(config)
    }

    /// The origins that cookies are accepted from when listening on `bound`, which has the port where the settings let
    /// the system choose one.
    pub fn origins(&self, bound: SocketAddr) -> Vec<String> {
        if !self.origins.is_empty() {
            return self.origins.clone();
        }
        let scheme = self.scheme();
        vec![origin(scheme, &bound.ip().to_string(), bound), origin(scheme, "localhost", bound)]
    }

    /// The scheme of the port's URLs: `https` under TLS, else `http`.
    pub fn scheme(&self) -> &'static str {
        if self.speaks_tls() { "https" } else { "http" }
    }

    /// Whether the port speaks TLS.
    pub fn speaks_tls(&self) -> bool {
        self.tls.certificate.is_some()
    }

    /// Whether browsers reach the dashboard by TLS only, whether this server or a proxy terminates it.
    pub fn has_secure_origins(&self) -> bool {
        let named = !self.origins.is_empty() && self.origins.iter().all(|origin| origin.starts_with("https://"));
        self.speaks_tls() || named
    }

    fn check(&self) -> Result<(), ConfigError> {
        let advice = "give it too: TLS takes both tls.certificate and tls.key";
        match (&self.tls.certificate, &self.tls.key) {
            (Some(_), None) => return Err(wrong("tls.key", advice)),
            (None, Some(_)) => return Err(wrong("tls.certificate", advice)),
            (Some(_), Some(_)) | (None, None) => {}
        }
        if !self.listen.ip().is_loopback() && !self.allow_plain_off_loopback && !self.speaks_tls() {
            return Err(wrong(
                "listen",
                format!(
                    "{} is reachable from outside, and traffic would be plain: give tls.certificate and tls.key, \
                     or set allow_plain_off_loopback = true, for instance behind a proxy that terminates TLS",
                    self.listen
                ),
            ));
        }
        if let Some(bad) = self.origins.iter().find(|origin| !is_origin(origin)) {
            let problem =
                format!("{bad:?} is not an origin as browsers send it, such as \"https://trade.example.com\"");
            return Err(wrong("origins", problem));
        }
        if self.database.as_ref().is_some_and(|database| !database.is_sound()) {
            return Err(wrong("database", "give a URL such as \"postgres://user:password@host/name\""));
        }
        self.limits.check()
    }
}

impl Limits {
    fn check(&self) -> Result<(), ConfigError> {
        for (field, value, least, most) in [
            ("limits.max_connections", self.max_connections, 1, 1_000_000),
            ("limits.connections_per_address", self.connections_per_address, 1, 1_000_000),
            ("limits.connections_per_key", self.connections_per_key, 1, 1_000_000),
            ("limits.subscriptions_per_connection", self.subscriptions_per_connection, 1, 100_000),
            ("limits.messages_per_second", self.messages_per_second, 1, 1_000_000),
            ("limits.pending_handshakes", self.pending_handshakes, 1, 1_000_000),
            ("limits.send_queue_bytes", self.send_queue_bytes, 64 * 1024, 1024 * 1024 * 1024),
            ("limits.submit_queue", self.submit_queue, 1, 1_000_000),
            ("limits.snapshot_events", self.snapshot_events, 1, 1_000_000_000),
            ("limits.member_idle_s", self.member_idle_s, 1, 12 * 3_600),
            ("limits.disconnect_grace_s", self.disconnect_grace_s, 0, 600),
            ("limits.ping_s", self.ping_s, 1, 300),
            ("limits.replay_ring", self.replay_ring, 1, 1_000_000),
            ("limits.replay_items", self.replay_items, 1, 1_000_000_000),
            ("limits.replay_s", self.replay_s, 0, 366 * 86_400),
        ] {
            if !(least..=most).contains(&value) {
                return Err(wrong(field, format!("{value} is not between {least} and {most}")));
            }
        }
        Ok(())
    }
}

fn networks<'de, D: Deserializer<'de>>(setting: D) -> Result<Vec<IpNet>, D::Error> {
    let parse = |text: &String| network(text).map_err(|advice| D::Error::custom(format!("{text:?}: {advice}")));
    Vec::<String>::deserialize(setting)?.iter().map(parse).collect()
}

fn wrong(field: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Value { field, problem: problem.into() }
}

fn origin(scheme: &str, host: &str, bound: SocketAddr) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    // Browsers omit a scheme's default port.
    match bound.port() {
        80 if scheme == "http" => format!("http://{host}"),
        443 if scheme == "https" => format!("https://{host}"),
        port => format!("{scheme}://{host}:{port}"),
    }
}

/// Whether a browser could send exactly this: lower case, no path, no trailing slash, no default port.
fn is_origin(text: &str) -> bool {
    let (rest, own) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (rest, 443),
        (_, Some(rest)) => (rest, 80),
        (None, None) => return false,
    };
    // An IPv6 address has its colons in brackets.
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let plain = |c: char| c.is_ascii_graphic() && !c.is_ascii_uppercase() && !matches!(c, '/' | '?' | '#' | '@' | '*');
    let sent = |port: &str| port.parse::<u16>().is_ok_and(|number| number != own && number.to_string() == port);
    !host.is_empty() && host.chars().all(plain) && port.is_none_or(sent)
}

/// The file that `init` writes: every setting with its meaning and default, and the values that were chosen.
pub fn commented(data_dir: Option<&Path>, database: Option<&DatabaseUrl>) -> String {
    let data_dir = data_dir.map(|dir| dir.to_string_lossy().into_owned());
    let database = database.map(|url| url.reveal().to_owned());
    let line = |line: &str| match line.trim_start_matches("# ").split_once(" = ") {
        Some((name @ "data_dir", _)) => stated(name, data_dir.as_ref(), line),
        Some((name @ "database", _)) => stated(name, database.as_ref(), line),
        _ => format!("{line}\n"),
    };
    DEFAULT_FILE.lines().map(line).collect()
}

fn stated(name: &str, chosen: Option<&String>, line: &str) -> String {
    match chosen {
        Some(value) => format!("{name} = {}\n", toml::Value::String(value.clone())),
        None => format!("{line}\n"),
    }
}

const DEFAULT_FILE: &str = include_str!("config/countersign.toml");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_commented_file_states_is_the_default() {
        assert_eq!(Config::parse(&commented(None, None)).unwrap(), Config::default());
    }

    #[test]
    fn the_commented_file_states_what_was_chosen() {
        let database = DatabaseUrl::parse("postgres://me@localhost/\"live\"").unwrap();
        let chosen = Config::parse(&commented(Some(Path::new("/var/lib/x")), Some(&database))).unwrap();
        let data_dir = PathBuf::from("/var/lib/x");
        assert_eq!(chosen, Config { data_dir, database: Some(database), ..Config::default() });
    }

    #[test]
    fn an_error_names_its_field() {
        for (text, named) in [
            ("listn = '127.0.0.1:1'", "line 1, listn: no such setting; expected one of `listen`, "),
            ("[limits]\nmax_conections = 1", "max_conections"),
            ("listen = 'nowhere'", "listen: expected an address and port such as"),
            ("trusted_proxies = ['10.0.0.0/33']", "trusted_proxies: \"10.0.0.0/33\": give addresses or networks"),
            ("listen = '0.0.0.0:8080'", "listen"),
            ("origins = ['https://a.example/']", "origins"),
            ("origins = ['*']", "origins"),
            ("database = 'mysql://localhost/countersign'", "database"),
            ("origins = ['https://A.example']", "origins"),
            ("origins = ['https://a.example:443']", "origins"),
            ("origins = ['http://a.example:80']", "origins"),
            ("origins = ['https://a.example:']", "origins"),
            ("origins = ['http://[::1]:80']", "origins"),
            ("origins = ['a.example']", "origins"),
            ("[limits]\nmax_connections = 0", "limits.max_connections"),
            ("[limits]\nsend_queue_bytes = 1000", "limits.send_queue_bytes"),
            ("[limits]\nsubmit_queue = 0", "limits.submit_queue"),
            ("[limits]\nmessages_per_second = 0", "limits.messages_per_second"),
            ("[log]\nformat = 'xml'", "xml"),
            ("[limits]\nsnapshot_events = 0", "limits.snapshot_events"),
            ("[limits]\nping_s = 0", "limits.ping_s"),
            ("[rates]\ntier = 'gold'", "line 2, rates.tier: no such value: `gold`, expected one of `starter`, "),
            ("[rates]\ntier = 5", "line 2, rates.tier: expected text in quotes"),
            ("[rates.organizations]\nAcme = 'pro'", "rates.organizations: \"Acme\" is not the id"),
            ("# first\n[limits]\nping_s = 'often'", "line 3, limits.ping_s: expected a whole number"),
            ("[limits\nping_s = 1", "line 1"),
            ("listen = 5", "line 1, listen: expected an address and port"),
            ("limits = 5", "line 1, limits: expected a table"),
            ("data_dir = 5", "line 1, data_dir: expected text in quotes"),
            ("origins = 'https://a.example'", "line 1, origins: expected a list in brackets"),
            ("allow_plain_off_loopback = 1", "allow_plain_off_loopback: expected true or false"),
            ("tls.key = 'server.key'", "tls.certificate: give it too"),
            ("tls.certificate = 'server.crt'", "tls.key: give it too"),
        ] {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn a_proxy_is_trusted_by_its_address_or_by_a_network() {
        let config = Config::parse("trusted_proxies = ['192.0.2.7', '10.0.0.0/8', '::ffff:192.0.2.8']").unwrap();
        let expected = ["192.0.2.7/32", "10.0.0.0/8", "192.0.2.8/32"].map(|net| net.parse::<IpNet>().unwrap());
        assert_eq!(config.trusted_proxies, expected);
    }

    #[test]
    fn d1_06_origins_are_secure_if_all_that_are_named_are_https() {
        let secure = |text: &str| Config::parse(text).unwrap().has_secure_origins();
        assert!(!secure(""), "those of a port without TLS are not");
        assert!(secure("origins = ['https://trade.example', 'https://other.example']"));
        assert!(!secure("origins = ['https://trade.example', 'http://localhost:8080']"));
    }

    #[test]
    fn the_password_of_the_database_is_not_printed() {
        let config = Config::parse("database = 'postgres://me:hush@db.example:5433/live'").unwrap();
        let printed = format!("{config:?} {}", config.database.as_ref().unwrap());
        assert!(!printed.contains("hush") && printed.contains("postgres://me:***@db.example:5433/live"), "{printed}");
        for wrong in [
            "database = \"postgres://me:hush@db.example/live",
            "databse = 'postgres://me:hush@db.example/live'",
            "database = 'postgress://me:hush@db.example/live'",
            "database = postgres://me:hush@db.example/live",
            "database = \"\"\"\npostgres://me:hush@db.example/live\"",
            "limits = 'postgres://me:hush@db.example/live?a=b'",
        ] {
            let reported = Config::parse(wrong).unwrap_err();
            assert!(!format!("{reported} {reported:?}").contains("hush"), "{wrong}: {reported}");
        }
    }

    #[test]
    fn d1_14_listening_off_loopback_takes_consent() {
        for address in ["[::]", "0.0.0.0", "192.0.2.1", "[::ffff:127.0.0.1]"] {
            let open = format!("listen = '{address}:8080'");
            let reported = Config::parse(&open).unwrap_err().to_string();
            assert!(reported.contains("allow_plain_off_loopback"), "{reported}");
            assert!(Config::parse(&format!("{open}\nallow_plain_off_loopback = true")).is_ok());
        }
        assert!(Config::parse("listen = '[::1]:8080'").is_ok());
    }

    #[test]
    fn origins_default_to_the_listening_address_and_localhost() {
        let config = Config::default();
        let bound = |text: &str| config.origins(text.parse().unwrap());
        assert_eq!(bound("127.0.0.1:4711"), ["http://127.0.0.1:4711", "http://localhost:4711"]);
        assert_eq!(bound("[::1]:80"), ["http://[::1]", "http://localhost"]);
        let chosen =
            Config::parse("origins = ['https://trade.example.com', 'http://[::1]:8080', 'http://[::1]']").unwrap();
        let exact = ["https://trade.example.com", "http://[::1]:8080", "http://[::1]"];
        assert_eq!(chosen.origins(chosen.listen), exact);
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("countersign.toml");
        fs::write(&file, "master_key_file = '/etc/countersign/key'").unwrap();
        let config = Config::load(&file).unwrap();
        assert_eq!(config.data_dir, dir.path().join("data"));
        assert_eq!(config.master_key_file, Some("/etc/countersign/key".into()));
        fs::remove_file(&file).unwrap();
        assert!(Config::load(&file).unwrap_err().to_string().contains("countersign.toml"));
    }
}
