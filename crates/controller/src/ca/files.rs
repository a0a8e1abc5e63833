//! A serving certificate of the operator's own (cert-manager's, say), and the CA of client certificates: files that are read
//! again, because whoever renews them does not tell us. Contents are compared, not times: a ConfigMap's are links.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::serve::{Tls, TlsError};

/// Between two looks. The kubelet itself takes about a minute to bring a new Secret into a volume.
const EVERY: Duration = Duration::from_secs(10);

/// Where they are.
#[derive(Clone, Debug)]
pub struct Files {
    /// PEM, the chain.
    pub certificate: PathBuf,
    /// PEM, the key of its first certificate.
    pub key: PathBuf,
    /// PEM, of whom client certificates are taken.
    pub client_ca: Option<PathBuf>,
}

/// What the files hold.
#[derive(Debug, PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// Files that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// Not readable.
    #[error("{flag} {}: cannot be read: {error}", .path.display())]
    Read {
        /// What it was given by.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Readable, and not what they must be.
    #[error("--feed-certificate {} with --feed-key {}: {error}", .certificate.display(), .key.display())]
    Tls {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's.
        key: PathBuf,
        /// Why.
        error: TlsError,
    },
}

impl Files {
    /// Reads them once: whoever starts with bad ones wants to know.
    pub fn read(&self) -> Result<Arc<Tls>, FilesError> {
        self.contents().and_then(|contents| self.tls(&contents))
    }

    /// Sends what they hold, now and whenever it changes, until `stop`. While it cannot be used, what was sent last stays.
    pub async fn keep(self, tls: watch::Sender<Option<Arc<Tls>>>, stop: CancellationToken) {
        let mut last = None;
        let mut complaint = None;
        loop {
            let read = self.contents().and_then(|contents| {
                if last.as_ref() != Some(&contents) {
                    tls.send_replace(Some(self.tls(&contents)?));
                    last = Some(contents);
                }
                Ok(())
            });
            let problem = read.err().map(|error| error.to_string());
            if problem != complaint {
                if let Some(problem) = &problem {
                    tracing::error!("{problem}; the certificate read last stays in use");
                } else {
                    tracing::info!("{} can be used again", self.certificate.display());
                }
                complaint = problem;
            }
            if stop.run_until_cancelled(sleep(EVERY)).await.is_none() {
                return;
            }
        }
    }

    fn contents(&self) -> Result<Contents, FilesError> {
        Ok(Contents {
            certificate: read("--feed-certificate", &self.certificate)?,
            key: read("--feed-key", &self.key)?,
            client_ca: self.client_ca.as_deref().map(client_ca).transpose()?,
        })
    }

    fn tls(&self, contents: &Contents) -> Result<Arc<Tls>, FilesError> {
        let tls = Tls::from_pem(&contents.certificate, &contents.key, contents.client_ca.as_deref());
        let (certificate, key) = (&self.certificate, &self.key);
        let fail = |error| FilesError::Tls { certificate: certificate.clone(), key: key.clone(), error };
        tls.map(Arc::new).map_err(fail)
    }
}

/// The CA of client certificates.
pub(super) fn client_ca(path: &Path) -> Result<Vec<u8>, FilesError> {
    read("--feed-client-ca", path)
}

/// A few kilobytes, hence on this thread.
fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, FilesError> {
    std::fs::read(path).map_err(|error| FilesError::Read { flag, path: path.to_owned(), error })
}
