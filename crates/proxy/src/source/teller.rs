//! Says a trouble once, and again only when its reason changes: a controller that is away for an hour is one line of the
//! error log, not a thousand.

use std::collections::BTreeMap;

use tracing::{error, info};

/// What was said last, by whom it was about.
#[derive(Debug, Default)]
pub(super) struct Teller(BTreeMap<String, String>);

impl Teller {
    /// `whom` is in trouble. `false`: that was said before.
    pub fn trouble(&mut self, whom: &str, what: &str) -> bool {
        if self.0.get(whom).is_some_and(|said| said == what) {
            return false;
        }
        error!("{whom}: {what}");
        self.0.insert(whom.to_owned(), what.to_owned());
        true
    }

    /// `whom` is well; said only after a trouble.
    pub fn well(&mut self, whom: &str, what: &str) {
        if self.0.remove(whom).is_some() {
            info!("{whom}: {what}");
        }
    }

    /// Forgets whom nobody asks about any more.
    pub fn keep(&mut self, is_known: impl Fn(&str) -> bool) {
        self.0.retain(|whom, _| is_known(whom));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_said_once_per_reason() {
        let mut teller = Teller::default();
        assert!(teller.trouble("a", "refused"));
        assert!(!teller.trouble("a", "refused"));
        assert!(teller.trouble("b", "refused"));
        assert!(teller.trouble("a", "expired"));
        teller.well("a", "is back");
        assert!(teller.trouble("a", "expired"));
        teller.keep(|whom| whom == "b");
        assert!(teller.trouble("a", "expired") && !teller.trouble("b", "refused"));
    }
}
