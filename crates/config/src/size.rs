//! Byte sizes as Kubernetes writes resource quantities: `1Mi`, `64k`, `4096`.

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a size; write whole bytes or a number with k, M, G, Ki, Mi or Gi, for example 1Mi")]
pub struct SizeError(String);

/// Parses a whole number of bytes with an optional suffix (a subset of Kubernetes' `resource.Quantity`).
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let refuse = || SizeError(text.to_owned());
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().map_err(|_| refuse())?;
    let factor: u64 = match &text[digits..] {
        "" => 1,
        "k" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return Err(refuse()),
    };
    number.checked_mul(factor).ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_refuses() {
        assert_eq!(parse_size("1Mi"), Ok(1 << 20));
        assert_eq!(parse_size("64k"), Ok(64_000));
        assert_eq!(parse_size("0"), Ok(0));
        for text in ["", "Mi", "1.5Mi", "-1", "1mi", "99999999999999999999", "99999999999Gi"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
