//! The flags of a data plane: each also `FOREBAY_...` in the environment, nginx's defaults where nginx has one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use config::{GroupId, Phase, Template, parse_duration, parse_size};
use controller::names::{self, Dns, Family, Resolver};
use ipnet::IpNet;
use proxy::access_log;
use proxy::{Early, Limits, Listener, Protocol};

/// Where and how a data plane serves.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Listeners, logs and leaving")]
pub struct DataPlaneArgs {
    /// Listen for HTTP here; repeatable. ADDR=NAMESPACE/GROUP binds the listener to one group, without routes [default:
    /// 0.0.0.0:8080, unless there is a TLS listener]
    #[arg(long = "http", env = "FOREBAY_HTTP", value_name = "ADDR[=NAMESPACE/GROUP]", value_delimiter = ',')]
    #[arg(value_parser = parse_listener)]
    pub http: Vec<Listener>,

    /// Listen for HTTP/2 and HTTP/1 over TLS here, with the certificates of Ingresses' `spec.tls`; repeatable
    #[arg(long = "https", env = "FOREBAY_HTTPS", value_name = "ADDR[=NAMESPACE/GROUP]", value_delimiter = ',')]
    #[arg(value_parser = parse_tls_listener)]
    pub https: Vec<Listener>,

    /// Health, metrics and the live picture of every group
    #[arg(long, env = "FOREBAY_ADMIN", value_name = "ADDR", default_value = "127.0.0.1:9901")]
    pub admin: SocketAddr,

    /// Worker threads [default: the CPUs this process may use, cgroup quota included]
    #[arg(long, env = "FOREBAY_WORKERS", value_name = "N", value_parser = parse_workers)]
    pub workers: Option<u16>,

    /// Where requests are logged: a file, `-` for standard output, `off`
    #[arg(long, env = "FOREBAY_ACCESS_LOG", value_name = "PATH|-|off", default_value = "-")]
    pub access_log: AccessLogTarget,

    /// How requests are logged: `text` (nginx's combined form plus upstream fields), `json`, or a text with $variables
    #[arg(long, env = "FOREBAY_ACCESS_LOG_FORMAT", value_name = "text|json|TEMPLATE", default_value = "text")]
    #[arg(value_parser = parse_access_log_format)]
    pub access_log_format: access_log::Format,

    /// The least severe event that is logged on standard error
    #[arg(long, env = "FOREBAY_ERROR_LOG_LEVEL", value_name = "LEVEL", default_value = "notice")]
    pub error_log_level: crate::logging::Level,

    /// Peers whose X-Forwarded-For, -Proto, -Host, -Port and X-Request-ID are believed; X-Real-IP is believed of nobody
    #[arg(long, env = "FOREBAY_TRUSTED_PROXIES", value_name = "CIDR,...", value_delimiter = ',', value_parser = parse_net)]
    pub trusted_proxies: Vec<IpNet>,

    /// After SIGTERM: how long new connections are still accepted while the news spreads
    #[arg(long, env = "FOREBAY_DRAIN_DELAY", value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub drain_delay: Duration,

    /// Then: how long requests in flight may take to finish
    #[arg(long, env = "FOREBAY_DRAIN_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub drain_timeout: Duration,

    #[command(flatten)]
    pub zone: ZoneArgs,

    #[command(flatten)]
    pub limits: LimitArgs,
}

/// Where a data plane runs.
#[derive(Clone, Debug, Default, Args)]
pub struct ZoneArgs {
    /// The zone this data plane runs in (`topology.kubernetes.io/zone`): where all endpoints of a Service have `hints.forZones`,
    /// only those for this zone are used, if there are any
    #[arg(long, env = "FOREBAY_ZONE", value_name = "ZONE", value_parser = parse_zone)]
    zone: Option<String>,
}

/// Bounds on what a client may send.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits on clients")]
pub struct LimitArgs {
    /// Request line and header together; beyond it 431
    #[arg(long, env = "FOREBAY_CLIENT_MAX_HEADER_SIZE", value_name = "SIZE", default_value = "32Ki", value_parser = room)]
    pub client_max_header_size: u64,

    /// Header lines; beyond it 431
    #[arg(long, env = "FOREBAY_CLIENT_MAX_HEADERS", value_name = "N", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub client_max_headers: u16,

