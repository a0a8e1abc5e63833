//! The authorities that the system trusts: those of `SSL_CERT_FILE` or `SSL_CERT_DIR` if one is set, else of the place where
//! the distribution keeps them. They are the system's to renew, so none are compiled in: a binary would go on believing an
//! authority that everybody else has dropped. The image carries Debian's.
//!
//! They are read once, when the first group asks: a process that is to see others is started anew, as with OpenSSL.

use std::sync::{Arc, OnceLock};

use rustls::RootCertStore;

use super::Unusable;

/// All of them.
pub(super) fn system() -> Result<Arc<RootCertStore>, Unusable> {
    static ROOTS: OnceLock<Result<Arc<RootCertStore>, Unusable>> = OnceLock::new();
    ROOTS.get_or_init(read).clone()
}

fn read() -> Result<Arc<RootCertStore>, Unusable> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some bundles have certificates that nobody can read; the others are as good as before.
    let _ = roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or_else(|| "none were found".to_owned(), ToString::to_string);
        return Err(Unusable::NoRoots(why));
    }
    Ok(Arc::new(roots))
}
