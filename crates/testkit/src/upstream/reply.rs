//! The bytes of every answer that does not depend on time.

use serde_json::json;

use super::{After, Mode, Received};

/// The answer to `request` in `mode`, and what then happens to the connection. Nothing for modes that do not answer.
pub(super) fn reply(name: &str, mode: &Mode, request: &Received) -> (Vec<u8>, After) {
    let keep = if wants_close(request) { After::Close } else { After::Keep };
    match mode {
        Mode::Ok | Mode::Delay(_) | Mode::Hold | Mode::Slow(_) | Mode::Stale(_) => {
            (message(200, name, request, &content(name, request)), keep)
        }
        Mode::Status(status) => (message(*status, name, request, name.as_bytes()), keep),
        Mode::Interim(status) => {
            let mut bytes =
                format!("HTTP/1.1 {status} Interim\r\nLink: </style.css>; rel=preload\r\n\r\n").into_bytes();
            bytes.extend(message(200, name, request, &content(name, request)));
            (bytes, keep)
        }
        Mode::Chunked => {
            let content = content(name, request);
            let (first, second) = content.split_at(content.len() / 2);
            let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n".to_vec();
            for chunk in [first, second].into_iter().filter(|chunk| !chunk.is_empty()) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(format!("0\r\nX-Sum: {}\r\n\r\n", content.len()).bytes());
            (bytes, keep)
        }
        Mode::UntilClose => {
            let mut bytes = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
            bytes.extend(content(name, request));
            (bytes, After::Close)
        }
        Mode::ResetMidHeader => (b"HTTP/1.1 200 OK\r\nContent-Le".to_vec(), After::Reset),
        Mode::ResetMidBody => (short(name), After::Reset),
        Mode::ShortBody => (short(name), After::Close),
        Mode::LongBody => {
            (format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}{name}", name.len()).into_bytes(), keep)
        }
        Mode::BadHeader => (b"HTTP/1.1 200 OK\r\nno colon here\r\nContent-Length: 0\r\n\r\n".to_vec(), After::Close),
        Mode::BothLengths => {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
            (format!("{head}5\r\nhello\r\n0\r\n\r\n").into_bytes(), After::Close)
        }
        Mode::Http09 => (format!("garbage from {name}\n").into_bytes(), After::Close),
        Mode::BigHeader(size) => {
            let filler = "x".repeat(*size);
            (format!("HTTP/1.1 200 OK\r\nX-Big: {filler}\r\nContent-Length: 0\r\n\r\n").into_bytes(), keep)
        }
        Mode::Raw(bytes, after) => (bytes.to_vec(), *after),
        Mode::Reset => (Vec::new(), After::Reset),
        // All but the first are decided before an answer is asked for.
        Mode::Close
        | Mode::Hang
        | Mode::StopReading
        | Mode::Refuse
        | Mode::CloseOnAccept
        | Mode::Upgrade
        | Mode::HastyUpgrade
        | Mode::SlowBody { .. } => (Vec::new(), After::Close),
    }
}

fn message(status: u16, name: &str, request: &Received, content: &[u8]) -> Vec<u8> {
    let reason = if status == 200 { "OK" } else { "Scripted" };
    let close = if wants_close(request) { "Connection: close\r\n" } else { "" };
    let bodiless = matches!(status, 204 | 304);
    let length = if bodiless { String::new() } else { format!("Content-Length: {}\r\n", content.len()) };
    let cookie = request.header("x-session").map(|value| format!("Set-Cookie: srv={value}\r\n")).unwrap_or_default();
    let head = format!("HTTP/1.1 {status} {reason}\r\nX-Server: {name}\r\n{cookie}{length}{close}\r\n");
    let mut bytes = head.into_bytes();
    if request.method() != "HEAD" && !bodiless {
        bytes.extend(content);
    }
    bytes
}

fn content(name: &str, request: &Received) -> Vec<u8> {
    let path = request.target().split('?').next().unwrap_or("");
    if path.starts_with("/echo") {
        return echo(name, request).to_string().into_bytes();
    }
    match path.strip_prefix("/bytes/").and_then(|count| count.parse().ok()) {
        Some(count) => b"0123456789abcdef".iter().copied().cycle().take(count).collect(),
        None => name.as_bytes().to_vec(),
    }
}

fn echo(name: &str, request: &Received) -> serde_json::Value {
    json!({
        "server": name,
        "connection": request.connection,
        "request": request.nth,
        "line": request.head.start_line,
        "method": request.method(),
        "target": request.target(),
        "headers": request.head.headers.0,
        "body": String::from_utf8_lossy(&request.body.content),
        "trailers": request.body.trailers.0,
    })
}

fn short(name: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{name}").into_bytes()
}

fn wants_close(request: &Received) -> bool {
    let headers = &request.head.headers;
    let old = request.head.word(2) != "HTTP/1.1";
    headers.has_token("connection", "close") || old && !headers.has_token("connection", "keep-alive")
}
