//! TLS to model providers and MCP servers, on top of sockets that a cancellation reaches.
//!
//! Trusted are Mozilla's roots and the certificates of a file of the user's, for companies whose proxy signs
//! for everybody, and for servers with an authority of their own. It knows nothing of requests.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use crate::limits::{MODEL_BUFFER_BYTES, TRUST_FILE_BYTES_MAX};

/// Environment variables with the path of a PEM file of further authorities; the first that is set counts.
/// The reference reads the same.
const TRUST_VARIABLES: [&str; 2] = ["CODEX_CA_CERTIFICATE", "SSL_CERT_FILE"];

/// Wraps connections to `https:` addresses.
#[derive(Debug)]
pub(super) struct Tls;

/// An encrypted connection.
pub(super) struct TlsTransport {
    stream: StreamOwned<ClientConnection, TransportAdapter>,
    buffers: LazyBuffers,
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TlsTransport").finish_non_exhaustive()
    }
}

/// What all connections share, made with the first: the file is read once, as keys are.
fn config() -> Result<Arc<ClientConfig>, Error> {
    static CONFIG: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        let set = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(|path| (name, path));
        let roots = match TRUST_VARIABLES.into_iter().find_map(set) {
            Some((name, path)) => {
                let trust = trust(path.as_ref());
                trust.map_err(|error| {
                    format!("the file that `{name}` names is of no use ({}): {error}", path.display())
                })?
            }
            None => mozilla(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| error.to_string())?;
        Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
    });
    config.clone().map_err(|text| Error::Other(text.into()))
}

fn mozilla() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

/// Mozilla's roots and the certificates of this file.
fn trust(path: &std::path::Path) -> Result<RootCertStore, String> {
    let mut roots = mozilla();
    let mut pem = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(TRUST_FILE_BYTES_MAX + 1).read_to_end(&mut pem).map_err(|error| error.to_string())?;
    if pem.len() as u64 > TRUST_FILE_BYTES_MAX {
        return Err(format!("it is larger than {TRUST_FILE_BYTES_MAX} bytes"));
    }
    let mut found = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        // A bundle may hold certificates of a kind that is not understood; the others count.
        found += usize::from(roots.add(certificate).is_ok());
    }
    match found {
        0 => Err("there is no usable certificate in it (`-----BEGIN CERTIFICATE-----`)".to_owned()),
        _ => Ok(roots),
    }
}

/// What a failed handshake means for the user.
pub(super) fn words_of(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => format!(
            "the server's certificate is signed by nobody who is trusted; if that is right, set `{}` to a \
             PEM file with its authority and start the server again",
            TRUST_VARIABLES[0]
        ),
        error => format!("TLS failed: {error}"),
    })
}

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Error::BadUri("the address has no host that a certificate could name".to_owned()))?;
        let mut connection = ClientConnection::new(config()?, name).map_err(Error::Rustls)?;
        let mut socket = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        let buffers = LazyBuffers::new(MODEL_BUFFER_BYTES, MODEL_BUFFER_BYTES);
        Ok(Some(Either::B(TlsTransport { stream: StreamOwned::new(connection, socket), buffers })))
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(self.stream.flush()?)
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        let count = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}
