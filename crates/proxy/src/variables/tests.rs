//! Lines that nginx 1.31.3 wrote, and one value of every variable.

use std::time::Duration;

use config::{Phase, Template};
use http::{HeaderMap, HeaderValue};
use smallvec::smallvec;

use super::*;
use crate::record::{Attempt, AttemptEnd, FailureReason};
use crate::testing;

fn text(template: &str, view: &View<'_>) -> String {
    let mut out = Vec::new();
    render(&Template::parse(template, Phase::Log).unwrap(), view, &mut out);
    String::from_utf8(out).unwrap()
}

fn value(template: &str, record: &Record) -> String {
    text(template, &View::finished(record))
}

/// An attempt at the server at `position` with status and response, connect and header times in milliseconds.
fn attempt(position: usize, status: Option<u16>, times: [Option<u64>; 3]) -> Attempt {
    let [response, connect, header] = times.map(|time| time.map(Duration::from_millis));
    let end = AttemptEnd::Relayed;
    Attempt { connect, header, response, status, end, ..testing::attempt(position) }
}

#[test]
fn lists_as_a_real_nginx_prints_them() {
    let start = testing::record().started;
    for (what, attempts, expected) in [
        (
            "one refused, then fine",
            vec![attempt(0, Some(502), [Some(1), None, None]), attempt(1, Some(200), [Some(2), Some(0), Some(2)])],
            "127.0.0.1:1, 127.0.0.1:2|502, 200|0.001, 0.002|-, 0.000|-, 0.002",
        ),
        (
            "header timeout, then fine",
            vec![
                attempt(0, Some(504), [Some(1002), Some(0), None]),
                attempt(1, Some(200), [Some(0), Some(0), Some(0)]),
            ],
            "127.0.0.1:1, 127.0.0.1:2|504, 200|1.002, 0.000|0.000, 0.000|-, 0.000",
        ),
        (
            "503 listed, then refused",
            vec![attempt(0, Some(503), [Some(1), Some(0), Some(1)]), attempt(1, Some(502), [Some(0), None, None])],
            "127.0.0.1:1, 127.0.0.1:2|503, 502|0.001, 0.000|0.000, -|0.001, -",
        ),
        ("nobody eligible", vec![Attempt::no_live_peers(start)], "shop/app|502|0.000|-|-"),
        (
            "tried one, then nobody",
            vec![attempt(0, Some(502), [Some(3), None, None]), Attempt::no_live_peers(start)],
            "127.0.0.1:1, shop/app|502, 502|0.003, 0.000|-, -|-, -",
        ),
        ("client abort", vec![attempt(0, None, [Some(200), Some(0), None])], "127.0.0.1:1|-|0.200|0.000|-"),
        ("still running", vec![testing::attempt(0)], "127.0.0.1:1|-|-|-|-"),
    ] {
        let mut record = testing::record();
        record.attempts = attempts.into();
        let template = "$upstream_addr|$upstream_status|$upstream_response_time|$upstream_connect_time|\
                        $upstream_header_time";
        assert_eq!(value(template, &record), expected, "{what}");
    }
}

#[test]
fn bytes_of_every_attempt() {
    let mut record = testing::record();
    let first = Attempt {
        end: AttemptEnd::Failed(FailureReason::Connect),
        ..Attempt::begin(testing::server_of(&record, 0), record.started)
    };
    let mut second = Attempt::begin(testing::server_of(&record, 1), record.started);
    (second.response_length, second.bytes_sent, second.bytes_received) = (512, 90, 700);
    record.attempts = smallvec![first, second];
    let template = "$upstream_response_length|$upstream_bytes_sent|$upstream_bytes_received";
    assert_eq!(value(template, &record), "0, 512|0, 90|0, 700");
}

