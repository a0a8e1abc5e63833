//! What a data plane that is fed by controllers is started with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use feed::Scope;

use super::address::ControllerUrl;
use super::credentials::Credentials;

/// How a data plane is fed. Fixed for the life of the process.
#[derive(Clone, Debug)]
pub struct FeedOptions {
    /// The controllers; every address of every one is tried.
    pub controllers: Vec<ControllerUrl>,
    /// What it proves itself by.
    pub credentials: Credentials,
    /// Its name: `NAMESPACE/POD`, or the host's.
    pub instance: Arc<str>,
    /// What it asks for.
    pub scope: Scope,
    /// Where the last good configuration is kept, if anywhere.
    pub state_dir: Option<PathBuf>,
    /// How long a controller may take at boot before the last good configuration is used.
    pub boot_wait: Duration,
    /// How long the other end may take.
    pub patience: Patience,
}

/// How long the other end may take for each step.
#[derive(Clone, Debug)]
pub struct Patience {
    /// A name to be resolved.
    pub resolve: Duration,
    /// A TCP connection.
    pub connect: Duration,
    /// A handshake: TLS, then HTTP/2.
    pub handshake: Duration,
    /// The header of a response; a controller asks the API server about our token meanwhile.
    pub answer: Duration,
    /// From the connection to `synced`; beyond it another replica may know more.
    pub sync: Duration,
    /// Between two complete lines: three and a half beats.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(5),
            connect: Duration::from_secs(3),
            handshake: Duration::from_secs(5),
            answer: Duration::from_secs(15),
            sync: Duration::from_secs(30),
            silence: Duration::from_secs(35),
        }
    }
}
