//! Time as nginx's balancer sees it: whole seconds for failure windows, milliseconds for moving averages and slow start.
//!
//! The clock itself is the caller's; nothing here reads it.

use std::fmt;

/// A moment, in milliseconds of the caller's clock. Only differences and the second boundary have meaning.
///
/// nginx compares `ngx_time()`, the wall clock in whole seconds (`ngx_http_upstream_round_robin.c`, every `now - checked`),
/// so the phase inside a second decides when an ejection ends. A caller who wants nginx's phase counts from the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now(u64);

impl Now {
    /// The moment `millis` milliseconds after the origin of the caller's clock.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The moment `secs` whole seconds after the origin of the caller's clock.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1000)
    }

    /// Milliseconds since the origin.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the origin, rounded down: what nginx's failure accounting compares.
    #[must_use]
    pub const fn secs(self) -> u64 {
        self.0 / 1000
    }
}

impl fmt::Display for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.0 / 1000, self.0 % 1000)
    }
}
