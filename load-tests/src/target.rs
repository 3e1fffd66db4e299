//! A server to load, and as whom: its addresses, keys and Members.

use std::path::PathBuf;

use crate::children::CountersignChild;
use crate::connection::{Connection, Proof};
use crate::credentials::{MemberLogin, ReadyFile, ServiceUser, VenueKey};
use crate::endpoint::Endpoint;
use crate::error::LoadError;
use crate::machine::program_digest;
use crate::metrics::version;
use crate::signature::Nonces;

/// A server to load, and as whom.
#[derive(Debug, Clone)]
pub struct Target {
    /// The socket.
    pub ws: Endpoint,
    /// The web address, for `/metrics` and sign-in.
    pub http: Option<Endpoint>,
    /// Keys that sign the handshakes, connections taking them in turn; none for the baselines.
    pub users: Vec<ServiceUser>,
    /// Members that may sign in.
    pub members: Vec<MemberLogin>,
    /// The venue operator's key, whose custody may be followed.
    pub venue: Option<VenueKey>,
    /// The server's process, where it is known, for its CPU use and memory.
    pub process: Option<u32>,
    /// The process of the database server that keeps its data, where that is another's.
    pub database: Option<u32>,
}

/// Whose address and key win over those of the ready file.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Overrides {
    /// The Service User to connect as; the first in the file by default.
    #[arg(long)]
    pub service_user: Option<String>,
    /// The server's web address, if not the file's.
    #[arg(long)]
    pub http: Option<String>,
    /// The server's WebSocket address, if not the file's.
    #[arg(long)]
    pub ws: Option<String>,
    /// Certificates (PEM) to trust where an address is wss:// or https://, instead of the system's.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

impl Target {
    /// A baseline: no key, no web address.
    pub fn baseline(address: std::net::SocketAddr, process: u32) -> Self {
        let ws = Endpoint::plain(address);
        let (users, members) = (Vec::new(), Vec::new());
        Self { ws, http: None, users, members, venue: None, process: Some(process), database: None }
    }

    /// A server from a ready file, with one key: the named one, or the first.
    ///
    /// # Errors
    /// No such key, no address, or nothing to trust.
    pub fn from_ready(ready: &ReadyFile, overrides: &Overrides) -> Result<Self, LoadError> {
        let users = vec![ready.service_user(overrides.service_user.as_deref())?.clone()];
        Ok(Self { users, ..Self::without_users(ready, overrides)? })
    }

    /// A server from a ready file, which may have no Service Users yet.
    ///
    /// # Errors
    /// No address, or nothing to trust.
    pub fn without_users(ready: &ReadyFile, overrides: &Overrides) -> Result<Self, LoadError> {
        let ca = overrides.ca.as_deref();
        let ws = overrides.ws.as_deref().or(ready.ws.as_deref());
        let ws = ws.ok_or_else(|| {
            LoadError::Setup("no WebSocket address is known: give --ws, or ws in the keys file".into())
        })?;
        let http = overrides.http.as_deref().or(ready.http.as_deref());
        Ok(Self {
            ws: Endpoint::parse(ws, ca)?,
            http: http.map(|http| Endpoint::parse(http, ca)).transpose()?,
            users: Vec::new(),
            members: ready.members.clone(),
            venue: ready.venue.clone(),
            process: None,
            database: None,
        })
    }

    /// Switches to a server that was restarted; its keys are the same.
    ///
    /// # Errors
    /// Its ready file has no address.
    pub fn move_to(&mut self, child: &CountersignChild) -> Result<(), LoadError> {
        let moved = Self::from_ready(&child.ready, &Overrides::default())?;
        (self.ws, self.http, self.process) = (moved.ws, moved.http, Some(child.process()));
        Ok(())
    }

