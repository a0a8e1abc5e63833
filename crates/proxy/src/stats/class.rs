//! The label values that counters are kept by: few, fixed, known before the first request.

/// The class of a response's status, or that there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeClass {
    /// 100 to 199; a tunnel's 101 too.
    Informational,
    /// 200 to 299.
    Success,
    /// 300 to 399.
    Redirection,
    /// 400 to 499.
    ClientError,
    /// 500 to 599.
    ServerError,
    /// No response header came, or its status is outside of all classes.
    None,
}

/// What a TLS handshake came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// A new session.
    Full,
    /// An earlier session was resumed.
    Resumed,
    /// None: the client is not answered.
    Failed,
}

impl CodeClass {
    /// Every class, in the order of [`Self::index`].
    pub const ALL: [Self; 6] =
        [Self::Informational, Self::Success, Self::Redirection, Self::ClientError, Self::ServerError, Self::None];

    /// The class of a status.
    pub const fn of(status: u16) -> Self {
        match status {
            100..=199 => Self::Informational,
            200..=299 => Self::Success,
            300..=399 => Self::Redirection,
            400..=499 => Self::ClientError,
            500..=599 => Self::ServerError,
            _ => Self::None,
        }
    }

    /// The value of the label `code_class`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Informational => "1xx",
            Self::Success => "2xx",
            Self::Redirection => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
            Self::None => "none",
        }
    }

    /// Its place in a table of counters.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl Handshake {
    /// Every outcome, in the order of [`Self::index`].
    pub const ALL: [Self; 3] = [Self::Full, Self::Resumed, Self::Failed];

    /// The value of the label `result`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Resumed => "resumed",
            Self::Failed => "failed",
        }
    }

    /// Its place in a table of counters.
    pub const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_places_in_all() {
        assert!(CodeClass::ALL.iter().enumerate().all(|(place, class)| class.index() == place));
    }
}
