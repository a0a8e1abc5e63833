//! Waiting for a condition, with a deadline that only a broken test reaches.

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
