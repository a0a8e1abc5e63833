//! A bearer token: what can be seen of it without asking anybody. A token that is not a JWT, is for somebody else or ended
//! long ago is refused here, so that noise never reaches the API server. What is read here proves nothing: the signature is the
//! API server's to check, and so is whether it ends today, because our clock may differ from the one that made it (RFC 7519,
//! RFC 6750).

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Bytes of a token; those of ServiceAccounts have about 1,200.
const MAX: usize = 16 << 10;

/// Clocks differ by less, in seconds.
const SKEW: u64 = 24 * 3600;

/// A token, not printed by anything.
#[derive(Clone)]
pub struct Token {
    text: Arc<str>,
    /// When it was made and when it ends, seconds since 1970 by the clock of who made it.
    issued: Option<u64>,
    expires: Option<u64>,
}

/// Why a text is no token for us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a JWT in an `Authorization: Bearer` header.
    #[error("no token can be read: {0}; send Authorization: Bearer TOKEN with a ServiceAccount's token")]
    Malformed(&'static str),
    /// For somebody else.
    #[error(
        "the token is not for audience \"{audience}\"; project one with that audience, or try kubectl create token \
         NAME --audience {audience}"
    )]
    Audience {
        /// What it must be for.
        audience: Arc<str>,
    },
    /// It has ended.
    #[error("the token has expired; read it again, the kubelet renews a projected one in time")]
    Expired,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    aud: Audiences,
    iat: Option<f64>,
    exp: Option<f64>,
}

/// One or several (RFC 7519 section 4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Many(Vec<String>),
}

impl Default for Audiences {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Token {
    /// The token of a request; `None` if it has none.
    pub fn of_request(headers: &HeaderMap) -> Result<Option<&str>, TokenError> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(TokenError::Malformed("there are several Authorization headers"));
        }
        let text = value.to_str().map_err(|_| TokenError::Malformed("it has bytes that are no letters"))?;
        match text.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
            Some(_) | None => Err(TokenError::Malformed("the scheme is not Bearer")),
        }
    }

    /// Reads a token that must be for `audience` and not have ended long before `now`, seconds since 1970.
    pub fn read(text: &str, audience: &Arc<str>, now: u64) -> Result<Self, TokenError> {
        if text.len() > MAX {
            return Err(TokenError::Malformed("it is longer than 16 KiB"));
        }
        let parts: Vec<&str> = text.splitn(4, '.').collect();
        let [_, claims, _] = parts[..] else { return Err(TokenError::Malformed("it is no JWT")) };
        let claims =
            URL_SAFE_NO_PAD.decode(claims).map_err(|_| TokenError::Malformed("its claims are no base64url"))?;
        let claims: Claims =
            serde_json::from_slice(&claims).map_err(|_| TokenError::Malformed("its claims cannot be understood"))?;
        let is_ours = match &claims.aud {
            Audiences::One(one) => **one == **audience,
            Audiences::Many(many) => many.iter().any(|one| **one == **audience),
        };
        if !is_ours {
            return Err(TokenError::Audience { audience: audience.clone() });
        }
        // Whole seconds are exact far beyond any date; a negative one is long past.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
        let seconds = |claim: f64| claim as u64;
        let token = Self { text: text.into(), issued: claims.iat.map(seconds), expires: claims.exp.map(seconds) };
        if token.has_expired(now) { Err(TokenError::Expired) } else { Ok(token) }
    }

    /// Whether it ended before `now`, seconds since 1970, whatever the clocks.
    pub fn has_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires.saturating_add(SKEW) <= now)
    }

    /// How many seconds a token that the API server accepts is still good for. `None` when that cannot be told: it has no
    /// end, or it should not be accepted yet or any more, so our clock is another one than that of who made it.
    pub fn left(&self, now: u64) -> Option<u64> {
        let is_made = self.issued.is_none_or(|issued| issued <= now);
        self.expires.and_then(|expires| expires.checked_sub(now)).filter(|&left| is_made && left > 0)
    }

    /// What stands for it where something is remembered about it.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.text.as_bytes()).into()
    }

    /// The token itself: for the API server alone.
    pub(super) fn reveal(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("expires", &self.expires).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(claims: &str, now: u64) -> Result<Token, TokenError> {
        Token::read(&format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims)), &"forebay.dev".into(), now)
    }

    #[test]
    fn audience_and_end_are_seen() {
        assert_eq!(read(r#"{"aud":"forebay.dev","exp":10}"#, 9).unwrap().left(9), Some(1));
        assert!(read(r#"{"aud":["a","forebay.dev"],"novel":{}}"#, u64::MAX).is_ok());
        assert_eq!(read(r#"{"aud":"forebay.dev","exp":10}"#, 10 + SKEW).unwrap_err(), TokenError::Expired);
        assert_eq!(read(r#"{"aud":"forebay.dev","exp":-1}"#, 10 + SKEW).unwrap_err(), TokenError::Expired);
        for claims in ["{}", r#"{"aud":"forebay.dev.evil"}"#, r#"{"aud":[]}"#] {
            assert!(matches!(read(claims, 0), Err(TokenError::Audience { .. })), "{claims}");
        }
        for claims in ["", "[]x", r#"{"aud":1}"#, r#"{"aud":"forebay.dev","exp":"soon"}"#] {
            assert!(matches!(read(claims, 0), Err(TokenError::Malformed(_))), "{claims}");
        }
        for text in ["", "abc", "a.b", "a.b.c.d", "..", "a.!!.c", &"x".repeat(MAX + 1)] {
            assert!(matches!(Token::read(text, &"forebay.dev".into(), 0), Err(TokenError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn a_clock_that_the_token_contradicts_says_nothing_about_its_end() {
        let token = read(r#"{"aud":"forebay.dev","iat":5000,"exp":8600}"#, 5000).unwrap();
        let left =
            [(1400, None), (4999, None), (5000, Some(3600)), (8599, Some(1)), (8600, None), (8600 + SKEW - 1, None)];
        for (now, left) in left {
            assert!(!token.has_expired(now));
            assert_eq!(token.left(now), left, "{now}");
        }
        assert_eq!(read(r#"{"aud":"forebay.dev"}"#, 0).unwrap().left(0), None);
    }

    #[test]
    fn the_header_is_read_as_rfc_6750_says() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            Token::of_request(&headers).map(|token| token.map(str::to_owned))
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["Bearer a.b.c"]), Ok(Some("a.b.c".to_owned())));
        assert_eq!(of(&["bearer  a.b.c "]), Ok(Some("a.b.c".to_owned())));
        for values in [&["Basic a"][..], &["a.b.c"], &[""], &["Bearer a", "Bearer b"]] {
            assert!(of(values).is_err(), "{values:?}");
        }
    }

    #[test]
    fn nothing_prints_it() {
        let token = read(r#"{"aud":"forebay.dev","exp":10}"#, 9).unwrap();
        assert_eq!(format!("{token:?}"), "Token { expires: Some(10), .. }");
    }
}
