//! A line's form, compiled once: texts and variables in order, each variable with the way it is written.

use config::template::{Part, Variable};
use config::{Phase, Template};
use http::HeaderName;

use super::{Format, escape};
use crate::record::Record;
use crate::variables::{self, Presence, View};

/// A compiled [`Format`].
#[derive(Debug)]
pub(super) struct Line {
    pieces: Vec<Piece>,
    wants_upstream_headers: bool,
    wants_sent_headers: bool,
}

#[derive(Debug)]
enum Piece {
    Text(Box<[u8]>),
    Value(Variable, Form),
    /// `$http_NAME`, looked up without parsing the name each time.
    Header(HeaderName, Form),
}

/// How a value is written.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// nginx `escape=default`; `-` when there is none.
    Text,
    /// As `Text`, of a value that never needs an escape.
    PlainText,
    /// Inside a JSON string; empty when there is none, as nginx's `escape=json`.
    JsonText,
    /// As `JsonText`, of a value that never needs an escape.
    PlainJsonText,
    /// A JSON number.
    JsonNumber,
}

impl Format {
    /// The text form: nginx's `combined`, then the group and, each in quotes because it may be a list, what every attempt
    /// came to.
    pub const COMBINED: &'static str = concat!(
        r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "#,
        r#"$upstream_group "$upstream_addr" "$upstream_status" "$upstream_connect_time" "$upstream_header_time" "#,
        r#""$upstream_response_time" $request_time $request_id"#,
    );

    /// The keys of the JSON form.
    pub const JSON: &'static [&'static str] = &[
        "time_iso8601",
        "remote_addr",
        "remote_user",
        "request_method",
        "scheme",
        "host",
        "request_uri",
        "server_protocol",
        "server_name",
        "status",
        "request_length",
        "body_bytes_sent",
        "bytes_sent",
        "request_time",
        "request_completion",
        "upstream_group",
        "upstream_addr",
        "upstream_status",
        "upstream_connect_time",
        "upstream_header_time",
        "upstream_response_time",
        "request_id",
        "connection",
        "connection_requests",
        "http_referer",
        "http_user_agent",
        "http_x_forwarded_for",
    ];
}

impl Line {
    pub(super) fn new(format: &Format) -> Self {
        let mut pieces = match format {
            Format::Combined => compile(&own(Format::COMBINED), text_form),
            Format::Template(template) => compile(template, text_form),
            Format::Json => json(),
        };
        pieces.push(Piece::Text(b"\n"[..].into()));
        let wants = |wanted: fn(&Variable) -> bool| {
            pieces.iter().any(|piece| matches!(piece, Piece::Value(variable, _) if wanted(variable)))
        };
        Self {
            wants_upstream_headers: wants(|variable| {
                matches!(variable, Variable::UpstreamHttp(_) | Variable::UpstreamCookie(_))
            }),
            wants_sent_headers: wants(|variable| matches!(variable, Variable::SentHttp(_))),
            pieces,
        }
    }

    pub(super) fn wants_upstream_headers(&self) -> bool {
        self.wants_upstream_headers
    }

    pub(super) fn wants_sent_headers(&self) -> bool {
        self.wants_sent_headers
    }

    /// Appends the line of a request, its end included.
    pub(super) fn write(&self, record: &Record, out: &mut Vec<u8>) {
        let view = View::finished(record);
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Value(variable, form) => form.write(out, |out| variables::append(variable, &view, out)),
                Piece::Header(name, form) => form.write(out, |out| variables::push_header(&record.headers, name, out)),
            }
        }
    }
}

impl Form {
    fn write(self, out: &mut Vec<u8>, append: impl FnOnce(&mut Vec<u8>) -> Presence) {
        let from = out.len();
        let presence = append(out);
        match (self, presence) {
            (Self::Text | Self::PlainText, Presence::Missing) => out.push(b'-'),
            (Self::PlainText, Presence::Found) | (Self::PlainJsonText, _) => {}
            (Self::Text, Presence::Found) => escape::default(out, from),
            (Self::JsonText, _) => escape::json(out, from),
            (Self::JsonNumber, _) => {
                // `$status` has at least three digits; a JSON number has no leading zero.
                let zeros = out[from..].windows(2).take_while(|pair| pair[0] == b'0' && pair[1].is_ascii_digit());
                let zeros = zeros.count();
                out.drain(from..from + zeros);
            }
        }
    }
}

fn compile(template: &Template, form: impl Fn(&Variable) -> Form) -> Vec<Piece> {
    let piece = |part: &Part| match part {
        Part::Text(text) => Piece::Text(text.as_bytes().into()),
        Part::Variable(variable) => match variable {
            Variable::Http(name) if let Ok(header) = name.parse() => Piece::Header(header, form(variable)),
            _ => Piece::Value(variable.clone(), form(variable)),
        },
    };
    template.parts().iter().map(piece).collect()
}

fn json() -> Vec<Piece> {
    let field = |name: &&str| {
        let quote = if is_number(&own(&format!("${name}"))) { "" } else { "\"" };
        format!("\"{name}\":{quote}${name}{quote}")
    };
    let fields: Vec<_> = Format::JSON.iter().map(field).collect();
    let object = own(&format!("{{{}}}", fields.join(",")));
    compile(&object, |variable| match text_form(variable) {
        _ if always_number(variable) => Form::JsonNumber,
        Form::PlainText => Form::PlainJsonText,
        _ => Form::JsonText,
    })
}

/// How a variable is written in a line of text.
fn text_form(variable: &Variable) -> Form {
    let plain = matches!(
        variable,
        Variable::RemoteAddr
            | Variable::TimeLocal
            | Variable::TimeIso8601
            | Variable::Scheme
            | Variable::ServerProtocol
            | Variable::RequestCompletion
            | Variable::UpstreamStatus
            | Variable::UpstreamConnectTime
            | Variable::UpstreamHeaderTime
            | Variable::UpstreamResponseTime
    );
    if plain || always_number(variable) { Form::PlainText } else { Form::Text }
}

fn is_number(template: &Template) -> bool {
    template.parts().iter().all(|part| matches!(part, Part::Variable(variable) if always_number(variable)))
}

/// Variables whose value is one number, always.
fn always_number(variable: &Variable) -> bool {
    matches!(
        variable,
        Variable::Status
            | Variable::BodyBytesSent
            | Variable::BytesSent
            | Variable::RequestLength
            | Variable::RequestTime
            | Variable::Connection
            | Variable::ConnectionRequests
            | Variable::Msec
    )
}

/// A template of our own making.
fn own(text: &str) -> Template {
    Template::parse(text, Phase::Log).expect("the constants above name existing variables: the tests compile them all")
}