#[test]
fn every_plain_variable() {
    let mut record = testing::record();
    for (name, text) in [
        ("content-type", "text/plain"),
        ("content-length", "3"),
        ("x-forwarded-for", "198.51.100.1"),
        ("authorization", "Basic dXNlcjpwYXNz"),
        ("cookie", "sid=abc"),
        ("x-team", "blue"),
    ] {
        record.headers.insert(name, HeaderValue::from_static(text));
    }
    record.request_body_bytes = 3;
    for (template, expected) in [
        ("$request_uri", "/cart?id=7"),
        ("$uri$document_uri", "/cart/cart"),
        ("$args $query_string$is_args", "id=7 id=7?"),
        ("$host", "shop.example"),
        ("$request_method", "GET"),
        ("$request", "GET /cart?id=7 HTTP/1.1"),
        ("$scheme", "http"),
        ("$remote_addr:$remote_port", "192.0.2.7:"),
        ("$remote_user", "user"),
        ("$realip_remote_addr:$realip_remote_port", "10.0.0.1:50000"),
        ("$server_addr:$server_port", "10.0.0.2:8080"),
        ("$server_name", "shop.example"),
        ("$server_protocol", "HTTP/1.1"),
        ("$request_id", "0000000000000000000000000000feed"),
        ("$content_length $content_type", "3 text/plain"),
        ("$proxy_add_x_forwarded_for", "198.51.100.1, 192.0.2.7"),
        ("$proxy_host $upstream_group", "app shop/app"),
        ("$connection $connection_requests", "42 3"),
        ("$msec", "1795341600.262"),
        ("$status $body_bytes_sent $bytes_sent", "200 512 612"),
        ("$request_time $request_completion", "0.012 OK"),
        ("$arg_ID $cookie_sid $http_x_team $http_host", "7 abc blue shop.example:8080"),
        ("$upstream_http_etag$upstream_cookie_sid$sent_http_date$upstream_addr", ""),
    ] {
        assert_eq!(value(template, &record), expected, "{template}");
    }
    assert_eq!(value("$pid", &record), std::process::id().to_string());
    assert!(!value("$hostname$time_local$time_iso8601", &record).is_empty());
    let head = "GET /cart?id=7 HTTP/1.1\r\nhost: shop.example:8080\r\nuser-agent: curl/8.5.0\r\ncontent-type: text/plain\r\n\
                content-length: 3\r\nx-forwarded-for: 198.51.100.1\r\nauthorization: Basic dXNlcjpwYXNz\r\ncookie: sid=abc\r\n\
                x-team: blue\r\n\r\n";
    assert_eq!(value("$request_length", &record), (head.len() + 3).to_string());
}

#[test]
fn an_absolute_target_keeps_its_authority_in_the_request_line_only() {
    let mut record = testing::record();
    record.uri = "http://shop.example/a//b/../c%20d?x".parse().unwrap();
    assert_eq!(value("$request", &record), "GET http://shop.example/a//b/../c%20d?x HTTP/1.1");
    assert_eq!(value("$request_uri", &record), "/a//b/../c%20d?x");
    assert_eq!(value("$uri", &record), "/a/c d");
}

#[test]
fn headers_of_responses() {
    let record = testing::record();
    let mut upstream = HeaderMap::new();
    upstream.append("set-cookie", HeaderValue::from_static("a=1; Path=/"));
    upstream.append("set-cookie", HeaderValue::from_static("SID=x y; Secure"));
    upstream.append("vary", HeaderValue::from_static("accept"));
    upstream.append("vary", HeaderValue::from_static("cookie"));
    let view = View { record: &record, upstream_headers: Some(&upstream), sent_headers: Some(&upstream) };
    assert_eq!(
        text("$upstream_cookie_sid|$upstream_http_vary|$sent_http_vary", &view),
        "x y|accept, cookie|accept, cookie"
    );
}

#[test]
fn missing_is_not_empty() {
    let record = testing::record();
    let view = View::finished(&record);
    for (name, presence) in [
        ("$http_referer", Presence::Missing),
        ("$upstream_addr", Presence::Missing),
        ("$remote_user", Presence::Missing),
        ("$is_args", Presence::Found),
        ("$remote_port", Presence::Found),
    ] {
        let template = Template::parse(name, Phase::Log).unwrap();
        let [Part::Variable(variable)] = template.parts() else { panic!("{name} is one variable") };
        assert_eq!(append(variable, &view, &mut Vec::new()), presence, "{name}");
    }
}
