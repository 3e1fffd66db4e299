//! The credentials of the demo's people and bots, kept beside its data so that a second run has the same.

use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Failure, at, write_private};
use crate::gateway::credentials::{ApiCredentials, secret_text};
use crate::gateway::passwords::{new_bearer_token, new_totp_secret};

const FILE: &str = "demo.json";

/// A Member's.
#[derive(Clone, Serialize, Deserialize)]
pub struct Person {
    pub name: String,
    pub email: String,
    pub password: String,
    pub totp_secret: String,
}

/// A key's.
#[derive(Clone, Serialize, Deserialize)]
pub struct Key {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub api_key: String,
    pub api_secret: String,
}

/// Everybody's.
#[derive(Serialize, Deserialize)]
pub struct Credentials {
    pub members: Vec<Person>,
    pub service_users: Vec<Key>,
    pub venue: Key,
    pub maker: Key,
    /// Whether the story has been started.
    pub played: bool,
}

/// Acme's Service Users, in order of their numbers.
pub const SERVICE_USERS: [&str; 5] = ["Treasury Bot", "Reporting Script", "No Stream", "Expired", "Elsewhere"];
/// Acme's Members, in order of their numbers.
pub const MEMBERS: [&str; 3] = ["Alice", "Bob", "Carol"];

impl Credentials {
    /// Fresh ones.
    pub fn generate() -> Credentials {
        let person = |name: &str| Person {
            name: name.to_owned(),
            email: format!("{}@acme.test", name.to_lowercase()),
            password: new_bearer_token().as_str()[..16].to_owned(),
            totp_secret: new_totp_secret().as_str().to_owned(),
        };
        let key = |name: &str| {
            let generated = ApiCredentials::generate();
            let api_secret = secret_text(&generated.secret).as_str().to_owned();
            Key { name: name.to_owned(), api_key: generated.api_key, api_secret }
        };
        Credentials {
            members: MEMBERS.iter().map(|name| person(name)).collect(),
            service_users: SERVICE_USERS.iter().map(|name| key(name)).collect(),
            venue: key(""),
            maker: key("Market Maker"),
            played: false,
        }
    }

    /// Those of an earlier run.
    pub fn load(dir: &Path) -> Result<Option<Credentials>, Failure> {
        let file = dir.join(FILE);
        match std::fs::read_to_string(&file) {
            Ok(text) => {
                let kept = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
                Ok(Some(kept))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&file)(error)),
        }
    }

    /// Saves them for the next run, readable by their owner only.
    pub fn save(&self, dir: &Path) -> Result<(), Failure> {
        let file = dir.join(FILE);
        write_private(&file, &serde_json::to_string_pretty(self)?).map_err(at(&file))
    }

    /// What the ready file holds.
    pub fn ready(&self, address: SocketAddr) -> Value {
        json!({
            "http": format!("http://{address}"),
            "ws": format!("ws://{address}/v2"),
            "organization": "Acme",
            "members": self.members,
            "service_users": self.service_users,
            "venue": self.venue,
        })
    }

    /// What is printed for the person at the terminal at the end.
    pub fn guide(&self, address: SocketAddr) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        let mut line = |words: String| writeln!(text, "{words}").expect("writing to a String succeeds");
        line(String::new());
        line("Now try it by hand; the market maker goes on quoting. Ctrl-C ends the demo.".to_owned());
        line(format!("  dashboard  http://{address}/"));
        line(format!("  WebSocket  ws://{address}/v2"));
        for member in &self.members {
            let Person { name, email, password, totp_secret } = member;
            line(format!("  {name:<8}   {email}  password {password}  totp {totp_secret}"));
        }
        for key in &self.service_users {
            line(format!(
                "  {}\n             key    {}\n             secret {}",
                key.name, key.api_key, key.api_secret
            ));
        }
        let Key { api_key, api_secret, .. } = &self.venue;
        line(format!("  Venue operator\n             key    {api_key}\n             secret {api_secret}"));
        text
    }
}
