//! The DNS itself. The system's `getaddrinfo` will not do: it tells neither how long an answer is valid nor, through the
//! standard library, whether a name does not exist or nobody could say.

use std::net::SocketAddr;
use std::time::Instant;

use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::{Resolver, TokioResolver};

use super::{Answer, Family, LookUp, Question};

/// Asks DNS servers.
pub struct Dns {
    /// Or why there is none to ask, which only matters to who uses names.
    resolver: Result<TokioResolver, NetError>,
}

impl Dns {
    /// Asks these servers (nginx `resolver ADDRESS`), or with none those of `/etc/resolv.conf`. Names in `/etc/hosts` are
    /// taken from there; both files are read now.
    pub fn new(servers: &[SocketAddr]) -> Self {
        let builder = if servers.is_empty() {
            TokioResolver::builder_tokio()
        } else {
            let servers = servers.iter().copied().map(name_server).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            Ok(Resolver::builder_with_config(config, TokioRuntimeProvider::default()))
        };
        let resolver = builder.and_then(|mut builder| {
            // What is known is kept by the book, and for how long.
            builder.options_mut().cache_size = 0;
            builder.build()
        });
        Self { resolver }
    }
}

impl LookUp for Dns {
    async fn look_up(&self, question: &Question) -> Answer {
        let resolver = match &self.resolver {
            Ok(resolver) => resolver,
            Err(error) => return Answer::Failed(error.to_string()),
        };
        let record = match question.family {
            Family::Ipv4 => RecordType::A,
            Family::Ipv6 => RecordType::AAAA,
        };
        // Names are fully qualified: the search list of resolv.conf must not lead them elsewhere.
        match resolver.lookup(format!("{}.", question.name), record).await {
            Ok(lookup) => {
                let addresses = lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect();
                let valid = lookup.valid_until().saturating_duration_since(Instant::now());
                Answer::Addresses(addresses, valid.into())
            }
            Err(error) if error.is_no_records_found() => Answer::Absent,
            Err(error) => Answer::Failed(error.to_string()),
        }
    }
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}
