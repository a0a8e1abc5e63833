//! What a peer may do wrong. Each of these ends the stream, and nothing else: a data plane keeps its configuration and
//! comes again, a controller keeps serving everybody else.

use crate::scope::Forbidden;
use crate::text::tidy;
use crate::versions::Versions;

/// Why a stream was ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// No newline within the bound; nothing beyond it was kept.
    #[error("a line is longer than {max} bytes")]
    LineTooLong {
        /// The bound.
        max: usize,
    },
    /// Not a frame, or not in the form of its kind.
    #[error("not a frame: {problem}; the line begins with {excerpt:?}")]
    Malformed {
        /// What the parser says.
        problem: String,
        /// The beginning of the line.
        excerpt: String,
    },
    /// A frame that has no business at this moment.
    #[error("{frame} is out of place: {rule}")]
    OutOfPlace {
        /// The frame.
        frame: &'static str,
        /// What would be right.
        rule: &'static str,
    },
    /// More than [`limits::RESOURCES`](crate::limits::RESOURCES).
    #[error("more than {max} resources")]
    TooManyResources {
        /// The bound.
        max: usize,
    },
    /// More than [`limits::UNKNOWN_FRAMES`](crate::limits::UNKNOWN_FRAMES).
    #[error("more than {max} frames of unknown kinds")]
    TooManyUnknown {
        /// The bound.
        max: u32,
    },
    /// The releases are too far apart.
    #[error("no common protocol: the peer speaks {theirs}, this end {ours}; upgrade the older of the two")]
    NoCommonProtocol {
        /// The peer's.
        theirs: Versions,
        /// Ours.
        ours: Versions,
    },
    /// The subscriber asks for more than its identity allows.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// An `ack` of something that was not sent.
    #[error("ack of commit {acked}, but the last one sent is {sent}")]
    AckOfNothing {
        /// What it names.
        acked: u64,
        /// What was sent.
        sent: u64,
    },
    /// A connected subscriber did not introduce itself.
    #[error("no hello within {millis} ms")]
    HelloOverdue {
        /// The time it had.
        millis: u64,
    },
}

impl Violation {
    pub(crate) fn malformed(problem: &impl ToString, line: &[u8]) -> Self {
        let head = &line[..line.len().min(200)];
        Self::Malformed { problem: tidy(&problem.to_string(), 200), excerpt: tidy(&String::from_utf8_lossy(head), 60) }
    }
}
