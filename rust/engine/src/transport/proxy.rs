//! Proxies: which one leads to a server, and how to get through it.

use std::env;
use std::fmt;

use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_socks::tcp::Socks5Stream;
use url::Url;

use headrace_wire::http1::{ResponseReader, Step};

use super::TransportError;
use super::connect::resolve;
use super::error::chain;
use super::io::Io;
use super::options::ProxyChoice;
use super::target::{Origin, Target, basic};
use crate::end::FailureKind;

/// Which proxy leads to which server.
#[derive(Debug)]
pub(super) struct Proxies {
    matcher: Option<Matcher>,
    /// What is wrong with the proxy of the environment that goes by this name.
    malformed: Vec<(&'static str, String)>,
}

/// A proxy.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) kind: ProxyKind,
    pub(super) origin: Origin,
    /// The user and the password as an HTTP proxy wants them.
    authorization: Option<String>,
    /// The same as a SOCKS proxy wants them.
    credentials: Option<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProxyKind {
    Http,
    Socks5 {
        /// Whether the proxy looks up the server's address.
        remote_dns: bool,
    },
}

/// The first part of the host that stands for a malformed proxy. `.invalid` never exists: RFC 2606.
const MALFORMED: &str = "malformed-";

impl Proxies {
    pub(super) fn new(choice: &ProxyChoice) -> Result<Self, TransportError> {
        match choice {
            ProxyChoice::Direct => Ok(Self { matcher: None, malformed: Vec::new() }),
            ProxyChoice::Url(url) => {
                parse(url).map_err(|why| TransportError::invalid(format!("proxy: {why}")))?;
                Ok(Self {
                    matcher: Some(Matcher::builder().all(url.as_str()).build()),
                    malformed: Vec::new(),
                })
            }
            ProxyChoice::Environment => Ok(Self::of_environment(|name| env::var(name).ok())),
        }
    }

    fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let either = |upper: &'static str, lower: &'static str| {
            let found =
                |name| variable(name).filter(|value| !value.trim().is_empty()).map(|value| (name, value));
            found(upper).or_else(|| found(lower))
        };
        // In a CGI program, a client's header `Proxy` becomes this variable.
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let http = if is_cgi {
            variable("http_proxy").map(|value| ("http_proxy", value))
        } else {
            either("HTTP_PROXY", "http_proxy")
        };
        let (https, all) = (either("HTTPS_PROXY", "https_proxy"), either("ALL_PROXY", "all_proxy"));
        let no = either("NO_PROXY", "no_proxy").map(|(_, value)| value).unwrap_or_default();
        if [&http, &https, &all].iter().all(|found| found.is_none()) {
            // The environment is all that there is to look at on Linux.
            let matcher = (!cfg!(target_os = "linux")).then(Matcher::from_system);
            return Self { matcher, malformed: Vec::new() };
        }
        let mut malformed = Vec::new();
        let mut checked = |found: Option<(&'static str, String)>| {
            let (name, value) = found?;
            match parse(&value) {
                Ok(url) => Some(url.to_string()),
                Err(why) => {
                    // It is an error only for servers that it would lead to, which the matcher finds out.
                    malformed.push((name, why));
                    Some(format!("http://{MALFORMED}{}.invalid", name.to_ascii_lowercase().replace('_', "-")))
                }
            }
        };
        let matcher = Matcher::builder()
            .http(checked(http).unwrap_or_default())
            .https(checked(https).unwrap_or_default())
            .all(checked(all).unwrap_or_default())
            .no(no)
            .build();
        Self { matcher: Some(matcher), malformed }
    }

    /// The proxy that leads to this server, if one does.
    pub(super) fn of(&self, target: &Target) -> Result<Option<Proxy>, TransportError> {
        let Some(matcher) = &self.matcher else { return Ok(None) };
        let scheme = if target.origin.is_tls { "https" } else { "http" };
        let Ok(uri) = format!("{scheme}://{}/", target.authority).parse() else { return Ok(None) };
        let Some(found) = matcher.intercept(&uri) else { return Ok(None) };
        if found.uri().host().is_some_and(|host| host.starts_with(MALFORMED)) {
            let said = self.malformed.iter().map(|(name, why)| format!("the proxy in {name}: {why}"));
            return Err(TransportError::invalid(said.collect::<Vec<_>>().join("; ")));
        }
        Proxy::new(&found).map(Some).map_err(TransportError::invalid)
    }
}

