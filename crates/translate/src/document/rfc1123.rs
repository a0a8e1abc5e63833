//! What Kubernetes allows as a name (RFC 1123), in the API server's words.

use config::dns;

use super::kinds::NameRule;

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";

/// Why `name` is not one, if it is not.
pub(super) fn fault(name: &str, rule: NameRule) -> Option<String> {
    match rule {
        NameRule::Label if !dns::is_label(name) => Some(format!(
            "Invalid value: {name:?}: a lowercase RFC 1123 label must consist of lower case alphanumeric characters or \
             '-', and must start and end with an alphanumeric character (e.g. 'my-name', or '123-abc', regex used for \
             validation is '{LABEL}'), and be no more than 63 characters"
        )),
        NameRule::Subdomain if name.len() > 253 || !name.split('.').all(dns::is_label_of_any_length) => Some(format!(
            "Invalid value: {name:?}: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
             '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for \
             validation is '{LABEL}(\\.{LABEL})*'), and be no more than 253 characters"
        )),
        NameRule::Label | NameRule::Subdomain => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "app-backend", "1", "a.b-c.d"] {
            assert_eq!(fault(good, NameRule::Subdomain), None, "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a..b", "é", "a b", &"a".repeat(254)] {
            assert!(fault(bad, NameRule::Subdomain).is_some(), "{bad}");
        }
        assert_eq!(fault("app", NameRule::Label), None);
        for bad in ["a.b", &"a".repeat(64)] {
            assert!(fault(bad, NameRule::Label).is_some(), "{bad}");
        }
    }
}
