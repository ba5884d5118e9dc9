//! Which cryptography TLS uses.

/// Makes one of the implementations that are linked the process's own. A client of the databases
/// or of AWS that is told of none takes it, and could not choose between two by itself.
pub fn install() {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("the cryptography of TLS was chosen before");
    }
}
