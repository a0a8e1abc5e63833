//! The codes of what this crate says, stable across releases; `docs/diagnostics.md` explains each.

use config::Code;

pub use crate::document::codes::UNREADABLE;

/// A text with variables that cannot be used there.
pub const TEMPLATE: Code = "FB3101";
/// Something the API has and this release's data plane has not.
pub const NOT_YET: Code = "FB3102";
/// The value of a field cannot be used.
pub const VALUE: Code = "FB3103";
/// An address that an object in a cluster may not name.
pub const LOCAL_ADDRESS: Code = "FB3104";
/// A header that a group cannot set.
pub const HEADER_NOT_SET: Code = "FB3105";

/// A resource that reads well and still cannot be put in force.
pub const NOT_IN_FORCE: Code = "FB3900";

/// The Service does not exist or was refused.
pub const SERVICE_MISSING: Code = "FB4001";
/// The Service has no such port.
pub const PORT_MISSING: Code = "FB4002";
/// The Service is an `ExternalName`.
pub const EXTERNAL_NAME: Code = "FB4003";
/// The `UpstreamGroup` does not exist or was refused.
pub const GROUP_MISSING: Code = "FB4004";
/// An `EndpointSlice` that is not used: addressType, or no Service named.
pub const SLICE_IGNORED: Code = "FB4005";
/// An endpoint whose address is not used.
pub const ENDPOINT_IGNORED: Code = "FB4006";
/// The Secret does not exist or was refused.
pub const SECRET_MISSING: Code = "FB4007";
/// The Secret cannot be used for TLS.
pub const SECRET_UNUSABLE: Code = "FB4008";
/// `appProtocol` of a port names something else than is spoken to its servers.
pub const APP_PROTOCOL: Code = "FB4009";
/// The Service has no endpoint that takes requests.
pub const NO_ENDPOINTS: Code = "FB4010";
/// The certificate is expired or not valid yet.
pub const CERTIFICATE_TIME: Code = "FB4012";
/// The certificate is not for the host.
pub const CERTIFICATE_HOST: Code = "FB4013";
/// The DNS name has no address, or none is known yet.
pub const NO_ADDRESSES: Code = "FB4014";
/// An address of a DNS name is not used.
pub const ADDRESS_IGNORED: Code = "FB4015";
/// The `ConfigMap` does not exist or was refused.
pub const CONFIG_MAP_MISSING: Code = "FB4016";
/// The `ConfigMap` has no authority that can be used.
pub const CONFIG_MAP_UNUSABLE: Code = "FB4017";

/// The Ingress names a class that does not exist or was refused.
pub const CLASS_MISSING: Code = "FB5001";
/// The Ingress is another controller's, or nobody's.
pub const CLASS_FOREIGN: Code = "FB5002";
/// The class is given by the legacy annotation.
pub const CLASS_ANNOTATION: Code = "FB5003";
/// Several `IngressClass`es are the default.
pub const CLASS_DEFAULTS: Code = "FB5004";
/// A rule's host is not one.
pub const HOST: Code = "FB5005";
/// A path or its type is not one.
pub const PATH: Code = "FB5006";
/// The path looks like a regular expression.
pub const PATH_REGEX: Code = "FB5007";
/// A backend that is neither a Service nor an `UpstreamGroup`.
pub const BACKEND: Code = "FB5008";
/// The Ingress says nothing: no rules and no default backend.
pub const EMPTY: Code = "FB5009";
/// Another route has this host and path.
pub const CONFLICT: Code = "FB5010";
/// Annotations of another controller, which do nothing here.
pub const FOREIGN_ANNOTATIONS: Code = "FB5011";
/// Another certificate has this host.
pub const TLS_CONFLICT: Code = "FB5012";
/// A host of `spec.tls` is an address.
pub const TLS_ADDRESS: Code = "FB5013";
