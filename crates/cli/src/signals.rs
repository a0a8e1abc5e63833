//! Signals: what an operator asks of a process that runs.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;
use tracing::warn;

/// Signals of one order may come in a burst: `timeout` of GNU signals its child, then the whole group.
const ONE_ORDER: Duration = Duration::from_secs(1);

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
    upgrade: Signal,
    told_to_leave: Option<Instant>,
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
            upgrade: signal(SignalKind::user_defined2())?,
            told_to_leave: None,
        })
    }

    /// The next one. Cancel-safe.
    pub async fn next(&mut self) -> Asked {
        loop {
            let asked = tokio::select! {
                _ = self.terminate.recv() => Asked::Leave,
                _ = self.interrupt.recv() => Asked::Leave,
                _ = self.quit.recv() => Asked::Leave,
                _ = self.reload.recv() => Asked::Reload,
                _ = self.reopen.recv() => Asked::Reopen,
                _ = self.upgrade.recv() => {
                    warn!("SIGUSR2 does nothing: no process is upgraded in place; start another and let this one leave");
                    continue;
                }
            };
            if matches!(asked, Asked::Leave) {
                if self.told_to_leave.is_some_and(|told| told.elapsed() < ONE_ORDER) {
                    continue;
                }
                self.told_to_leave = Some(Instant::now());
            }
            return asked;
        }
    }

    /// Returns when told to leave; reloading and reopening have no meaning any more.
    pub async fn leave(&mut self) {
        while !matches!(self.next().await, Asked::Leave) {}
    }
}
