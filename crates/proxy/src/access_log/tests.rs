use std::fs;
use std::io::{PipeReader, Read as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::time::Duration;

use config::Phase;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;

use super::*;
use crate::record::Attempt;
use crate::testing;

/// Longer than any test takes: what ends a test is an event.
const LONG: Duration = Duration::from_mins(1);

fn open(path: &Path, format: Format) -> AccessLog {
    AccessLog::open(&Options { target: Target::File(path.to_owned()), format }).unwrap()
}

fn template(text: &str) -> Format {
    Format::Template(Template::parse(text, Phase::Log).unwrap())
}

fn line(format: &Format, record: &Record) -> String {
    let mut out = Vec::new();
    Line::new(format).write(record, &mut out);
    String::from_utf8(out).unwrap()
}

/// A path that leads to the writing end of a pipe.
fn pipe() -> (PipeReader, io::PipeWriter, PathBuf) {
    let (reader, writer) = io::pipe().unwrap();
    let path = format!("/proc/self/fd/{}", writer.as_raw_fd()).into();
    (reader, writer, path)
}

#[test]
fn combined_is_nginx_s_with_the_upstream_behind() {
    let mut record = testing::record();
    record.headers.insert("referer", HeaderValue::from_static("http://x/\"quoted\""));
    let text = line(&Format::Combined, &record);
    let (head, rest) = text.split_once(" [").unwrap();
    assert_eq!(head, "192.0.2.7 - -");
    let (_, rest) = rest.split_once("] ").unwrap();
    assert_eq!(
        rest,
        "\"GET /cart?id=7 HTTP/1.1\" 200 512 \"http://x/\\x22quoted\\x22\" \"curl/8.5.0\" shop/app \"-\" \"-\" \"-\" \"-\" \"-\" \
         0.012 0000000000000000000000000000feed\n"
    );
    record.attempts.push(Attempt::begin(testing::server_of(&record, 0), record.started));
    record.attempts.push(Attempt::no_live_peers(record.started));
    assert!(
        line(&Format::Combined, &record)
            .contains("\"127.0.0.1:1, shop/app\" \"-, 502\" \"-, -\" \"-, -\" \"-, 0.000\"")
    );
}

#[test]
fn json_is_valid_whatever_the_client_sent() {
    let mut record = testing::record();
    let odd = HeaderValue::from_bytes(b"a\"b\\c\t\xff\xc3\xa9").unwrap();
    record.headers.insert("user-agent", odd);
    record.status = 0;
    let text = line(&Format::Json, &record);
    assert!(text.ends_with("}\n") && text.matches('\n').count() == 1);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json.as_object().unwrap().len(), Format::JSON.len());
    assert_eq!(json["http_user_agent"], "a\"b\\c\t\u{fffd}é");
    assert_eq!(json["status"], 0);
    assert_eq!(json["body_bytes_sent"], 512);
    assert_eq!(json["request_time"], 0.012);
    assert_eq!(json["request_uri"], "/cart?id=7");
    assert_eq!(json["upstream_addr"], "", "none: empty, as nginx's escape=json");
    assert_eq!(json["http_referer"], "");
}

#[test]
fn headers_are_wanted_only_when_a_line_names_one() {
    let mut record = testing::record();
    record.sent_headers = Some(HeaderMap::from_iter([(http::header::VARY, HeaderValue::from_static("x"))]));
    let wants = |format: &Format| {
        let line = Line::new(format);
        (line.wants_upstream_headers(), line.wants_sent_headers())
    };
    assert_eq!(wants(&Format::Combined), (false, false));
    assert_eq!(wants(&Format::Json), (false, false));
    assert_eq!(wants(&template("$upstream_cookie_sid")), (true, false));
    assert_eq!(wants(&template("$upstream_http_etag$sent_http_vary")), (true, true));
    assert_eq!(line(&template("$sent_http_vary $upstream_http_etag"), &record), "x -\n");
}

#[test]
fn a_quiet_log_appears_by_itself() {
    let (mut reader, _writer, path) = pipe();
    let log = open(&path, template("$status"));
    log.writer().log(&testing::record());
    // Nobody flushes: the read ends when the thread has written.
    let mut line = [0; 4];
    reader.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"200\n");
}

