//! What is spoken to the servers, and the TLS under it.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is spoken to the servers.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    #[default]
    HTTP1,
    H2C,
    HTTPS,
    H2,
}

/// TLS to the servers.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(self.insecureSkipVerify && has(self.caCertificateRef))")
        .message("insecureSkipVerify and caCertificateRef exclude each other"),
)]
pub struct UpstreamTls {
    /// The name asked for (SNI) and verified in the server's certificate: a DNS name, or an IP address, for which no name is asked.
    /// Not set: the host of the request, which its client chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub server_name: Option<String>,

    /// The authorities that may have signed the server's certificate, under the key ca.crt. Not set: those of the data plane's
    /// system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_certificate_ref: Option<CaReference>,

    /// The certificate shown to the server: a Secret of type kubernetes.io/tls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_ref: Option<SecretReference>,

    /// Whether the server's certificate is not verified. Default: false.
    #[serde(default)]
    pub insecure_skip_verify: bool,
}

/// An object of the group's namespace that holds certificates of authorities.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CaReference {
    /// Secret or ConfigMap. Default: Secret.
    #[serde(default)]
    pub kind: CaReferenceKind,

    /// The object's name.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
}

/// Which kind of object holds the certificates of authorities.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CaReferenceKind {
    #[default]
    Secret,
    ConfigMap,
}

/// A Secret of the group's namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// The Secret's name.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
}
