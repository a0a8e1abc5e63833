//! How much either end takes from the other. Each bound is far above what a healthy peer needs and small enough that a
//! hostile one cannot hurt: what a stream may make us keep is decided before it is read.

/// Resources of one data plane. Ten thousand hosts with a group and a certificate each are a third of it.
pub const RESOURCES: usize = 100_000;

/// Bytes of one line from a controller: a group of 50,000 endpoints.
pub const SERVER_LINE: usize = 16 << 20;

/// Bytes of a `hello`: about 100,000 names with versions.
pub const HELLO_LINE: usize = 8 << 20;

/// Resources of a data plane that does not see everything: the groups of its namespace. A cluster is good for about 5,000
/// Services in one.
pub const SIDECAR_RESOURCES: usize = 10_000;

/// Bytes of its `hello`.
pub const SIDECAR_HELLO_LINE: usize = 1 << 20;

/// Bytes of every later line from a data plane; the longest is a `nack` with name and problem.
pub const CLIENT_LINE: usize = 8 << 10;

/// Bytes of a resource's name: a namespace (63), a name (253) and a port fit twice.
pub const KEY: usize = 512;

/// Bytes of an instance's or a controller's name: a DNS subdomain with a random suffix.
pub const NAME: usize = 300;

/// Bytes of a sentence sent along for people (`nack`, `bye`).
pub const PROBLEM: usize = 512;

/// Namespaces or groups a scope may list.
pub const SCOPE: usize = 256;

/// Frames of unknown kinds on one stream before it is taken for noise.
pub const UNKNOWN_FRAMES: u32 = 64;

/// Problems kept per data plane, of the resources it refused; that it refused is kept for all.
pub const PROBLEMS_KEPT: usize = 32;

/// Bytes of a report: 10,000 servers with every counter.
pub const REPORT: usize = 16 << 20;

/// Servers in a report.
pub const REPORTED_SERVERS: usize = 100_000;

/// Reasons of failures a server is reported with.
pub const REASONS: usize = 16;

/// Bytes of a reason's name.
pub const REASON: usize = 32;
