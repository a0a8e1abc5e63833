//! Responses of our own: the only place where a status becomes a page.

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use hyper::ext::ReasonPhrase;

use crate::record::{Record, Transport};
use crate::request::body::ResponseBody;
use crate::request::exchange::Exchange;
use crate::request::headers;

/// Answers the client ourselves.
pub(crate) fn page(exchange: Box<Exchange>, status: StatusCode) -> Response<ResponseBody> {
    with_headers(exchange, status, HeaderMap::new())
}

/// Answers the client ourselves, with further header fields.
pub(crate) fn with_headers(
    mut exchange: Box<Exchange>,
    status: StatusCode,
    mut fields: HeaderMap,
) -> Response<ResponseBody> {
    headers::our_own(&mut fields, "text/html");
    let text = text(&exchange.record, status);
    fields.insert(http::header::CONTENT_LENGTH, text.len().into());
    let limit = exchange.worker.shared.options.limits.keepalive_requests;
    let version = headers::persist(&exchange.record, limit, closes(status), true, &mut fields);
    exchange.record.status = status.as_u16();
    exchange.record.header_bytes_sent = headers::wire_size(&fields);
    exchange.record.complete = true;
    if exchange.worker.shared.access_log.wants_sent_headers() {
        exchange.record.sent_headers = Some(fields.clone());
    }
    let page = (exchange.record.method != Method::HEAD).then(|| Bytes::from(text));
    let mut response = Response::new(ResponseBody::own(page, exchange));
    *response.status_mut() = status;
    *response.version_mut() = version;
    *response.headers_mut() = fields;
    // The status line says what the page says.
    if let Ok(reason) = ReasonPhrase::try_from(reason(status).as_bytes()) {
        response.extensions_mut().insert(reason);
    }
    response
}

/// Whether the rest of the request cannot be trusted to be framed, or is not worth reading.
fn closes(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::NOT_IMPLEMENTED
    )
}

/// nginx's words where they differ from the registry's.
fn reason(status: StatusCode) -> &'static str {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => "Request Entity Too Large",
        StatusCode::SERVICE_UNAVAILABLE => "Service Temporarily Unavailable",
        StatusCode::GATEWAY_TIMEOUT => "Gateway Time-out",
        StatusCode::REQUEST_TIMEOUT => "Request Time-out",
        StatusCode::METHOD_NOT_ALLOWED => "Not Allowed",
        other => other.canonical_reason().unwrap_or("Error"),
    }
}

fn text(record: &Record, status: StatusCode) -> String {
    let heading = format!("{} {}", status.as_u16(), reason(status));
    // nginx's page for its own status 497 (NGX_HTTP_TO_HTTPS).
    let to_tls = "The plain HTTP request was sent to HTTPS port";
    let (title, detail) = match record.downstream.transport {
        Transport::PlainToTls => (format!("400 {to_tls}"), format!("<center>{to_tls}</center>\r\n")),
        Transport::Plain | Transport::Tls(_) => (heading.clone(), String::new()),
    };
    format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{heading}</h1></center>\r\n{detail}\
         <hr><center>forebay</center>\r\n</body>\r\n</html>\r\n"
    )
}
