//! Low-priority threads: when processors are scarce, threads that serve orders run first.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;

use rustix::process::{getpriority_process, setpriority_process};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Added to the nice value of a background thread: it gets about a tenth of what another gets beside it.
const NICER: i32 = 10;

/// Starts a thread of this name. Its priority, and that of threads it starts, is lowered by the time this returns.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
    let (stood, stands) = mpsc::sync_channel::<()>(0);
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        lower_priority();
        drop(stood);
        work()
    })?;
    // Nothing is ever sent: this returns once the other end is dropped.
    let _ = stands.recv();
    Ok(thread)
}

fn lower_priority() {
    // Linux keeps a nice value for each thread, contrary to POSIX (setpriority(2), "C library/kernel differences"), and
    // caps it at 19.
    let nicer = getpriority_process(None).and_then(|nice| setpriority_process(None, nice + NICER));
    if let Err(error) = nicer {
        tracing::warn!(%error, "the priority of a background thread could not be lowered");
    }
}

/// A low-priority thread that runs what is spawned on it until this is dropped.
#[derive(Debug)]
pub struct Background {
    handle: Handle,
    _running: oneshot::Sender<()>,
}

impl Background {
    /// Starts a thread of this name.
    ///
    /// # Errors
    /// When the system gives no thread or no runtime.
    pub fn start(name: &str) -> io::Result<Background> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel::<()>();
        // Nothing is ever sent here either.
        spawn(name, move || runtime.block_on(ended))?;
        Ok(Background { handle, _running: running })
    }

    /// The handle to spawn tasks with.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_thread_that_stands_back_is_nicer_than_the_one_that_started_it() {
        let nice = || getpriority_process(None).unwrap();
        let background = Background::start("test").unwrap();
        let found = background.handle().spawn(async move { nice() }).await.unwrap();
        assert_eq!(found, (nice() + NICER).min(19));
    }
}
