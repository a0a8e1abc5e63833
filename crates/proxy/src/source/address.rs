//! Where controllers are: what an operator writes, and the addresses that a resolver makes of it.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use http::Uri;
use rustls_pki_types::ServerName;

/// `https://HOST:PORT`. The host is what the controller's certificate must be for, whichever of its addresses is dialled; the
/// leader's may be for that of any URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerUrl {
    host: Arc<str>,
    port: u16,
    name: ServerName<'static>,
}

/// The text is no URL of a controller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{text}\" is no URL of a controller: {problem}; write https://HOST:PORT, for example \
         https://forebay-controller.forebay.svc:9902"
)]
pub struct ControllerUrlError {
    text: String,
    problem: &'static str,
}

/// One address to dial, and the name to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub url: ControllerUrl,
    pub address: SocketAddr,
}

impl ControllerUrl {
    /// Host and port, as a resolver takes them.
    pub(super) fn target(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// What the certificate must be for.
    pub(super) fn server_name(&self) -> ServerName<'static> {
        self.name.clone()
    }

    /// The URL of `path` there.
    pub(super) fn uri(&self, path: &str) -> Result<Uri, http::uri::InvalidUri> {
        format!("{self}{path}").parse()
    }
}

/// Their hosts, each once, as a sentence has them: `"a" or "b"`.
pub(super) fn hosts(urls: &[ControllerUrl]) -> String {
    let mut hosts: Vec<_> = urls.iter().map(|url| format!("\"{}\"", url.host)).collect();
    hosts.sort();
    hosts.dedup();
    hosts.join(" or ")
}

impl FromStr for ControllerUrl {
    type Err = ControllerUrlError;

    fn from_str(text: &str) -> Result<Self, ControllerUrlError> {
        let refuse = |problem| ControllerUrlError { text: text.to_owned(), problem };
        let uri: Uri = text.parse().map_err(|_| refuse("it cannot be read"))?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") => return Err(refuse("private keys and tokens travel on it, so it must be https")),
            Some(_) | None => return Err(refuse("it does not begin with https://")),
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(refuse("it has a path, which the protocol chooses"));
        }
        let authority = uri.authority().ok_or_else(|| refuse("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(refuse("it names a user; a token is given in a file"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_u16().filter(|port| *port != 0).ok_or_else(|| refuse("it names no port"))?;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| refuse("its host is no name and no address"))?;
        Ok(Self { host: host.into(), port, name })
    }
}

impl fmt::Display for ControllerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "https://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "https://{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.url, self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_host_and_port() {
        for text in ["https://forebay-controller.forebay.svc:9902", "https://10.0.0.9:9902", "https://[fd00::7]:9902"] {
            assert_eq!(text.parse::<ControllerUrl>().unwrap().to_string(), text);
        }
        let url: ControllerUrl = "https://[fd00::7]:9902/".parse().unwrap();
        assert_eq!(url.target(), ("fd00::7", 9902));
        assert_eq!(url.uri("/feed/v1").unwrap(), "https://[fd00::7]:9902/feed/v1");
    }

    #[test]
    fn hosts_are_named_once() {
        let urls = ["https://b:9902", "https://a:9902", "https://b:9903"].map(|text| text.parse().unwrap());
        assert_eq!((hosts(&urls), hosts(&urls[..1])), (r#""a" or "b""#.to_owned(), r#""b""#.to_owned()));
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        for (text, problem) in [
            ("http://controller:9902", "must be https"),
            ("controller:9902", "does not begin with https://"),
            ("https://controller", "names no port"),
            ("https://controller:0", "names no port"),
            ("https://controller:9902/feed", "has a path"),
            ("https://me:secret@controller:9902", "names a user"),
            ("https://under_score!:9902", "no name and no address"),
            ("", "cannot be read"),
        ] {
            let error = text.parse::<ControllerUrl>().unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains("write https://HOST:PORT"), "{text}: {error}");
        }
    }
}
