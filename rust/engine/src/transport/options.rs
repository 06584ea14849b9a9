//! How to connect.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::TransportError;

/// How to connect. All streams of a process with the same options share one pool of connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConnectionOptions {
    /// Which servers to trust, and how to be trusted.
    pub tls: TlsOptions,
    /// Which proxy to go through.
    pub proxy: ProxyChoice,
    /// When to speak HTTP/2.
    pub http2: Http2,
    /// The most connections to one host at a time; `None` for no limit. A request beyond it waits. An HTTP/2 connection
    /// carries many streams; without a limit there are at most [`Self::DEFAULT_HTTP2_CONNECTIONS`] of them.
    pub max_connections: Option<usize>,
    /// How long a connection that nobody uses is kept, unless the server says less.
    pub idle: Duration,
    /// Send a request once more if a connection that had been used before closes without a byte of response.
    pub resend_on_stale: bool,
    /// How long an HTTP/2 server may say nothing while streams are open before it is asked whether it is there. It has
    /// the same time to answer.
    pub ping: Duration,
}

impl ConnectionOptions {
    /// The default for [`Self::idle`]: less than the 60 s after which common servers close.
    pub const DEFAULT_IDLE: Duration = Duration::from_secs(50);
    /// The default for [`Self::ping`].
    pub const DEFAULT_PING: Duration = Duration::from_secs(20);
    /// The most HTTP/2 connections to one host, unless [`Self::max_connections`] says otherwise.
    pub const DEFAULT_HTTP2_CONNECTIONS: usize = 64;

    /// Whether these options can work: the certificates can be read, the proxy is a URL.
    ///
    /// # Errors
    /// What is wrong, and with which option.
    pub fn check(&self) -> Result<(), String> {
        let checked = super::tls::config(&self.tls, self.http2).map(drop);
        checked
            .and_then(|()| super::proxy::Proxies::new(&self.proxy).map(drop))
            .map_err(|TransportError { detail, .. }| detail)
    }
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            tls: TlsOptions::default(),
            proxy: ProxyChoice::Environment,
            http2: Http2::Negotiated,
            max_connections: None,
            idle: Self::DEFAULT_IDLE,
            resend_on_stale: true,
            ping: Self::DEFAULT_PING,
        }
    }
}

/// Which servers to trust, and how to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    /// Trust these authorities, and no others; `None` to trust those of the system.
    pub ca: Option<Pem>,
    /// Show this certificate to servers that ask for one.
    pub client_cert: Option<ClientCert>,
    /// Whether a server must prove who it is.
    pub verify: bool,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self { ca: None, client_cert: None, verify: true }
    }
}

/// Certificates or a key in PEM form.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Pem {
    /// In this file.
    File(PathBuf),
    /// These bytes.
    Bytes(Vec<u8>),
}

impl fmt::Debug for Pem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => formatter.debug_tuple("File").field(path).finish(),
            // It may be a key.
            Self::Bytes(bytes) => write!(formatter, "Bytes({} bytes)", bytes.len()),
        }
    }
}

/// A client's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientCert {
    /// The certificate, and those that lead to its authority.
    pub chain: Pem,
    /// Its private key.
    pub key: Pem,
}

/// Which proxy to go through.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ProxyChoice {
    /// As the environment says: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in upper or lower case.
    Environment,
    /// None.
    Direct,
    /// The one with this URL, for every host. The URL may have a user and a password.
    Url(String),
}

impl fmt::Debug for ProxyChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may have a password.
        formatter.write_str(match self {
            Self::Environment => "Environment",
            Self::Direct => "Direct",
            Self::Url(_) => "Url(…)",
        })
    }
}

/// When to speak HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Http2 {
    /// Where the server chooses it in the TLS handshake.
    Negotiated,
    /// Never.
    Never,
    /// Always, also without TLS: the server is known to speak it.
    PriorKnowledge,
}
