//! What one thread says through `tracing`, heard while other tests run beside it.
//!
//! As long as a process has one subscriber, `tracing` asks whoever comes by a place in the code first whether anybody listens
//! there, and keeps the answer: a thread without a subscriber would silence the place for the one that has it. With more than
//! one it asks them all.

use std::{
    io,
    sync::{Arc, LazyLock},
};

use tokio::sync::watch;
use tracing::{Dispatch, subscriber::DefaultGuard};
use tracing_subscriber::fmt::MakeWriter;

use crate::patiently;

/// Subscribers that hear nothing and are never gone.
static OTHERS: LazyLock<[Dispatch; 2]> =
    LazyLock::new(|| [(); 2].map(|()| Dispatch::new(tracing_subscriber::registry())));

/// A log in memory. Subscribers write to it.
#[derive(Clone, Debug)]
pub struct Log(Arc<watch::Sender<Vec<u8>>>);

impl Default for Log {
    fn default() -> Self {
        LazyLock::force(&OTHERS);
        Self(Arc::default())
    }
}

impl Log {
    /// What this thread says, in the form that `tracing-subscriber` gives it, until the guard is dropped.
    pub fn of_this_thread() -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// All of it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }

    /// How many lines contain `text`.
    pub fn said(&self, text: &str) -> usize {
        count(&self.0.borrow(), text)
    }

    /// Waits until so many lines contain `text`.
    pub async fn hears(&self, text: &str, times: usize) {
        let mut log = self.0.subscribe();
        let heard = patiently(&format!("{text:?} in the log"), log.wait_for(|log| count(log, text) >= times)).await;
        drop(heard.expect("the sender lives in `self`"));
    }
}

fn count(log: &[u8], text: &str) -> usize {
    String::from_utf8_lossy(log).lines().filter(|line| line.contains(text)).count()
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send_modify(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn says_so() {
        tracing::info!("so it is");
    }

    #[test]
    fn who_hears_nothing_silences_nobody() {
        let (log, _logging) = Log::of_this_thread();
        thread::spawn(says_so).join().unwrap();
        says_so();
        assert_eq!(log.said("so it is"), 1);
    }
}
