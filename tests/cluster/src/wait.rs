//! Waiting for a condition, with a deadline that only a broken test reaches.

use std::pin::pin;
use std::time::{Duration, Instant};

/// How long anything may take: two slow cores and a build beside them are still faster.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Asks until there is an answer.
///
/// # Panics
/// When there is none for longer than [`PATIENCE`], saying `what` was awaited.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        // A question may hang where the network was cut.
        if let Ok(Some(answer)) = tokio::time::timeout(PATIENCE, ask()).await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What recovers has so long for it: a few times what it takes, so that a loaded machine keeps the ceiling and what comes a minute
/// late does not.
///
/// # Panics
/// When it takes longer, saying `what` was awaited.
pub async fn within<T>(ceiling: Duration, what: &str, recovering: impl Future<Output = T>) -> T {
    // Dropped while it panics, so that whoever waited says what was seen instead.
    let mut recovering = pin!(recovering);
    let recovered = tokio::time::timeout(ceiling, recovering.as_mut()).await;
    recovered.unwrap_or_else(|_| panic!("{what} takes more than {ceiling:?}"))
}
