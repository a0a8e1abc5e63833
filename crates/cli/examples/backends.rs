//! Backends to try the examples against: `cargo run --example backends -- [--tls CERTIFICATE,KEY] NAME=[IP:]PORT[:HOW]...`
//!
//! Each answers 200 with its name; `/echo` answers what it received. HOW makes it behave otherwise: a status such as `503`,
//! a time such as `5s` that it takes, or `upgrade` for a tunnel that sends every byte back. With two files in PEM they all
//! speak TLS.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use testkit::{Address, Mode, Upstream, tls::Pair};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut running = Vec::new();
    let mut arguments = std::env::args().skip(1).peekable();
    let tls = match arguments.next_if(|argument| argument == "--tls").and_then(|_| arguments.next()) {
        None => None,
        Some(files) => match pair(&files) {
            Ok(pair) => Some(pair.server()),
            Err(error) => {
                eprintln!("--tls {files}: {error}; name the files of a certificate and its key, CERTIFICATE,KEY");
                return ExitCode::from(2);
            }
        },
    };
    for argument in arguments {
        let Some((name, address, mode)) = parse(&argument) else {
            eprintln!(
                "\"{argument}\" is not NAME=[IP:]PORT[:STATUS|:SECONDSs|:upgrade], for example one=9001 or two=9002:503"
            );
            return ExitCode::from(2);
        };
        let upstream = Upstream::at(name, Address::Tcp(address)).await;
        upstream.secure(tls.clone());
        upstream.set(mode).await;
        println!("{name} listens on {address}");
        running.push(upstream);
    }
    // An error means that no signal can be caught: then the default action ends the process as well.
    let _ = tokio::signal::ctrl_c().await;
    ExitCode::SUCCESS
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
