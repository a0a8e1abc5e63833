//! Fields of a server's response that have one value: nginx keeps the first line of those that it knows as such, and warns of each
//! further one (`ngx_http_upstream_process_header_line` and like it).

use http::header::{self, HeaderMap, HeaderName};

use crate::error_log;
use crate::record::Record;

/// What a CGI script says its status is; of a server of HTTP it is a field like others.
const STATUS: HeaderName = HeaderName::from_static("status");

/// Keeps the first line of each, in the response to the last attempt of `record`.
pub(super) fn keep_first(record: &Record, fields: &mut HeaderMap) {
    if fields.keys_len() == fields.len() {
        return;
    }
    for name in [
        header::CONTENT_TYPE,
        header::DATE,
        header::ETAG,
        header::EXPIRES,
        header::LAST_MODIFIED,
        header::LOCATION,
        header::REFRESH,
        header::SERVER,
        STATUS,
    ] {
        let mut lines = fields.get_all(&name).into_iter();
        let Some(first) = lines.next() else { continue };
        for ignored in lines {
            error_log::repeated(record, &name, ignored, first);
        }
        let first = first.clone();
        fields.insert(name, first);
    }
}
