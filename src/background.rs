//! Threads that stand back when processors are scarce: whoever waits for an order goes first.

use std::io;

use rustix::process::{getpriority_process, setpriority_process};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// How much nicer a thread that stands back is: it gets about a tenth of what another gets beside it.
const NICER: i32 = 10;

/// Lets other threads go before the calling one, and those that it starts from now on.
pub fn stand_back() {
    // Linux keeps a nice value for each thread, against POSIX (setpriority(2), "C library/kernel differences"), and
    // cuts what is above 19.
    let nicer = getpriority_process(None).and_then(|nice| setpriority_process(None, nice + NICER));
    if let Err(error) = nicer {
        tracing::warn!(%error, "a background thread competes with those that trade");
    }
}

/// A thread that stands back, and runs what is spawned on it until this is dropped.
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
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            stand_back();
            // Nothing is ever sent: it ends with its other end.
            let _ = runtime.block_on(ended);
        })?;
        Ok(Background { handle, _running: running })
    }

    /// Where to spawn.
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
