//! The states in which a stream can end. Every crate uses these, and users see their names.

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndState {
    /// The whole answer arrived.
    Complete,
    /// The bytes ended before the dialect's end marker.
    Truncated,
    /// The provider refused the request by an HTTP status.
    Rejected,
    /// The provider reported an error inside the stream.
    Error,
    /// The connection could not be made, or broke.
    Transport,
    /// A phase took longer than its limit.
    Timeout,
    /// The bytes are not what the dialect says.
    Protocol,
}

impl EndState {
    /// The name that users see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Truncated => "truncated",
            Self::Rejected => "rejected",
            Self::Error => "error",
            Self::Transport => "transport",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
        }
    }
}