    /// Request body; beyond it 413; 0 is no limit
    #[arg(long, env = "FOREBAY_CLIENT_MAX_BODY_SIZE", value_name = "SIZE", default_value = "1Mi", value_parser = size)]
    pub client_max_body_size: u64,

    /// Until the header is complete; closes idle connections too
    #[arg(long, env = "FOREBAY_CLIENT_HEADER_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub client_header_timeout: Duration,

    /// Between two reads of the body; beyond it 408
    #[arg(long, env = "FOREBAY_CLIENT_BODY_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub client_body_timeout: Duration,

    /// Between two writes to a client that does not take them; beyond it the connection is closed
    #[arg(long, env = "FOREBAY_CLIENT_SEND_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub client_send_timeout: Duration,

    /// Requests one client connection may carry; 0 is no limit
    #[arg(long, env = "FOREBAY_CLIENT_KEEPALIVE_REQUESTS", value_name = "N", default_value_t = 1000)]
    pub client_keepalive_requests: u64,

    /// Requests one HTTP/2 connection may have in progress
    #[arg(long, env = "FOREBAY_CLIENT_CONCURRENT_STREAMS", value_name = "N", default_value_t = 128)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub client_concurrent_streams: u32,

    /// A server's response header; beyond it the attempt failed with an invalid header
    #[arg(long, env = "FOREBAY_UPSTREAM_MAX_HEADER_SIZE", value_name = "SIZE", default_value = "64Ki", value_parser = room)]
    pub upstream_max_header_size: u64,
}

/// Which Ingresses are served.
#[derive(Clone, Debug, Args)]
pub struct IngressClassArgs {
    /// Serve only the Ingresses of this class, whoever its IngressClass belongs to
    #[arg(long, env = "FOREBAY_INGRESS_CLASS", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    ingress_class: Option<String>,
}

/// How DNS names of servers are looked up.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Servers by DNS name")]
pub struct ResolverArgs {
    /// Ask this DNS server; repeatable [default: those of /etc/resolv.conf; the port, if left out: 53]
    #[arg(long, env = "FOREBAY_RESOLVER", value_name = "IP[:PORT]", value_delimiter = ',', value_parser = parse_resolver)]
    pub resolver: Vec<SocketAddr>,

    /// Look names up again after this time [default: when their records expire]
    #[arg(long, env = "FOREBAY_RESOLVER_VALID", value_name = "TIME", value_parser = duration)]
    pub resolver_valid: Option<Duration>,

    /// Whether IPv6 addresses are asked for, too
    #[arg(long, env = "FOREBAY_RESOLVER_IPV6", value_name = "on|off", default_value = "on")]
    pub resolver_ipv6: Switch,
}

/// nginx's `on` and `off`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    #[default]
    On,
    Off,
}

/// Where requests are logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogTarget {
    Off,
    Stdout,
    File(PathBuf),
}

/// A form of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Where a data plane listens that is not told.
const EVERYWHERE: Listener = Listener {
    address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080),
    group: None,
    protocol: Protocol::Http,
};

impl IngressClassArgs {
    /// The class, if one is asked for.
    pub fn get(&self) -> Option<Arc<str>> {
        self.ingress_class.as_deref().map(Arc::from)
    }

    /// How documents from files are translated.
    pub fn for_files(&self) -> translate::Options {
        translate::Options { ingress_class: self.get(), ..translate::Options::for_files(jiff::Timestamp::now()) }
    }
}

impl ZoneArgs {
    /// The zone, if it is known.
    pub fn get(&self) -> Option<Arc<str>> {
        self.zone.as_deref().map(Arc::from)
    }
}

impl ResolverArgs {
    /// Begins to follow names. Call it within a runtime.
    pub fn start(&self) -> Resolver {
        let families = match self.resolver_ipv6 {
            Switch::On => vec![Family::Ipv4, Family::Ipv6],
            Switch::Off => vec![Family::Ipv4],
        };
        let options = names::Options { families, valid: self.resolver_valid.map(Into::into) };
        Resolver::start(Dns::new(&self.resolver), options)
    }
}

impl DataPlaneArgs {
    /// The worker threads to start.
    pub fn worker_count(&self) -> usize {
        // The standard library reads the affinity mask and the cgroup's CPU quota.
        self.workers.map_or_else(|| available_parallelism().map_or(1, usize::from), usize::from)
    }

