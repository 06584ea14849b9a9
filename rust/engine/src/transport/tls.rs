//! TLS: whom to trust.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;

use super::TransportError;
use super::error::chain;
use super::io::Io;
use super::options::{ClientCert, Http2, Pem, TlsOptions};
use super::target::Origin;
use crate::end::FailureKind;

/// The protocols that are offered in the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offered {
    /// Those of the options.
    Chosen,
    /// HTTP/1.1: to a proxy.
    Http1,
}

/// Secures a connection.
pub(super) async fn handshake(
    config: &Arc<ClientConfig>,
    offered: Offered,
    origin: &Origin,
    io: Io,
) -> Result<Io, TransportError> {
    let failed = |detail: String| TransportError::new(FailureKind::Tls, detail);
    let name = ServerName::try_from(origin.bare_host()).map_err(|error| failed(error.to_string()))?;
    let connector = TlsConnector::from(Arc::clone(config));
    let stream = match offered {
        Offered::Chosen => connector.connect(name, io).await,
        Offered::Http1 => connector.with_alpn(vec![HTTP1.to_vec()]).connect(name, io).await,
    };
    let stream = stream.map_err(|error| failed(chain(&error)))?;
    Ok(Io::Tls(Box::new(stream)))
}

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// Whether the server chose HTTP/2.
pub(super) fn chose_http2(io: &Io) -> bool {
    matches!(io, Io::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(HTTP2))
}

/// The TLS configuration for these options.
pub(super) fn config(options: &TlsOptions, http2: Http2) -> Result<Arc<ClientConfig>, TransportError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid("TLS", &error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier(options, &provider)?);
    let mut config = match &options.client_cert {
        None => builder.with_no_client_auth(),
        Some(ClientCert { chain, key }) => {
            let chain = certificates(chain, "client_cert")?;
            let key = private_key(key)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| invalid("client_cert", &error))?
        }
    };
    config.alpn_protocols = match http2 {
        Http2::Negotiated => vec![HTTP2.to_vec(), HTTP1.to_vec()],
        Http2::Never => vec![HTTP1.to_vec()],
        Http2::PriorKnowledge => vec![HTTP2.to_vec()],
    };
    Ok(Arc::new(config))
}

fn verifier(
    options: &TlsOptions,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TransportError> {
    if !options.verify {
        return Ok(Arc::new(Trusting(Arc::clone(provider))));
    }
    let Some(ca) = &options.ca else {
        let system = Verifier::new(Arc::clone(provider)).map_err(|error| invalid("TLS", &error))?;
        return Ok(Arc::new(system));
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca, "ca")? {
        roots.add(certificate).map_err(|error| invalid("ca", &error))?;
    }
    let builder =
        rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    Ok(builder.build().map_err(|error| invalid("ca", &error))?)
}

fn certificates(pem: &Pem, option: &str) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let read: Result<Vec<_>, _> = match pem {
        Pem::File(path) => CertificateDer::pem_file_iter(path).and_then(Iterator::collect),
        Pem::Bytes(bytes) => CertificateDer::pem_slice_iter(bytes).collect(),
    };
    let found = read.map_err(|error| unreadable(pem, option, &error))?;
    if found.is_empty() {
        let message = format!("{option}: there is no certificate in {}", place(pem));
        return Err(TransportError::invalid(message));
    }
    Ok(found)
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, TransportError> {
    let read = match pem {
        Pem::File(path) => PrivateKeyDer::from_pem_file(path),
        Pem::Bytes(bytes) => PrivateKeyDer::from_pem_slice(bytes),
    };
    read.map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => TransportError::invalid(format!(
            "client_cert: there is no private key in {}; if it is in a file of its own, give both: (certificate, key)",
            place(pem)
        )),
        error => unreadable(pem, "client_cert", &error),
    })
}

fn unreadable(pem: &Pem, option: &str, error: &rustls::pki_types::pem::Error) -> TransportError {
    TransportError::invalid(format!("{option}: {} cannot be read: {error}", place(pem)))
}

fn place(pem: &Pem) -> String {
    match pem {
        Pem::File(path) => format!("{}", path.display()),
        Pem::Bytes(_) => "the given bytes".to_owned(),
    }
}

fn invalid(option: &str, error: &impl fmt::Display) -> TransportError {
    TransportError::invalid(format!("{option}: {error}"))
}

/// Trusts whoever answers: `verify=False`.
#[derive(Debug)]
struct Trusting(Arc<CryptoProvider>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
