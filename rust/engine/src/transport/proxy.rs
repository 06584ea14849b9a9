//! Proxies: which one leads to a server, and how to get through it.

use std::{env, fmt, io};

use headrace_wire::http1::{ResponseReader, Step};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_socks::tcp::Socks5Stream;
use url::Url;

use super::TransportError;
use super::connect::resolve;
use super::error::chain;
use super::io::Io;
use super::options::ProxyChoice;
use super::target::{Origin, Target, basic};
use crate::end::FailureKind;

/// Which proxy leads to which server.
#[derive(Debug)]
pub(super) enum Proxies {
    None,
    /// One for all servers.
    All(Proxy),
    Environment(Box<Environment>),
    /// As the settings of the system say.
    System(Box<Matcher>),
}

/// What the variables of the environment say.
#[derive(Debug)]
pub(super) struct Environment {
    http: Named,
    https: Named,
    /// Knows `NO_PROXY`: it finds a proxy for the servers that are not excluded.
    not_excluded: Matcher,
}

/// The proxy that a variable names, or what is wrong with it. That is an error only for servers that it would lead to.
type Named = Option<Result<Proxy, String>>;

/// A proxy.
#[derive(Debug, Clone)]
pub(super) struct Proxy {
    kind: ProxyKind,
    pub(super) origin: Origin,
    /// The user and the password as an HTTP proxy wants them.
    authorization: Option<String>,
    /// The same as a SOCKS proxy wants them.
    credentials: Option<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProxyKind {
    Http,
    Socks5 {
        /// Whether the proxy looks up the server's address.
        remote_dns: bool,
    },
}

impl Proxies {
    pub(super) fn new(choice: &ProxyChoice) -> Result<Self, TransportError> {
        match choice {
            ProxyChoice::Direct => Ok(Self::None),
            ProxyChoice::Url(url) => Proxy::parse(url)
                .map(Self::All)
                .map_err(|why| TransportError::invalid(format!("proxy: {why}"))),
            ProxyChoice::Environment => Ok(Self::of_environment(|name| env::var(name).ok())),
        }
    }

    fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| {
                let value = variable(name).filter(|value| !value.trim().is_empty())?;
                Some((*name, value))
            })
        };
        let named = |names: &[&'static str]| {
            first(names).or_else(|| first(&["ALL_PROXY", "all_proxy"])).map(|(name, value)| {
                Proxy::parse(&value).map_err(|why| format!("the proxy in {name}: {why}"))
            })
        };
        // In a CGI program, a client's header `Proxy` becomes the variable in upper case.
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let http = named(if is_cgi { &["http_proxy"] } else { &["HTTP_PROXY", "http_proxy"] });
        let https = named(&["HTTPS_PROXY", "https_proxy"]);
        if http.is_none() && https.is_none() {
            // The environment is all that there is to look at on Linux.
            return if cfg!(target_os = "linux") {
                Self::None
            } else {
                Self::System(Box::new(Matcher::from_system()))
            };
        }
        let excluded = first(&["NO_PROXY", "no_proxy"]).map(|(_, value)| value).unwrap_or_default();
        let not_excluded = Matcher::builder().all("http://proxy.invalid").no(excluded).build();
        Self::Environment(Box::new(Environment { http, https, not_excluded }))
    }

    /// The proxy that leads to this server, if one does.
    pub(super) fn of(&self, target: &Target) -> Result<Option<Proxy>, TransportError> {
        let found = match self {
            Self::None => None,
            Self::All(proxy) => Some(Ok(proxy.clone())),
            Self::Environment(environment) => {
                let Environment { http, https, not_excluded } = &**environment;
                let named = if target.origin.is_tls { https } else { http };
                named.clone().filter(|_| intercepted(not_excluded, target).is_some())
            }
            Self::System(matcher) => {
                intercepted(matcher, target).map(|found| Proxy::parse(&found.uri().to_string()))
            }
        };
        found.transpose().map_err(TransportError::invalid)
    }
}

fn intercepted(matcher: &Matcher, target: &Target) -> Option<Intercept> {
    let scheme = if target.origin.is_tls { "https" } else { "http" };
    matcher.intercept(&format!("{scheme}://{}/", target.authority).parse().ok()?)
}

