//! The cookie of `sticky cookie`, attribute by attribute in nginx's order.

use std::fmt::Write as _;

use config::{CookieLifetime, SameSite, StickyCookie};
use jiff::Timestamp;

/// What `expires=max` means to nginx.
const MAX: &str = "; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000";

/// The `Set-Cookie` value that pins a client to the server with this id.
pub(crate) fn sticky(cookie: &StickyCookie, sid: &str, unix_secs: u64) -> String {
    let mut text = format!("{}={sid}", cookie.name);
    match cookie.expires {
        None => {}
        Some(CookieLifetime::Max) => text.push_str(MAX),
        Some(CookieLifetime::After(lifetime)) => {
            let secs = lifetime.0 / 1000;
            let expires = i64::try_from(unix_secs + secs).ok().and_then(|secs| Timestamp::from_second(secs).ok());
            if let Some(expires) = expires {
                let _ = write!(text, "; expires={}", expires.strftime("%a, %d-%b-%y %H:%M:%S GMT"));
            }
            let _ = write!(text, "; max-age={secs}");
        }
    }
    if let Some(domain) = &cookie.domain {
        let _ = write!(text, "; domain={domain}");
    }
    if cookie.http_only {
        text.push_str("; httponly");
    }
    if cookie.secure {
        text.push_str("; secure");
    }
    if let Some(same_site) = cookie.same_site {
        text.push_str(match same_site {
            SameSite::Strict => "; samesite=strict",
            SameSite::Lax => "; samesite=lax",
            SameSite::None => "; samesite=none",
        });
    }
    if let Some(path) = &cookie.path {
        let _ = write!(text, "; path={path}");
    }
    text
}

#[cfg(test)]
mod tests {
    use config::Millis;

    use super::*;

    #[test]
    fn attributes_come_in_nginx_order() {
        let cookie = StickyCookie {
            name: "srv".into(),
            expires: Some(CookieLifetime::After(Millis::from_secs(3600))),
            domain: Some(".example.com".into()),
            path: Some("/".into()),
            http_only: true,
            secure: true,
            same_site: Some(SameSite::Lax),
        };
        assert_eq!(
            sticky(&cookie, "abc", 0),
            "srv=abc; expires=Thu, 01-Jan-70 01:00:00 GMT; max-age=3600; domain=.example.com; httponly; secure; \
             samesite=lax; path=/"
        );
        let bare = StickyCookie {
            expires: Some(CookieLifetime::Max),
            domain: None,
            path: None,
            http_only: false,
            secure: false,
            same_site: None,
            ..cookie
        };
        assert_eq!(sticky(&bare, "abc", 0), format!("srv=abc{MAX}"));
    }
}
