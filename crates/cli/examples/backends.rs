//! Backends to try the examples against: `cargo run --example backends -- [--tls CERTIFICATE,KEY] NAME=[IP:]PORT[:HOW]...`
//!
//! Each answers 200 with its name; `/echo` answers what it received. HOW makes it behave otherwise: a status such as `503`,
//! a time such as `5s` that it takes, or `upgrade` for a tunnel that sends every byte back. With two files in PEM they all
//! speak TLS. Port 0 is a free one; where each listens is printed.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use testkit::{Address, Mode, Upstream, tls::Pair};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let running = match start(std::env::args().skip(1)).await {
        Ok(running) => running,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    for upstream in &running {
        println!("{} listens on {}", upstream.name(), upstream.address());
    }
    // An error means that no signal can be caught: then the default action ends the process as well.
    let _ = tokio::signal::ctrl_c().await;
    ExitCode::SUCCESS
}

/// Starts what the arguments say; they serve until they are dropped.
pub async fn start(arguments: impl IntoIterator<Item = String>) -> Result<Vec<Upstream>, String> {
    let mut running = Vec::new();
    let mut arguments = arguments.into_iter().peekable();
    let tls = match arguments.next_if(|argument| argument == "--tls").and_then(|_| arguments.next()) {
        None => None,
        Some(files) => {
            let told =
                |error| format!("--tls {files}: {error}; name the files of a certificate and its key, CERTIFICATE,KEY");
            Some(pair(&files).map_err(told)?.server())
        }
    };
    for argument in arguments {
        let told = || {
            format!(
                "\"{argument}\" is not NAME=[IP:]PORT[:STATUS|:SECONDSs|:upgrade], for example one=9001 or two=9002:503"
            )
        };
        let (name, address, mode) = parse(&argument).ok_or_else(told)?;
        let upstream = Upstream::at(name, Address::Tcp(address)).await;
        upstream.secure(tls.clone());
        upstream.set(mode).await;
        running.push(upstream);
    }
    Ok(running)
}

fn pair(files: &str) -> std::io::Result<Pair> {
    let (chain, key) = files.split_once(',').ok_or(std::io::ErrorKind::InvalidInput)?;
    Ok(Pair { chain: std::fs::read_to_string(chain)?, key: std::fs::read_to_string(key)? })
}

fn parse(argument: &str) -> Option<(&str, SocketAddr, Mode)> {
    let (name, rest) = argument.split_once('=')?;
    let mut parts = rest.split(':').peekable();
    let ip = match parts.next_if(|part| part.contains('.')) {
        Some(ip) => ip.parse().ok()?,
        None => Ipv4Addr::LOCALHOST,
    };
    let port: u16 = parts.next()?.parse().ok()?;
    let mode = match parts.next() {
        None => Mode::Ok,
        Some("upgrade") => Mode::Upgrade,
        Some(how) => match how.strip_suffix('s') {
            Some(seconds) => Mode::Delay(Duration::from_secs(seconds.parse().ok()?)),
            None => Mode::Status(how.parse().ok().filter(|status| (200..600).contains(status))?),
        },
    };
    Some((name, (ip, port).into(), mode))
}