#[test]
fn workers_lines_all_arrive_and_a_rotated_file_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let log = open(&path, template("$status"));
    let (first, second) = (log.writer(), log.writer());
    first.log(&testing::record());
    fs::rename(&path, directory.path().join("access.log.1")).unwrap();
    log.reopen();
    // The new file exists once the thread has come round.
    while !path.exists() {
        thread::yield_now();
    }
    first.log(&testing::record());
    second.log(&testing::record());
    assert!(log.close(LONG));
    assert_eq!(fs::read_to_string(directory.path().join("access.log.1")).unwrap(), "200\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "200\n200\n");
    assert_eq!(log.lost_lines(), 0);
}

#[test]
fn a_full_disk_loses_lines_and_counts_them() {
    let log = open(Path::new("/dev/full"), Format::Combined);
    let writer = log.writer();
    for _ in 0..1000 {
        writer.log(&testing::record());
    }
    assert!(log.close(LONG), "the thread is not stuck");
    assert_eq!(log.lost_lines(), 1000);
}

#[test]
fn a_blocked_pipe_stalls_nobody() {
    let (mut reader, writer_end, path) = pipe();
    let log = open(&path, Format::Combined);
    let writer = log.writer();
    let record = testing::record();
    let mut logged = 0_u64;
    // Ends because `log` returns although nobody reads.
    while log.lost_lines() == 0 {
        writer.log(&record);
        logged += 1;
    }
    assert!(!log.close(Duration::from_millis(1)), "the thread is stuck in the pipe");
    // A reader comes: everything that was not dropped is there, and nothing is torn.
    drop(writer_end);
    let mut text = Vec::new();
    let lost = log.lost_lines();
    let reading = thread::spawn(move || reader.read_to_end(&mut text).map(|_| text));
    assert!(log.close(LONG));
    drop(log);
    let text = String::from_utf8(reading.join().unwrap().unwrap()).unwrap();
    assert_eq!(text.lines().count() as u64, logged - lost);
    assert!(text.lines().all(|line| line.ends_with("feed")));
}

#[test]
fn a_target_that_cannot_be_opened_is_named() {
    let options = Options { target: Target::File("/nonexistent/access.log".into()), format: Format::Combined };
    let error = AccessLog::open(&options).unwrap_err().to_string();
    assert!(error.contains("\"/nonexistent/access.log\": No such file or directory"), "{error}");
}

#[test]
fn off_is_nothing() {
    let log = AccessLog::open(&Options { target: Target::Off, format: template("$upstream_http_x") }).unwrap();
    log.writer().log(&testing::record());
    log.reopen();
    assert!(log.close(Duration::ZERO) && log.lost_lines() == 0 && !log.wants_upstream_headers());
}

proptest::proptest! {
    /// Whatever a client sends, a text line is one line of printable ASCII and a JSON line one object.
    #[test]
    fn nothing_a_client_sends_breaks_a_line(
        path in "/[!-~é]{0,40}",
        agent in proptest::collection::vec(0x20..=0xff_u8, 0..40),
        cookie in "[ -~]{0,40}",
    ) {
        let mut record = testing::record();
        if let Ok(uri) = path.parse() {
            record.uri = uri;
        }
        for (name, value) in [("user-agent", &agent[..]), ("cookie", cookie.as_bytes()), ("authorization", &agent)] {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                record.headers.insert(name, value);
            }
        }
        let custom = template("$uri|$args|$arg_a|$cookie_a|$cookie_b|$http_user_agent|$remote_user|$request|$request_length");
        for format in [Format::Combined, custom] {
            let text = line(&format, &record);
            proptest::prop_assert!(text.ends_with('\n'));
            proptest::prop_assert!(text[..text.len() - 1].bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text}");
        }
        let json: Value = serde_json::from_str(&line(&Format::Json, &record)).unwrap();
        let uri = record.uri.path_and_query().unwrap().as_str();
        proptest::prop_assert_eq!(json["request_uri"].as_str(), Some(uri));
    }
}
