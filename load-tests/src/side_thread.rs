//! A thread of its own for what must not delay the load: on the load's thread a reply would wait until other listeners
//! have read, which would be this client's fault and not the server's.

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};

use crate::error::LoadError;

/// A runtime with one thread. Dropping it ends what still runs there, even where blocking is not allowed.
#[derive(Debug)]
pub struct SideThread {
    runtime: Option<Runtime>,
}

impl SideThread {
    /// Starts it.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn start(name: &str) -> Result<Self, LoadError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_all().build();
        Ok(Self { runtime: Some(runtime.map_err(LoadError::io("start a thread"))?) })
    }

    /// Runs a task there.
    pub fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.runtime.as_ref().expect("it is there until the drop").spawn(task)
    }
}

impl Drop for SideThread {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Something that runs there during a load, until it is told to stop.
#[derive(Debug)]
pub struct Beside<T> {
    _thread: SideThread,
    going_on: JoinHandle<Result<T, LoadError>>,
    stop: oneshot::Sender<()>,
}

impl<T: Send + 'static> Beside<T> {
    /// Waits until it is prepared; from then on it runs by itself.
    ///
    /// # Errors
    /// The error of the preparation, or no thread can be started.
    pub async fn start<P: Send + 'static, G: Future<Output = Result<T, LoadError>> + Send + 'static>(
        name: &str,
        prepare: impl Future<Output = Result<P, LoadError>> + Send + 'static,
        go_on: impl FnOnce(P, oneshot::Receiver<()>) -> G,
    ) -> Result<Self, LoadError> {
        let thread = SideThread::start(name)?;
        let prepared = thread.spawn(prepare).await.map_err(ended)??;
        let (stop, stopped) = oneshot::channel();
        let going_on = thread.spawn(go_on(prepared, stopped));
        Ok(Self { _thread: thread, going_on, stop })
    }

    /// Its result.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn stop(self) -> Result<T, LoadError> {
        drop(self.stop);
        self.going_on.await.map_err(ended)?
    }
}

fn ended(error: JoinError) -> LoadError {
    LoadError::Setup(format!("what went on beside the load ended: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dropping a plain runtime would panic here.
    #[tokio::test]
    async fn it_may_be_dropped_among_other_tasks_with_its_own_still_running() {
        let side = SideThread::start("side").unwrap();
        let own = side.spawn(async { std::thread::current().name().map(str::to_owned) });
        assert_eq!(own.await.unwrap().as_deref(), Some("side"));
        let endless = side.spawn(std::future::pending::<()>());
        drop(side);
        assert!(endless.await.unwrap_err().is_cancelled());
    }
}
