//! The variables that templates may use: nginx's names, nginx's meaning.

use std::fmt;
use std::sync::Arc;

use super::TemplateError;
use crate::nearest;

/// When a template is evaluated: a variable must have a value by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Before a server is chosen: hash keys, sticky lookups, request headers.
    Request,
    /// When a server's response header was read: sticky learn's `create`.
    Response,
    /// When the request is over: the access log.
    Log,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "a server is chosen",
            Self::Response => "a response header was read",
            Self::Log => "the request is logged",
        })
    }
}

macro_rules! variables {
    ($($phase:ident { $($(#[$doc:meta])* $name:literal $variant:ident,)* })*) => {
        /// One variable. Names and meanings are nginx's (`ngx_http_variables.c`, `ngx_http_upstream.c`) unless said otherwise.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Variable {
            $($($(#[$doc])* $variant,)*)*
            /// `$arg_NAME`: an argument of the query, name without regard to case.
            Arg(Arc<str>),
            /// `$cookie_NAME`: a cookie of the request.
            Cookie(Arc<str>),
            /// `$http_NAME`: a header of the request; held as the header's name (dashes, lower case).
            Http(Arc<str>),
            /// `$upstream_http_NAME`: a header of the last server's response.
            UpstreamHttp(Arc<str>),
            /// `$upstream_cookie_NAME`: a cookie set by the last server's response.
            UpstreamCookie(Arc<str>),
            /// `$sent_http_NAME`: a header of the response as sent to the client.
            SentHttp(Arc<str>),
        }

        /// The names without a parameter.
        const PLAIN: &[(&str, Variable, Phase)] = &[$($(($name, Variable::$variant, Phase::$phase),)*)*];

        impl fmt::Display for Variable {
            /// The name without the dollar sign.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($(Self::$variant => f.write_str($name),)*)*
                    Self::Arg(name) => write!(f, "arg_{name}"),
                    Self::Cookie(name) => write!(f, "cookie_{name}"),
                    Self::Http(name) => write!(f, "http_{}", name.replace('-', "_")),
                    Self::UpstreamHttp(name) => write!(f, "upstream_http_{}", name.replace('-', "_")),
                    Self::UpstreamCookie(name) => write!(f, "upstream_cookie_{name}"),
                    Self::SentHttp(name) => write!(f, "sent_http_{}", name.replace('-', "_")),
                }
            }
        }
    };
}

variables! {
    Request {
        /// Path and query exactly as the client sent them.
        "request_uri" RequestUri,
        /// The decoded, normalised path without the query.
        "uri" Uri,
        /// The same as `$uri`.
        "document_uri" DocumentUri,
        /// The query without the question mark.
        "args" Args,
        /// The same as `$args`.
        "query_string" QueryString,
        /// `?` when there is a query, else empty.
        "is_args" IsArgs,
        /// The host of the request target, else of the Host header without port, lower case.
        "host" Host,
        /// The name of this machine.
        "hostname" Hostname,
        /// The method.
        "request_method" RequestMethod,
        /// The request line as the client sent it.
        "request" Request,
        /// `http` or `https`, as seen by a trusted proxy in front.
        "scheme" Scheme,
        /// `on` when the connection is TLS, else empty.
        "https" Https,
        /// The version of TLS: `TLSv1.2` or `TLSv1.3`.
        "ssl_protocol" SslProtocol,
        /// The cipher suite, as OpenSSL names it.
        "ssl_cipher" SslCipher,
        /// The host that the client asked for in the TLS handshake (SNI).
        "ssl_server_name" SslServerName,
        /// `r` when a TLS session was resumed, else `.`.
        "ssl_session_reused" SslSessionReused,
        /// The client's address, behind trusted proxies too.
        "remote_addr" RemoteAddr,
        /// The client's port.
        "remote_port" RemotePort,
        /// The user name of Basic authentication.
        "remote_user" RemoteUser,
        /// The address of the connection itself, before trusted proxies were believed.
        "realip_remote_addr" RealipRemoteAddr,
        /// The port of the connection itself.
        "realip_remote_port" RealipRemotePort,
        /// The address that accepted the connection.
        "server_addr" ServerAddr,
        /// The port that accepted the connection.
        "server_port" ServerPort,
        /// The host of the route that matched; `_` for any.
        "server_name" ServerName,
        /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
        "server_protocol" ServerProtocol,
        /// 32 hexadecimal digits: the client's `X-Request-ID` if a trusted proxy sent one, else random.
        "request_id" RequestId,
        /// The `Content-Length` header of the request.
        "content_length" ContentLength,
        /// The `Content-Type` header of the request.
        "content_type" ContentType,
        /// The `X-Forwarded-For` header with the client's address appended.
        "proxy_add_x_forwarded_for" ProxyAddXForwardedFor,
        /// The name of the group (nginx: the text in `proxy_pass`).
        "proxy_host" ProxyHost,
        /// `NAMESPACE/NAME` of the group. Ours.
        "upstream_group" UpstreamGroup,
        /// Serial number of the client connection.
        "connection" Connection,
        /// Number of requests on the client connection so far, this one included.
        "connection_requests" ConnectionRequests,
        /// The process id.
        "pid" Pid,
        /// Seconds since the epoch with milliseconds.
        "msec" Msec,
        /// Local time, `22/Nov/2026:10:00:00 +0000`.
        "time_local" TimeLocal,
        /// Local time, `2026-11-22T10:00:00+00:00`.
        "time_iso8601" TimeIso8601,
    }
    Response {
        /// The address of every attempt, `, ` between.
        "upstream_addr" UpstreamAddr,
        /// The status of every attempt.
        "upstream_status" UpstreamStatus,
        /// Seconds to connect, of every attempt.
        "upstream_connect_time" UpstreamConnectTime,
        /// Seconds to the complete response header, of every attempt.
        "upstream_header_time" UpstreamHeaderTime,
    }
    Log {
        /// The status sent to the client.
        "status" Status,
        /// Bytes of body sent to the client.
        "body_bytes_sent" BodyBytesSent,
        /// Bytes sent to the client; we count the body and an estimate of the header's serialised form.
        "bytes_sent" BytesSent,
        /// Seconds from the whole header of the request to the end, with milliseconds.
        "request_time" RequestTime,
        /// Bytes of the request: line, header, body.
        "request_length" RequestLength,
        /// `OK` when the response was complete, else empty.
        "request_completion" RequestCompletion,
        /// Seconds to the end of every attempt.
        "upstream_response_time" UpstreamResponseTime,
        /// Bytes of body received, of every attempt.
        "upstream_response_length" UpstreamResponseLength,
        /// Bytes sent, header and body, of every attempt.
        "upstream_bytes_sent" UpstreamBytesSent,
        /// Bytes received, header and body, of every attempt.
        "upstream_bytes_received" UpstreamBytesReceived,
    }
}

impl Variable {
    /// Finds a variable by its name without the dollar sign.
    pub(super) fn parse(name: &str, phase: Phase) -> Result<Self, TemplateError> {
        let lower = name.to_ascii_lowercase();
        let too_early = || TemplateError::TooEarly { name: name.to_owned(), phase };
        if let Some((_, variable, available)) = PLAIN.iter().find(|(plain, ..)| *plain == lower) {
            return if *available <= phase { Ok(variable.clone()) } else { Err(too_early()) };
        }
        let header = |prefix: &str| {
            lower.strip_prefix(prefix).filter(|rest| !rest.is_empty()).map(|rest| rest.replace('_', "-").into())
        };
        let exact = |prefix: &str| {
            lower.starts_with(prefix).then(|| &name[prefix.len()..]).filter(|rest| !rest.is_empty()).map(Arc::from)
        };
        let found = exact("upstream_cookie_")
            .map(|cookie| (Self::UpstreamCookie(cookie), Phase::Response))
            .or_else(|| header("upstream_http_").map(|name| (Self::UpstreamHttp(name), Phase::Response)))
            .or_else(|| header("sent_http_").map(|name| (Self::SentHttp(name), Phase::Log)))
            .or_else(|| header("http_").map(|name| (Self::Http(name), Phase::Request)))
            .or_else(|| exact("cookie_").map(|cookie| (Self::Cookie(cookie), Phase::Request)))
            .or_else(|| exact("arg_").map(|arg| (Self::Arg(arg), Phase::Request)));
        match found {
            Some((variable, available)) if available <= phase => Ok(variable),
            Some(_) => Err(too_early()),
            None => {
                let near = nearest(name, PLAIN.iter().map(|(plain, ..)| *plain)).map(str::to_owned);
                Err(TemplateError::Unknown { name: name.to_owned(), near })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_to_itself() {
        for (name, variable, _) in PLAIN {
            assert_eq!(Variable::parse(name, Phase::Log).as_ref(), Ok(variable));
            assert_eq!(variable.to_string(), *name);
        }
        for name in
            ["arg_Q", "cookie_Sid", "http_x_team", "upstream_http_etag", "upstream_cookie_sid", "sent_http_date"]
        {
            assert_eq!(Variable::parse(name, Phase::Log).unwrap().to_string(), name);
        }
    }

    #[test]
    fn a_prefix_alone_is_unknown() {
        for name in ["arg_", "http_", "cookie_", "upstream_http_", "upstream_cookie_", "sent_http_"] {
            assert!(matches!(Variable::parse(name, Phase::Log), Err(TemplateError::Unknown { .. })), "{name}");
        }
    }
}
