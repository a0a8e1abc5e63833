//! Signals: what an operator asks of a process that runs.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What an operator asks of a running process.
pub enum Asked {
    /// SIGTERM, SIGINT, SIGQUIT.
    Leave,
    /// SIGHUP.
    Reload,
    /// SIGUSR1.
    Reopen,
}

/// The signals nginx's master knows, as far as they mean something here.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    reload: Signal,
    reopen: Signal,
}

impl Signals {
    /// From now on they end nothing by themselves. Call it within a runtime.
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            reload: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
        })
    }

    /// The next one. Cancel-safe.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Leave,
            _ = self.interrupt.recv() => Asked::Leave,
            _ = self.quit.recv() => Asked::Leave,
            _ = self.reload.recv() => Asked::Reload,
            _ = self.reopen.recv() => Asked::Reopen,
        }
    }

    /// Returns when told to leave; reloading and reopening have no meaning any more.
    pub async fn leave(&mut self) {
        while !matches!(self.next().await, Asked::Leave) {}
    }
}
