//! The file that names a running server and keys for it: the format of the demo's ready file.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::connection::Proof;
use crate::error::LoadError;
use crate::output::{self, FOR_OWNER};

/// A running server and its users. Unknown fields are ignored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReadyFile {
    /// `http://HOST:PORT`, for `/metrics`.
    pub http: Option<String>,
    /// `ws://HOST:PORT/v2`.
    pub ws: Option<String>,
    /// Keys of Service Users.
    pub service_users: Vec<ServiceUser>,
    /// Members that may sign in.
    #[serde(default)]
    pub members: Vec<MemberLogin>,
    /// The venue operator's key, which `prepare` needs.
    #[serde(default)]
    pub venue: Option<VenueKey>,
}

/// How a Member signs in.
#[derive(Clone, Serialize, Deserialize)]
pub struct MemberLogin {
    /// Display name.
    pub name: String,
    /// Name at sign-in.
    pub email: String,
    /// Password.
    pub password: String,
    /// Base32 secret of the one-time codes.
    pub totp_secret: String,
}

impl std::fmt::Debug for MemberLogin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("MemberLogin").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A venue operator's key.
#[derive(Clone, Serialize, Deserialize)]
pub struct VenueKey {
    /// Public part.
    pub api_key: String,
    /// Base64 secret.
    pub api_secret: String,
}

impl VenueKey {
    /// Signs one handshake.
    pub fn proof(&self, nonce: u64) -> Proof<'_> {
        Proof::Key { api_key: &self.api_key, api_secret: &self.api_secret, nonce }
    }
}

impl std::fmt::Debug for VenueKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("VenueKey").finish_non_exhaustive()
    }
}

/// One API key.
#[derive(Clone, Serialize, Deserialize)]
pub struct ServiceUser {
    /// Display name, by which a key is chosen.
    pub name: String,
    /// Public part.
    pub api_key: String,
    /// Base64 secret.
    pub api_secret: String,
    /// Its Organization. If some keys have one, as those made by `prepare`, several keys are chosen only from these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
}

impl ServiceUser {
    /// Signs one handshake.
    pub fn proof(&self, nonce: u64) -> Proof<'_> {
        Proof::Key { api_key: &self.api_key, api_secret: &self.api_secret, nonce }
    }
}

impl std::fmt::Debug for ServiceUser {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ServiceUser").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ReadyFile {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or is not the expected JSON.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let text = fs::read_to_string(path).map_err(LoadError::io(format!("read {}", path.display())))?;
        serde_json::from_str(&text).map_err(|error| LoadError::Setup(format!("{}: {error}", path.display())))
    }

    /// Writes it so that only its owner can read it, from the start.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), LoadError> {
        let text = serde_json::to_string(self).expect("a ready file is always JSON");
        output::write(path, &text, FOR_OWNER)
    }

    /// The key with this name, or the first one.
    ///
    /// # Errors
    /// There is no such key.
    pub fn service_user(&self, name: Option<&str>) -> Result<&ServiceUser, LoadError> {
        let found = match name {
            Some(name) => self.service_users.iter().find(|user| user.name == name),
            None => self.service_users.first(),
        };
        found.ok_or_else(|| {
            LoadError::Setup(match name {
                Some(name) => format!("there is no service user {name:?} in the file"),
                None => "there is no service user in the file: make some with `load-tests prepare`".into(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{
        "http": "http://127.0.0.1:1", "ws": "ws://127.0.0.1:1/v2", "organization": "Acme",
        "members": [{"name": "Alice", "email": "a@acme.test", "password": "p", "totp_secret": "B"}],
        "service_users": [{"name": "Treasury Bot", "api_key": "k1", "api_secret": "czE="},
                          {"name": "Reporting Script", "api_key": "k2", "api_secret": "czI="}],
        "venue": {"api_key": "v", "api_secret": "dg=="}}"#;

    #[test]
    fn a_key_is_chosen_by_name_or_is_the_first() {
        let ready: ReadyFile = serde_json::from_str(FILE).unwrap();
        assert_eq!(ready.service_user(None).unwrap().api_key, "k1");
        assert_eq!(ready.service_user(Some("Reporting Script")).unwrap().api_key, "k2");
        assert!(ready.service_user(Some("Nobody")).unwrap_err().to_string().contains("no service user \"Nobody\""));
        let nobody = ReadyFile { service_users: Vec::new(), ..ready.clone() };
        assert!(nobody.service_user(None).unwrap_err().to_string().contains("load-tests prepare"));
        assert_eq!(ready.ws.as_deref(), Some("ws://127.0.0.1:1/v2"));
    }

    #[test]
    fn debug_output_hides_the_secret() {
        let ready: ReadyFile = serde_json::from_str(FILE).unwrap();
        assert!(!format!("{ready:?}").contains("czE="));
    }
}
