//! Where a request goes.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::TransportError;

/// Where a request goes.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) origin: Origin,
    /// Host and port as they stand in a request.
    pub(super) authority: String,
    /// Path and query.
    pub(super) path: String,
    /// The header `Authorization` that the URL's user and password make.
    pub(super) authorization: Option<String>,
}

/// The server of a target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) is_tls: bool,
    pub(super) host: Host<String>,
    pub(super) port: u16,
}

impl Origin {
    /// Host and port, the port always.
    pub(super) fn host_and_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The host without the brackets of an IPv6 address.
    pub(super) fn bare_host(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        }
    }
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self, TransportError> {
        let url = Url::parse(url).map_err(|error| TransportError::invalid(format!("its URL: {error}")))?;
        let is_tls = match url.scheme() {
            "http" => false,
            "https" => true,
            other => {
                return Err(TransportError::invalid(format!(
                    "its URL begins with {other:?} and not with http or https"
                )));
            }
        };
        let host = url.host().ok_or_else(|| TransportError::invalid("its URL has no host".to_owned()))?;
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(Self {
            origin: Origin {
                is_tls,
                host: host.to_owned(),
                port: url.port_or_known_default().unwrap_or_default(),
            },
            authority,
            path: format!("{}{query}", url.path()),
            authorization: basic(&url),
        })
    }
}

/// `Authorization` for a URL's user and password.
pub(super) fn basic(url: &Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut plain: Vec<u8> = percent_decode_str(url.username()).collect();
    plain.push(b':');
    plain.extend(percent_decode_str(url.password().unwrap_or_default()));
    Some(format!("Basic {}", BASE64_STANDARD.encode(plain)))
}