impl Proxy {
    /// The proxy with this URL. Without a scheme, http is meant.
    fn parse(written: &str) -> Result<Self, String> {
        let written = written.trim();
        let with_scheme =
            if written.contains("://") { written.to_owned() } else { format!("http://{written}") };
        // No error shows the URL, which may have a password.
        let url = Url::parse(&with_scheme).map_err(|error| format!("it is not a URL: {error}"))?;
        let (kind, default_port) = match url.scheme() {
            "http" => (ProxyKind::Http, 80),
            "https" => (ProxyKind::Http, 443),
            "socks5" => (ProxyKind::Socks5 { remote_dns: false }, 1080),
            "socks5h" => (ProxyKind::Socks5 { remote_dns: true }, 1080),
            other => {
                return Err(format!("it begins with {other:?}; http, https, socks5 and socks5h are known"));
            }
        };
        // Of schemes that the URL standard does not know, it leaves the host as it is written.
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("it has no host")?;
        let host = url::Host::parse(host).map_err(|error| format!("its host: {error}"))?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let credentials = (!url.username().is_empty())
            .then(|| (decoded(url.username()), decoded(url.password().unwrap_or_default())));
        Ok(Self {
            kind,
            origin: Origin {
                is_tls: url.scheme() == "https",
                host,
                port: url.port().unwrap_or(default_port),
            },
            authorization: basic(&url),
            credentials,
        })
    }

    /// Whether it can read and forward a request without TLS, instead of its bytes.
    pub(super) fn forwards(&self) -> bool {
        self.kind == ProxyKind::Http
    }

    /// The failure of a request that it refused with this status.
    pub(super) fn refusal(&self, status: u16) -> TransportError {
        let hint = match status {
            407 => " (the proxy wants a user and a password: http://user:password@proxy)",
            _ => "",
        };
        self.failure(format!("HTTP {}{hint}", super::with_reason(status)))
    }

    fn failure(&self, detail: String) -> TransportError {
        TransportError::new(FailureKind::Proxy, detail).through(self.to_string())
    }

    /// The header `Proxy-Authorization`.
    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// Turns a connection to a proxy into one to a server.
    pub(super) async fn tunnel(&self, io: Io, server: &Origin) -> Result<Io, TransportError> {
        let made = match self.kind {
            ProxyKind::Http => self.connect_method(io, server).await,
            ProxyKind::Socks5 { remote_dns } => self.socks5(io, server, remote_dns).await,
        };
        made.map_err(|refused| match refused {
            Refused::Status(status) => self.refusal(status),
            Refused::Because(detail) => self.failure(detail),
        })
    }

    /// HTTP's CONNECT: RFC 9110, section 9.3.6.
    async fn connect_method(&self, mut io: Io, server: &Origin) -> Result<Io, Refused> {
        let name = server.host_and_port();
        let authorization =
            self.authorization().map(|value| format!("Proxy-Authorization: {value}\r\n")).unwrap_or_default();
        let request = format!("CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n{authorization}\r\n");
        io.write_all(request.as_bytes()).await?;
        io.flush().await?;
        let mut reader = ResponseReader::of_connect();
        let mut buffer = [0; 1024];
        loop {
            let length = io.read(&mut buffer).await?;
            if length == 0 {
                return Err(Refused::Because("it closed the connection".to_owned()));
            }
            let mut bytes = &buffer[..length];
            match reader.step(&mut bytes).map_err(|error| Refused::Because(error.to_string()))? {
                // The server speaks only after it was spoken to.
                Step::Head(head) if (200..300).contains(&head.status) && bytes.is_empty() => return Ok(io),
                Step::Head(head) if (200..300).contains(&head.status) => {
                    return Err(Refused::Because("it sent what nobody asked for".to_owned()));
                }
                Step::Head(head) => return Err(Refused::Status(head.status)),
                _ => {}
            }
        }
    }

    async fn socks5(&self, io: Io, server: &Origin, remote_dns: bool) -> Result<Io, Refused> {
        let made = if remote_dns {
            self.socks5_to(io, (server.bare_host(), server.port)).await
        } else {
            let addresses = resolve(&server.bare_host(), server.port).await;
            let addresses = addresses.map_err(|error| Refused::Because(error.detail))?;
            // There is at least one: none would have been an error.
            self.socks5_to(io, addresses[0]).await
        };
        made.map(Socks5Stream::into_inner).map_err(|error| Refused::Because(chain(&error)))
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

/// Why a proxy made no tunnel.
enum Refused {
    Status(u16),
    Because(String),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Because(chain(&error))
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
