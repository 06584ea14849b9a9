//! How to connect and how long to wait, as Python says it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use headrace_engine::transport::options::{
    ClientCert, ConnectionOptions, Http2, Pem, ProxyChoice, TlsOptions,
};
use headrace_engine::{Request, Timeouts};
use pyo3::prelude::*;

use crate::errors;

/// How to connect. Streams with equal options share their connections.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct Connection {
    options: Arc<ConnectionOptions>,
}

/// Certificates or a key: bytes, or the path of a file.
#[derive(FromPyObject)]
pub(crate) enum PemOrPath {
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl From<PemOrPath> for Pem {
    fn from(given: PemOrPath) -> Self {
        match given {
            PemOrPath::Bytes(bytes) => Self::Bytes(bytes),
            PemOrPath::File(path) => Self::File(path),
        }
    }
}

#[pymethods]
impl Connection {
    /// The same without a proxy.
    fn without_proxy(&self) -> Self {
        let options = ConnectionOptions { proxy: ProxyChoice::Direct, ..(*self.options).clone() };
        Self { options: Arc::new(options) }
    }

    #[new]
    #[pyo3(signature = (*, ca, client_cert, verify, proxy, direct, http2, prior_knowledge, max_connections, idle, resend_on_stale, ping))]
    #[expect(
        clippy::too_many_arguments,
        clippy::fn_params_excessive_bools,
        reason = "keyword arguments of Python"
    )]
    fn new(
        py: Python<'_>,
        ca: Option<PemOrPath>,
        client_cert: Option<(PemOrPath, PemOrPath)>,
        verify: bool,
        proxy: Option<String>,
        direct: bool,
        http2: bool,
        prior_knowledge: bool,
        max_connections: Option<usize>,
        idle: f64,
        resend_on_stale: bool,
        ping: f64,
    ) -> PyResult<Self> {
        let client_cert = client_cert.map(|(chain, key)| ClientCert { chain: chain.into(), key: key.into() });
        let options = ConnectionOptions {
            tls: TlsOptions { ca: ca.map(Pem::from), client_cert, verify },
            proxy: match proxy {
                Some(url) => ProxyChoice::Url(url),
                None if direct => ProxyChoice::Direct,
                None => ProxyChoice::Environment,
            },
            http2: match (http2, prior_knowledge) {
                (_, true) => Http2::PriorKnowledge,
                (true, false) => Http2::Negotiated,
                (false, false) => Http2::Never,
            },
            max_connections,
            idle: seconds(py, "idle", idle)?,
            resend_on_stale,
            ping: seconds(py, "ping", ping)?,
        };
        if options != ConnectionOptions::default() {
            py.detach(|| options.check())
                .map_err(|why| errors::configuration(py, &format!("Connection: {why}")))?;
        }
        Ok(Self { options: Arc::new(options) })
    }
}

/// What all streams of one model have in common.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct StreamOptions {
    connection: Arc<ConnectionOptions>,
    timeouts: Timeouts,
    max_event_bytes: usize,
    pub(crate) model: Option<String>,
}

#[pymethods]
impl StreamOptions {
    #[new]
    #[pyo3(signature = (connection, *, connect, pool, first_token, idle, total, max_event_bytes, model))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        connection: &Connection,
        connect: Option<f64>,
        pool: Option<f64>,
        first_token: Option<f64>,
        idle: Option<f64>,
        total: Option<f64>,
        max_event_bytes: usize,
        model: Option<String>,
    ) -> PyResult<Self> {
        let limit = |name, given: Option<f64>| given.map(|given| seconds(py, name, given)).transpose();
        let timeouts = Timeouts {
            connect: limit("connect", connect)?,
            pool: limit("pool", pool)?,
            first_token: limit("first_token", first_token)?,
            idle: limit("idle", idle)?,
            total: limit("total", total)?,
        };
        Ok(Self { connection: Arc::clone(&connection.options), timeouts, max_event_bytes, model })
    }
}

impl StreamOptions {
    /// Puts the options into a request.
    pub(crate) fn apply(&self, request: &mut Request) {
        request.connection = Arc::clone(&self.connection);
        request.timeouts = self.timeouts;
        request.max_event_bytes = self.max_event_bytes;
    }
}

fn seconds(py: Python<'_>, name: &str, given: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(given).map_err(|_| {
        errors::configuration(
            py,
            &format!("the {name} timeout must be a number of seconds from 0, not {given}"),
        )
    })
}
