//! TLS of a connection: which certificates are trusted, and whether the handshake began.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{Database, Encrypt};

/// The protocol's name in a handshake that begins with the first byte.
const ALPN: &[u8] = b"postgresql";

type RustlsConnect = <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::TlsConnect;

/// The TLS of a database's connections.
#[derive(Clone)]
pub(super) struct Tls {
    connector: MakeRustlsConnect,
    /// The name that the server's certificate must have.
    name: String,
}

/// TLS of one connection.
pub(super) struct Handshake {
    connect: RustlsConnect,
    has_begun: Arc<AtomicBool>,
}

impl Tls {
    /// Trusts the authorities of this machine, and those of `ca` in PEM.
    ///
    /// # Errors
    /// A word on what cannot be used.
    pub(super) fn new(database: &Database, ca: Option<&str>, name: &str) -> Result<Self, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| error.to_string())?;
        let mut config = if database.trust_server_certificate {
            let verifier = Arc::new(AnyCertificate(provider));
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        } else {
            builder.with_root_certificates(trusted(ca)?).with_no_client_auth()
        };
        if database.encrypt == Encrypt::Strict {
            config.alpn_protocols = vec![ALPN.to_vec()];
        }
        Ok(Self { connector: MakeRustlsConnect::new(config), name: name.to_owned() })
    }

    /// TLS of one connection, and what tells whether the server took it.
    pub(super) fn handshake(&self) -> (Handshake, Arc<AtomicBool>) {
        let has_begun = Arc::new(AtomicBool::new(false));
        let Ok(connect) = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut self.connector.clone(), &self.name);
        (Handshake { connect, has_begun: Arc::clone(&has_begun) }, has_begun)
    }
}

impl TlsConnect<TcpStream> for Handshake {
    type Stream = <RustlsConnect as TlsConnect<TcpStream>>::Stream;
    type Error = <RustlsConnect as TlsConnect<TcpStream>>::Error;
    type Future = <RustlsConnect as TlsConnect<TcpStream>>::Future;

    fn connect(self, stream: TcpStream) -> Self::Future {
        self.has_begun.store(true, Ordering::Relaxed);
        self.connect.connect(stream)
    }
}

fn trusted(ca: Option<&str>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in CertificateDer::pem_slice_iter(ca.unwrap_or_default().as_bytes()).flatten() {
        store.add(certificate).map_err(|error| format!("`ca`: {error}"))?;
    }
    Ok(store)
}

/// Takes any certificate, as the configuration says; the server must still have its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
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
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
