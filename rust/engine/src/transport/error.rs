//! What can go wrong on the way to a response, and in it.

use std::error::Error;
use std::io;

use crate::end::FailureKind;

/// A request that was not answered, or whose answer broke.
#[derive(Debug)]
pub(crate) struct TransportError {
    pub(crate) kind: FailureKind,
    /// What happened, without the URL.
    pub(crate) detail: String,
    /// The proxy that it happened with, without its credentials.
    pub(crate) proxy: Option<String>,
    pub(crate) fate: Fate,
}

/// How far a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The server said that it did not look at the request, or never got it.
    Unprocessed,
    /// The connection ended before the first byte of a response. The server may have done anything.
    Silent,
    /// The response had begun, or the failure is not one that another connection would mend.
    Final,
}

impl TransportError {
    pub(super) const fn new(kind: FailureKind, detail: String) -> Self {
        Self { kind, detail, proxy: None, fate: Fate::Final }
    }

    pub(super) const fn invalid(detail: String) -> Self {
        Self::new(FailureKind::InvalidRequest, detail)
    }

    /// An error of a connection that was open.
    pub(super) fn broken(error: &io::Error) -> Self {
        Self::new(FailureKind::Broken, chain(error))
    }

    pub(super) const fn with_fate(mut self, fate: Fate) -> Self {
        self.fate = fate;
        self
    }

    pub(super) fn through(mut self, proxy: String) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// What happened, with this endpoint.
    pub(crate) fn message(&self, endpoint: &str) -> String {
        let what = match self.kind {
            FailureKind::InvalidRequest => "the request cannot be sent to",
            FailureKind::Dns => "cannot find the host of",
            FailureKind::Tls => "the TLS handshake failed with",
            FailureKind::Connect => "cannot connect to",
            FailureKind::ConnectTimeout => "no connection in time to",
            FailureKind::PoolTimeout => "no free connection in time to",
            FailureKind::Proxy => "the proxy refused to connect to",
            FailureKind::Protocol => "cannot read the body of the response from",
            _ => "the connection broke with",
        };
        match &self.proxy {
            None => format!("{what} {endpoint}: {}", self.detail),
            Some(proxy) if self.kind == FailureKind::Proxy => {
                format!("the proxy {proxy} refused to connect to {endpoint}: {}", self.detail)
            }
            Some(proxy) => format!("{what} the proxy {proxy} on the way to {endpoint}: {}", self.detail),
        }
    }
}

/// An error with its causes.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> =
        std::iter::successors(Some(error), |error| cause(*error)).map(ToString::to_string).collect();
    // Wrappers repeat the message of the error that they wrap.
    parts.dedup_by(|later, earlier| earlier.contains(later.as_str()));
    parts.join(": ")
}

/// The cause of an error. `io::Error::source` skips the error that it wraps, so that one is looked up first.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}