/// A proxy's URL. Without a scheme, http is meant.
fn parse(written: &str) -> Result<Url, String> {
    let written = written.trim();
    let with_scheme = if written.contains("://") { written.to_owned() } else { format!("http://{written}") };
    // The error does not show the URL, which may have a password.
    let url = Url::parse(&with_scheme).map_err(|error| format!("it is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") {
        return Err(format!("it begins with {:?}; http, https, socks5 and socks5h are known", url.scheme()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("it has no host".to_owned());
    }
    Ok(url)
}

impl Proxy {
    fn new(found: &Intercept) -> Result<Self, String> {
        let url = parse(&found.uri().to_string())?;
        let (kind, default_port) = match url.scheme() {
            "socks5" => (ProxyKind::Socks5 { remote_dns: false }, 1080),
            "socks5h" => (ProxyKind::Socks5 { remote_dns: true }, 1080),
            "https" => (ProxyKind::Http, 443),
            _ => (ProxyKind::Http, 80),
        };
        // The hosts of schemes that the URL standard does not know are opaque.
        let host = url.host_str().unwrap_or_default();
        let host = url::Host::parse(host).map_err(|error| format!("its host: {error}"))?;
        let port = url.port().unwrap_or(default_port);
        let in_url = basic(&url);
        let of_matcher = found.basic_auth().and_then(|value| value.to_str().ok()).map(str::to_owned);
        let credentials = found.raw_auth().map(|(user, password)| (user.to_owned(), password.to_owned()));
        Ok(Self {
            kind,
            origin: Origin { is_tls: url.scheme() == "https", host, port },
            authorization: of_matcher.or(in_url),
            credentials,
        })
    }

    /// The header `Proxy-Authorization`.
    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// Makes a connection to a proxy one to a server.
    pub(super) async fn tunnel(&self, io: Io, server: &Origin) -> Result<Io, TransportError> {
        let made = match self.kind {
            ProxyKind::Http => self.connect_method(io, server).await,
            ProxyKind::Socks5 { remote_dns } => self.socks5(io, server, remote_dns).await,
        };
        made.map_err(|detail| TransportError::new(FailureKind::Proxy, detail).through(self.to_string()))
    }

    /// HTTP's CONNECT: RFC 9110, section 9.3.6.
    async fn connect_method(&self, mut io: Io, server: &Origin) -> Result<Io, String> {
        let name = server.host_and_port();
        let authorization =
            self.authorization().map(|value| format!("Proxy-Authorization: {value}\r\n")).unwrap_or_default();
        let request = format!("CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n{authorization}\r\n");
        io.write_all(request.as_bytes()).await.map_err(|error| chain(&error))?;
        io.flush().await.map_err(|error| chain(&error))?;
        let mut reader = ResponseReader::of_connect();
        let mut buffer = [0; 1024];
        loop {
            let length = io.read(&mut buffer).await.map_err(|error| chain(&error))?;
            if length == 0 {
                return Err("it closed the connection".to_owned());
            }
            let mut bytes = &buffer[..length];
            match reader.step(&mut bytes).map_err(|error| error.to_string())? {
                Step::Head(head) if (200..300).contains(&head.status) => {
                    // The server speaks only after it was spoken to.
                    return if bytes.is_empty() {
                        Ok(io)
                    } else {
                        Err("it sent what nobody asked for".to_owned())
                    };
                }
                Step::Head(head) => {
                    let hint = match head.status {
                        407 => " (the proxy wants a user and a password: http://user:password@proxy)",
                        _ => "",
                    };
                    return Err(format!("HTTP {}{hint}", super::with_reason(head.status)));
                }
                _ => {}
            }
        }
    }

    async fn socks5(&self, io: Io, server: &Origin, remote_dns: bool) -> Result<Io, String> {
        let made = if remote_dns {
            self.socks5_to(io, (server.bare_host(), server.port)).await
        } else {
            let addresses = resolve(&server.bare_host(), server.port).await.map_err(|error| error.detail)?;
            let Some(address) = addresses.first().copied() else {
                return Err("the server has no address".to_owned());
            };
            self.socks5_to(io, address).await
        };
        made.map(Socks5Stream::into_inner).map_err(|error| chain(&error))
    }

    async fn socks5_to<'t, T: tokio_socks::IntoTargetAddr<'t>>(
        &self,
        io: Io,
        server: T,
    ) -> tokio_socks::Result<Socks5Stream<Io>> {
        match &self.credentials {
            None => Socks5Stream::connect_with_socket(io, server).await,
            Some((user, password)) => {
                Socks5Stream::connect_with_password_and_socket(io, server, user, password).await
            }
        }
    }
}

/// Its URL without user and password.
impl fmt::Display for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            ProxyKind::Http if self.origin.is_tls => "https",
            ProxyKind::Http => "http",
            ProxyKind::Socks5 { remote_dns: true } => "socks5h",
            ProxyKind::Socks5 { remote_dns: false } => "socks5",
        };
        write!(formatter, "{scheme}://{}", self.origin.host_and_port())
    }
}