    /// What the data plane is started with.
    pub fn into_options(self, early: Early) -> proxy::Options {
        let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        let mut listeners = [self.http.as_slice(), &self.https].concat();
        if listeners.is_empty() {
            listeners.push(EVERYWHERE);
        }
        proxy::Options {
            workers: self.worker_count(),
            listeners,
            trusted_proxies: self.trusted_proxies,
            limits: Limits {
                header_bytes: bytes(self.limits.client_max_header_size),
                headers: usize::from(self.limits.client_max_headers),
                header_timeout: self.limits.client_header_timeout,
                body_timeout: self.limits.client_body_timeout,
                send_timeout: self.limits.client_send_timeout,
                body_bytes: self.limits.client_max_body_size,
                keepalive_requests: self.limits.client_keepalive_requests,
                concurrent_streams: self.limits.client_concurrent_streams,
                upstream_header_bytes: bytes(self.limits.upstream_max_header_size),
            },
            zone: self.zone.get(),
            early,
            access_log: access_log::Options {
                target: match self.access_log {
                    AccessLogTarget::Off => access_log::Target::Off,
                    AccessLogTarget::Stdout => access_log::Target::Stdout,
                    AccessLogTarget::File(path) => access_log::Target::File(path),
                },
                format: self.access_log_format,
            },
            drain_delay: self.drain_delay,
            drain_timeout: self.drain_timeout,
        }
    }
}

impl FromStr for AccessLogTarget {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "off" => Self::Off,
            "-" => Self::Stdout,
            path => Self::File(path.into()),
        })
    }
}

fn parse_listener(text: &str) -> Result<Listener, String> {
    let (address, group) = match text.split_once('=') {
        Some((address, group)) => (address, Some(group.parse::<GroupId>().map_err(|error| error.to_string())?)),
        None => (text, None),
    };
    let address = address
        .parse()
        .map_err(|_| format!("\"{address}\" is not an address; write IP:PORT, for example 0.0.0.0:8080"))?;
    Ok(Listener { address, group, protocol: Protocol::Http })
}

fn parse_tls_listener(text: &str) -> Result<Listener, String> {
    parse_listener(text).map(|listener| Listener { protocol: Protocol::Https, ..listener })
}

/// A zone is the value of a label.
fn parse_zone(text: &str) -> Result<String, String> {
    let is_of_a_label = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=63).contains(&text.len()) && text.bytes().all(is_of_a_label) {
        return Ok(text.to_owned());
    }
    Err(format!("\"{text}\" is not a zone; write the node's label topology.kubernetes.io/zone, such as eu-west-1a"))
}

fn parse_resolver(text: &str) -> Result<SocketAddr, String> {
    let bare = |text: &str| Some(SocketAddr::new(text.trim_matches(['[', ']']).parse().ok()?, 53));
    let address = text.parse().ok().or_else(|| bare(text));
    address.ok_or_else(|| format!("\"{text}\" is not the address of a DNS server; write IP or IP:PORT"))
}

fn parse_access_log_format(text: &str) -> Result<access_log::Format, String> {
    match text {
        "text" => Ok(access_log::Format::Combined),
        "json" => Ok(access_log::Format::Json),
        template if template.contains('$') => {
            Template::parse(template, Phase::Log).map(access_log::Format::Template).map_err(|error| error.to_string())
        }
        other => Err(format!("\"{other}\" is neither text nor json nor a template; a template has $variables")),
    }
}

fn parse_workers(text: &str) -> Result<u16, String> {
    match (text, text.parse()) {
        (_, Ok(count @ 1..=1024)) => Ok(count),
        // nginx's word for the default.
        ("auto", _) => Err("leave it out: the default is the CPUs this process may use".to_owned()),
        _ => Err(format!("\"{text}\" is not a number from 1 to 1024")),
    }
}

fn parse_net(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| format!("\"{text}\" is not a network; write 10.0.0.0/8 or an address"))
}

/// A duration flag, as nginx spells times.
pub fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map(config::Millis::as_duration).map_err(|error| error.to_string())
}

fn size(text: &str) -> Result<u64, String> {
    parse_size(text).map_err(|error| error.to_string())
}

/// The size of a header that must hold one: with none, every request would fail.
fn room(text: &str) -> Result<u64, String> {
    size(text).and_then(|size| if size < 1024 { Err(format!("{size} is less than 1Ki")) } else { Ok(size) })
}
