//! What is known of a variable before it has a value: the access log is compiled from it.

use config::template::Variable;

/// Of one variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape<'a> {
    pub(crate) text: Text,
    pub(crate) needs: Needs<'a>,
}

/// What its text may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// One number, always.
    Number,
    /// Nothing that needs an escape.
    Plain,
    /// Whatever was sent.
    Any,
}

/// What it is computed from besides what every record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs<'a> {
    Nothing,
    /// One header of the request, by its name.
    RequestHeader(&'a str),
    /// The header of the last server's response.
    UpstreamHeaders,
    /// The header sent to the client.
    SentHeaders,
}

/// The shape of a variable. What [`super::append`] writes must have it.
pub(crate) fn shape(variable: &Variable) -> Shape<'_> {
    let (text, needs) = match variable {
        Variable::Status
        | Variable::BodyBytesSent
        | Variable::BytesSent
        | Variable::RequestLength
        | Variable::RequestTime
        | Variable::Connection
        | Variable::ConnectionRequests
        | Variable::ServerPort
        | Variable::Pid
        | Variable::Msec => (Text::Number, Needs::Nothing),
        Variable::RemoteAddr
        | Variable::RemotePort
        | Variable::RealipRemoteAddr
        | Variable::RealipRemotePort
        | Variable::ServerAddr
        | Variable::TimeLocal
        | Variable::TimeIso8601
        | Variable::Scheme
        | Variable::Https
        | Variable::IsArgs
        | Variable::SslProtocol
        | Variable::SslSessionReused
        | Variable::ServerProtocol
        | Variable::RequestCompletion
        | Variable::UpstreamStatus
        | Variable::UpstreamConnectTime
        | Variable::UpstreamHeaderTime
        | Variable::UpstreamResponseTime
        | Variable::UpstreamResponseLength
        | Variable::UpstreamBytesSent
        | Variable::UpstreamBytesReceived => (Text::Plain, Needs::Nothing),
        Variable::RequestUri
        | Variable::Uri
        | Variable::DocumentUri
        | Variable::Args
        | Variable::QueryString
        | Variable::Host
        | Variable::Hostname
        | Variable::RequestMethod
        | Variable::Request
        | Variable::SslCipher
        | Variable::SslServerName
        | Variable::RemoteUser
        | Variable::ServerName
        | Variable::RequestId
        | Variable::ContentLength
        | Variable::ContentType
        | Variable::ProxyAddXForwardedFor
        | Variable::ProxyHost
        | Variable::UpstreamGroup
        | Variable::UpstreamAddr
        | Variable::Arg(_)
        | Variable::Cookie(_) => (Text::Any, Needs::Nothing),
        Variable::Http(name) => (Text::Any, Needs::RequestHeader(name)),
        Variable::UpstreamHttp(_) | Variable::UpstreamCookie(_) => (Text::Any, Needs::UpstreamHeaders),
        Variable::SentHttp(_) => (Text::Any, Needs::SentHeaders),
    };
    Shape { text, needs }
}
