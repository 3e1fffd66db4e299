//! A server to load, and as whom: its addresses, keys and Members.

use crate::children::CountersignChild;
use crate::connection::{Connection, Proof};
use crate::credentials::{MemberLogin, ReadyFile, ServiceUser};
use crate::endpoint::Endpoint;
use crate::error::LoadError;
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
}

impl Target {
    /// A baseline: no key, no web page.
    ///
    /// # Errors
    /// Never for a socket address.
    pub fn baseline(address: std::net::SocketAddr, process: u32) -> Result<Self, LoadError> {
        let ws = Endpoint::parse(&format!("ws://{address}/v2"))?;
        Ok(Self { ws, http: None, users: Vec::new(), members: Vec::new(), process: Some(process), database: None })
    }

    /// A server as a ready file tells it, with one key: the named one, or the first.
    ///
    /// # Errors
    /// No such key, or no address.
    pub fn from_ready(ready: &ReadyFile, overrides: &Overrides) -> Result<Self, LoadError> {
        let ws = overrides.ws.as_deref().or(ready.ws.as_deref());
        let ws = ws.ok_or_else(|| LoadError::Setup("no WebSocket address is known".into()))?;
        let http = overrides.http.as_deref().or(ready.http.as_deref());
        Ok(Self {
            ws: Endpoint::parse(ws)?,
            http: http.map(Endpoint::parse).transpose()?,
            users: vec![ready.service_user(overrides.service_user.as_deref())?.clone()],
            members: ready.members.clone(),
            process: None,
            database: None,
        })
    }

    /// Follows a server that was started again; its keys are the same.
    ///
    /// # Errors
    /// Its ready file tells no address.
    pub fn move_to(&mut self, child: &CountersignChild) -> Result<(), LoadError> {
        let moved = Self::from_ready(&child.ready, &Overrides::default())?;
        (self.ws, self.http, self.process) = (moved.ws, moved.http, Some(child.process()));
        Ok(())
    }

    /// Takes the first `count` keys of a file that `prepare` wrote instead of the one.
    ///
    /// # Errors
    /// The file holds fewer.
    pub fn with_keys(mut self, ready: &ReadyFile, count: usize) -> Result<Self, LoadError> {
        if count > 1 {
            let made = ready.service_users.iter().filter(|user| user.organization.is_some());
            self.users = made.take(count).cloned().collect();
            if self.users.len() < count {
                let found = self.users.len();
                let advice = "make more with `load-tests prepare`";
                return Err(LoadError::Setup(format!(
                    "{count} keys are needed and {found} tell their Organization: {advice}"
                )));
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

    /// The web address.
    ///
    /// # Errors
    /// None is known.
    pub fn web(&self) -> Result<&Endpoint, LoadError> {
        self.http.as_ref().ok_or_else(|| LoadError::Setup("the server's web address is not known: give --http".into()))
    }
}