    /// Takes the first `count` keys that have an Organization, as those made by `prepare`, instead of one; if none
    /// does, the first `count` of all.
    ///
    /// # Errors
    /// The file has fewer, or one was requested by name.
    pub fn with_keys(mut self, ready: &ReadyFile, count: usize, overrides: &Overrides) -> Result<Self, LoadError> {
        if count > 1 {
            if let Some(name) = &overrides.service_user {
                let why =
                    format!("--service-user {name} is one key, and this scenario takes {count}: give --set keys=1");
                return Err(LoadError::Setup(why));
            }
            let any_tells = ready.service_users.iter().any(|user| user.organization.is_some());
            let fit = ready.service_users.iter().filter(|user| !any_tells || user.organization.is_some());
            self.users = fit.take(count).cloned().collect();
            if self.users.len() < count {
                let which = if any_tells { "tell their Organization" } else { "are in the file" };
                let (found, advice) = (self.users.len(), "make more with `load-tests prepare`");
                return Err(LoadError::Setup(format!("{count} keys are needed and {found} {which}: {advice}")));
            }
        }
        Ok(self)
    }

    /// Opens connection `number`, signed with its key where there are keys. Nonces must reach the server in order, so
    /// connections of one key are opened one after another.
    ///
    /// # Errors
    /// The handshake fails.
    pub async fn open(&self, nonces: &mut Nonces, number: usize, buffer: usize) -> Result<Connection, LoadError> {
        let user = if self.users.is_empty() { None } else { self.users.get(number % self.users.len()) };
        let proof = user.map_or(Proof::Bare, |user| user.proof(nonces.next_nonce()));
        Connection::open(&self.ws, proof, buffer).await
    }

    /// Its build, as far as can be known: the version on its page, and a digest of the running file.
    pub async fn build(&self) -> Option<String> {
        let version = match &self.http {
            Some(http) => version(http).await.map(|version| format!("version {version}")),
            None => None,
        };
        let program = self.process.and_then(program_digest).map(|digest| format!("program {digest}"));
        let reported: Vec<String> = version.into_iter().chain(program).collect();
        (!reported.is_empty()).then(|| reported.join(", "))
    }

    /// The web address.
    ///
    /// # Errors
    /// None is known.
    pub fn web(&self) -> Result<&Endpoint, LoadError> {
        self.http.as_ref().ok_or_else(|| LoadError::Setup("the server's web address is not known: give --http".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the keys taken from a file with these keys, each with or without an Organization.
    fn taken(keys: &[(&str, bool)], count: usize) -> Result<Vec<String>, LoadError> {
        taken_with(keys, count, &Overrides::default())
    }

    fn taken_with(keys: &[(&str, bool)], count: usize, overrides: &Overrides) -> Result<Vec<String>, LoadError> {
        let users = keys.iter().map(|(name, tells)| ServiceUser {
            name: (*name).into(),
            api_key: "k".into(),
            api_secret: "cw==".into(),
            organization: tells.then(|| "Acme".into()),
        });
        let ws = Some("ws://127.0.0.1:1/v2".into());
        let ready = ReadyFile { http: None, ws, service_users: users.collect(), members: Vec::new(), venue: None };
        let target = Target::from_ready(&ready, overrides)?.with_keys(&ready, count, overrides)?;
        Ok(target.users.into_iter().map(|user| user.name).collect())
    }

    #[test]
    fn keys_that_tell_their_organization_come_first_and_where_none_does_all_serve() {
        assert_eq!(taken(&[("a", false), ("b", true), ("c", true)], 2).unwrap(), ["b", "c"]);
        assert_eq!(taken(&[("a", false), ("b", false), ("c", false)], 2).unwrap(), ["a", "b"]);
        assert_eq!(taken(&[("a", false), ("b", true)], 1).unwrap(), ["a"]);
        assert!(taken(&[("a", false), ("b", true)], 2).unwrap_err().to_string().contains("1 tell their Organization"));
        assert!(taken(&[("a", false)], 2).unwrap_err().to_string().contains("1 are in the file"));
    }
    #[test]
    fn a_key_that_is_asked_for_by_name_is_never_left_out_silently() {
        let overrides = Overrides { service_user: Some("b".into()), ..Overrides::default() };
        let keys = [("a", false), ("b", false)];
        assert_eq!(taken_with(&keys, 1, &overrides).unwrap(), ["b"]);
        assert!(taken_with(&keys, 2, &overrides).unwrap_err().to_string().contains("--service-user b"));
    }
}
