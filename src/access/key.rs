//! The settings of a key.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::domain::named::named;
use crate::domain::time::{Moment, Period};

named! {
    /// What becomes of a key's resting orders when it stops (rule 9).
    #[derive(Default)]
    pub enum OnStop {
        /// They are canceled in the same journal entry.
        #[default]
        Cancel = "cancel",
        /// They stay.
        Keep = "keep",
    }
}

/// Until when and from where a key may be used, what it may see, and what happens to its orders when it stops or its
/// last socket closes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySettings {
    /// From this moment the key is refused.
    pub expires_at: Option<Moment>,
    /// Query start and end date: only entries between them are shown (rule 10).
    pub query_dates: Period,
    /// Whether the key may open a socket at all.
    pub allow_websocket: bool,
    /// How far below the highest nonce an unseen one is accepted, in nonce units; 0 is strictly increasing.
    pub nonce_window: u64,
    /// Networks the key may be used from; empty means any.
    pub ip_allowlist: Vec<IpNet>,
    /// What happens to resting orders when the key stops.
    pub on_stop: OnStop,
    /// Whether the orders of the Service User are canceled some time after its last socket has closed.
    pub cancel_on_disconnect: bool,
}

impl Default for KeySettings {
    fn default() -> KeySettings {
        KeySettings {
            expires_at: None,
            query_dates: Period::ALWAYS,
            allow_websocket: true,
            nonce_window: 0,
            ip_allowlist: Vec::new(),
            on_stop: OnStop::Cancel,
            cancel_on_disconnect: false,
        }
    }
}

/// Parses a network, or an address as a network of one. A v4-mapped one becomes IPv4, as peer addresses do.
///
/// # Errors
/// The text says what to give instead.
pub fn network(text: &str) -> Result<IpNet, &'static str> {
    let advice = "give addresses or networks such as 10.0.0.0/8";
    // Elsewhere a number that begins with 0 may be octal: `IpAddr` accepts none, `IpNet` does.
    let (address, length) = text.split_once('/').unwrap_or((text, ""));
    if address.parse::<IpAddr>().is_err() || length.len() > 1 && length.starts_with('0') {
        return Err(advice);
    }
    let net = text.parse().or_else(|_| text.parse().map(|address: IpAddr| address.into()));
    let v4 = |v6: Ipv6Net| {
        let prefix = v6.prefix_len().checked_sub(96)?;
        Ipv4Net::new(v6.addr().to_ipv4_mapped()?, prefix).ok()
    };
    match net.map_err(|_| advice)? {
        IpNet::V6(v6) => Ok(v4(v6).map_or(IpNet::V6(v6), IpNet::V4)),
        IpNet::V4(v4) => Ok(IpNet::V4(v4)),
    }
}

impl KeySettings {
    /// Whether `peer` is allowed. An IPv4 peer that connected as a v4-mapped address is compared as IPv4.
    pub fn admits_peer(&self, peer: IpAddr) -> bool {
        self.ip_allowlist.is_empty() || self.ip_allowlist.iter().any(|net| net.contains(&peer.to_canonical()))
    }

    /// Whether the key has expired at `now`.
    pub fn expired(&self, now: Moment) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// Settings to change; what is `None` stays. `Some(None)` removes a date.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsChange {
    /// New expiration.
    pub expires_at: Option<Option<Moment>>,
    /// New query start date.
    pub query_start: Option<Option<Moment>>,
    /// New query end date.
    pub query_end: Option<Option<Moment>>,
    /// New Allow WebSocket.
    pub allow_websocket: Option<bool>,
    /// New nonce window.
    pub nonce_window: Option<u64>,
    /// New IP allow-list; replaces the old one.
    pub ip_allowlist: Option<Vec<IpNet>>,
    /// New behaviour on stop.
    pub on_stop: Option<OnStop>,
    /// New cancel on disconnect.
    pub cancel_on_disconnect: Option<bool>,
}

impl SettingsChange {
    /// `settings` with the change made.
    pub fn on(&self, settings: &KeySettings) -> KeySettings {
        let old = settings.clone();
        KeySettings {
            expires_at: self.expires_at.unwrap_or(old.expires_at),
            query_dates: Period {
                from: self.query_start.unwrap_or(old.query_dates.from),
                until: self.query_end.unwrap_or(old.query_dates.until),
            },
            allow_websocket: self.allow_websocket.unwrap_or(old.allow_websocket),
            nonce_window: self.nonce_window.unwrap_or(old.nonce_window),
            ip_allowlist: self.ip_allowlist.clone().unwrap_or(old.ip_allowlist),
            on_stop: self.on_stop.unwrap_or(old.on_stop),
            cancel_on_disconnect: self.cancel_on_disconnect.unwrap_or(old.cancel_on_disconnect),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d1_11_the_allow_list_compares_the_true_family() {
        let settings = KeySettings {
            ip_allowlist: vec!["10.1.0.0/16".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            ..KeySettings::default()
        };
        for (peer, admitted) in
            [("10.1.2.3", true), ("10.2.0.1", false), ("::ffff:10.1.2.3", true), ("2001:db8::7", true), ("::1", false)]
        {
            assert_eq!(settings.admits_peer(peer.parse().unwrap()), admitted, "{peer}");
        }
        assert!(KeySettings::default().admits_peer("203.0.113.9".parse().unwrap()));
    }

    #[test]
    fn d1_11_a_network_is_written_in_one_way() {
        for text in [
            "127.0.0.1/08",
            "127.0.0.1/00",
            "::1/0128",
            "127.0.0.01",
            "127.0.0.1/",
            "127.0.0.1/33",
            "010.0.0.0/8",
            "127.0.0.01/8",
            "::ffff:010.0.0.0/104",
        ] {
            assert!(network(text).is_err(), "{text}");
        }
        for text in ["0.0.0.0/0", "127.0.0.1/8", "::1/128", "::1", "192.0.2.1"] {
            assert!(network(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_key_expires_at_its_moment() {
        let settings = KeySettings { expires_at: Some(Moment(20)), ..KeySettings::default() };
        assert_eq!([19, 20].map(|at| settings.expired(Moment(at))), [false, true]);
    }
}
