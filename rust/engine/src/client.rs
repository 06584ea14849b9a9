//! HTTP clients: one for each set of connection options, so that all requests with the same options share a pool.

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
    by_options: HashMap<ConnectOptions, Client>,
}

/// How to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ConnectOptions {
    /// How long connecting may take.
    pub(crate) timeout: Option<Duration>,
    /// Whether to use TLS.
    pub(crate) tls: bool,
}

impl Clients {
    /// The client with these options, built at the first call.
    pub(crate) fn get(&mut self, options: ConnectOptions) -> Result<Client, Failure> {
        if let Some(client) = self.by_options.get(&options) {
            return Ok(client.clone());
        }
        let client = build(options).map_err(|error| {
            Failure::new(FailureKind::Tls, format!("the HTTP client could not be set up: {}", chain(&error)))
        })?;
        self.by_options.insert(options, client.clone());
        Ok(client)
    }
}

fn build(options: ConnectOptions) -> Result<Client, reqwest::Error> {
    // Fails if another library in the process has installed one already; any provider works.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder: ClientBuilder = Client::builder()
        .user_agent(concat!("headrace/", env!("CARGO_PKG_VERSION")))
        // A redirected POST becomes a GET, or sends the API key to another host. A clear error is better.
        .redirect(Policy::none())
        .tcp_nodelay(true)
        .pool_max_idle_per_host(usize::MAX)
        .dns_resolver(Arc::new(Resolver));
    if let Some(limit) = options.timeout {
        builder = builder.connect_timeout(limit);
    }
    if !options.tls {
        // Without TLS no certificates are needed, and a small container may have none to load.
        builder = builder.tls_certs_only([]);
    }
    builder.build()
}

/// The system's resolver, with an error type of its own, so that DNS failures can be recognised.
struct Resolver;

/// The system found no address for a host.
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

/// The kind of failure that an error of the HTTP client is.
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

/// An error with its causes.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = causes(error).map(ToString::to_string).collect();
    // Wrappers repeat the message of the error that they wrap.
    parts.dedup_by(|later, earlier| earlier.contains(later.as_str()));
    parts.join(": ")
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

/// The cause of an error. `io::Error::source` skips the error that it wraps, so that one is looked up first.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}
