//! Names of the DNS in the form that Kubernetes and TLS ask for: lower case, without a dot at the end.

/// Whether it is a label (RFC 1123 section 2.1): letters, digits and, between them, hyphens; at most 63 bytes.
pub fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_label_of_any_length(text)
}

/// As [`is_label`], without its bound: Kubernetes bounds the labels of a subdomain only together.
pub fn is_label_of_any_length(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether it is labels with dots between, at most 253 bytes together.
pub fn is_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_names() {
        let longest = "a".repeat(63);
        for label in ["a", "0", "my-name", "123-abc", "xn--bcher-kva", &longest] {
            assert!(is_label(label) && is_name(label) && is_name(&format!("{label}.example")), "{label}");
        }
        for text in ["", "-a", "a-", "A", "a_b", "a b", "*", "\u{e9}"] {
            assert!(!is_label_of_any_length(text) && !is_name(&format!("a.{text}")), "{text}");
        }
        let longer = "a".repeat(64);
        assert!(is_label_of_any_length(&longer) && !is_label(&longer) && !is_name(&longer));
        let of = |last: usize| [&*longest, &longest, &longest, &longest[..last]].join(".");
        assert!(is_name(&of(61)) && !is_name(&of(62)));
        assert!(!is_label("a.b") && !is_name("a.") && !is_name("a..b"));
    }
}
