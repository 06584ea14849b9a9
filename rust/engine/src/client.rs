//! HTTP clients: one per way of connecting, so that connections are pooled over all requests that connect alike.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};

use crate::end::{Failure, FailureKind};

/// The clients of one process.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    by_way: HashMap<Way, Client>,
}

/// A way of connecting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Way {
    /// How long connecting may take.
    pub(crate) timeout: Option<Duration>,
    /// Whether TLS is spoken.
    pub(crate) tls: bool,
}

impl Clients {
    /// The client that connects in that way.
    pub(crate) fn get(&mut self, way: Way) -> Result<Client, Failure> {
        if let Some(client) = self.by_way.get(&way) {
            return Ok(client.clone());
        }
        let client = build(way).map_err(|error| {
            Failure::new(FailureKind::Tls, format!("the HTTP client could not be set up: {}", chain(&error)))
        })?;
        self.by_way.insert(way, client.clone());
        Ok(client)
    }
}

fn build(way: Way) -> Result<Client, reqwest::Error> {
    // Another library in the process may have set one already; either will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder: ClientBuilder = Client::builder()
        .user_agent(concat!("headrace/", env!("CARGO_PKG_VERSION")))
        // A redirected POST turns into a GET or sends the key elsewhere: better a clear error.
        .redirect(Policy::none())
        .tcp_nodelay(true)
        .pool_max_idle_per_host(usize::MAX)
        .dns_resolver(Arc::new(Resolver));
    if let Some(limit) = way.timeout {
        builder = builder.connect_timeout(limit);
    }
    if !way.tls {
        // It will never look at a certificate, and a small container has none to load.
        builder = builder.tls_certs_only([]);
    }
    builder.build()
}

/// The system's resolver, with an error that can be told from others.
struct Resolver;

/// The system has no address for a host.
#[derive(Debug)]
pub(crate) struct DnsError {
    host: String,
    cause: std::io::Error,
}

impl fmt::Display for DnsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "no address for the host {:?}: {}", self.host, self.cause)
    }
}

impl Error for DnsError {}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = tokio::net::lookup_host((host.as_str(), 0)).await.map(Iterator::collect::<Vec<_>>);
            match found {
                Ok(addresses) => Ok(Box::new(addresses.into_iter()) as Addrs),
                Err(cause) => Err(Box::new(DnsError { host, cause }) as Box<dyn Error + Send + Sync>),
            }
        })
    }
}

/// What an error of the client means.
pub(crate) fn classify(error: &reqwest::Error) -> FailureKind {
    if error.is_builder() {
        FailureKind::InvalidRequest
    } else if causes(error).any(<dyn Error>::is::<DnsError>) {
        FailureKind::Dns
    } else if causes(error).any(<dyn Error>::is::<rustls::Error>) {
        FailureKind::Tls
    } else if error.is_connect() && error.is_timeout() {
        FailureKind::ConnectTimeout
    } else if error.is_connect() {
        FailureKind::Connect
    } else {
        FailureKind::Broken
    }
}

/// An error with its causes, without the URL, whose query may hold a key.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = causes(error).map(ToString::to_string).collect();
    // Wrappers repeat what they wrap.
    parts.dedup_by(|later, earlier| earlier.contains(later.as_str()));
    parts.join(": ")
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

/// What an error is about. An `io::Error` hides the error that it carries from `source`.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(carried) => Some(carried),
        None => error.source(),
    }
}
