//! A line's form, compiled once: texts and variables in order, each variable with the way it is written.

use config::template::{Part, Variable};
use config::{Phase, Template};
use http::HeaderName;

use super::{Format, escape};
use crate::record::Record;
use crate::variables::{self, Needs, Presence, Shape, Text, View};

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
        let wants = |wanted: Needs<'_>| pieces.iter().any(|piece| piece.needs() == wanted);
        Self {
            wants_upstream_headers: wants(Needs::UpstreamHeaders),
            wants_sent_headers: wants(Needs::SentHeaders),
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

impl Piece {
    fn needs(&self) -> Needs<'_> {
        match self {
            Self::Text(_) => Needs::Nothing,
            Self::Value(variable, _) => variables::shape(variable).needs,
            Self::Header(name, _) => Needs::RequestHeader(name.as_str()),
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

fn compile(template: &Template, form: impl Fn(Text) -> Form) -> Vec<Piece> {
    let piece = |part: &Part| match part {
        Part::Text(text) => Piece::Text(text.as_bytes().into()),
        Part::Variable(variable) => {
            let Shape { text, needs } = variables::shape(variable);
            let header = match needs {
                Needs::RequestHeader(name) => name.parse().ok(),
                Needs::Nothing | Needs::UpstreamHeaders | Needs::SentHeaders => None,
            };
            match header {
                Some(header) => Piece::Header(header, form(text)),
                None => Piece::Value(variable.clone(), form(text)),
            }
        }
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
    compile(&object, |text| match text {
        Text::Number => Form::JsonNumber,
        Text::Plain => Form::PlainJsonText,
        Text::Any => Form::JsonText,
    })
}

/// How a variable is written in a line of text.
fn text_form(text: Text) -> Form {
    match text {
        Text::Number | Text::Plain => Form::PlainText,
        Text::Any => Form::Text,
    }
}

fn is_number(template: &Template) -> bool {
    template.parts().iter().all(|part| match part {
        Part::Text(_) => false,
        Part::Variable(variable) => variables::shape(variable).text == Text::Number,
    })
}

/// A template of our own making.
fn own(text: &str) -> Template {
    Template::parse(text, Phase::Log).expect("the constants above name existing variables: the tests compile them all")
}
