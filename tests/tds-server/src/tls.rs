//! TLS in TDS 7: the handshake is inside pre-login packets; everything after it is plain TLS.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::TLS12;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::packet::{HEADER, kind};

/// A certificate of `localhost` that it signed itself, and its key.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    certificate: String,
}

impl Tls {
    pub(crate) fn self_signed() -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        // After the handshake of TLS 1.3 a server has more to say, and TDS 7 no packets left for it.
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS12])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate: cert.pem() }
    }

    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Tls")
    }
}

/// Does the TLS handshake on a connection after its pre-login.
pub(crate) async fn accept<S>(tls: &Tls, stream: S) -> io::Result<TlsStream<Wrapped<S>>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let wrapped =
        Wrapped { stream, is_handshake: true, header: Vec::new(), left: 0, out: Vec::new(), is_framed: false };
    let mut accepted = tls.acceptor.accept(wrapped).await?;
    accepted.get_mut().0.is_handshake = false;
    Ok(accepted)
}

/// A stream whose bytes go inside pre-login packets while the handshake lasts.
pub(crate) struct Wrapped<S> {
    stream: S,
    is_handshake: bool,
    /// Header of the packet that is being read.
    header: Vec<u8>,
    /// Bytes of that packet that are still to come.
    left: usize,
    /// A packet on its way out.
    out: Vec<u8>,
    /// The packet has its header.
    is_framed: bool,
}

impl<S: AsyncRead + Unpin> AsyncRead for Wrapped<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.is_handshake {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        while this.left == 0 {
            let mut byte = [0];
            let mut one = ReadBuf::new(&mut byte);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut one))?;
            if one.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.header.extend(one.filled());
            if this.header.len() == HEADER {
                this.left = usize::from(u16::from_be_bytes([this.header[2], this.header[3]])).saturating_sub(HEADER);
                this.header.clear();
            }
        }
        let mut part = buf.take(this.left);
        ready!(Pin::new(&mut this.stream).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        this.left -= read;
        // Only unsafe code could mark the view as filled in the buffer.
        let bytes = part.filled().to_vec();
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wrapped<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.is_handshake {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        }
        self.out.extend(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.out.is_empty() && !this.is_framed {
            this.is_framed = true;
            let length = ((this.out.len() + HEADER) as u16).to_be_bytes();
            this.out.splice(..0, [kind::PRE_LOGIN, 1, length[0], length[1], 0, 0, 1, 0]);
        }
        while !this.out.is_empty() {
            let written = ready!(Pin::new(&mut this.stream).poll_write(cx, &this.out))?;
            this.out.drain(..written);
        }
        this.is_framed = false;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
