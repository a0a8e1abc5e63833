//! A scriptable DNS server: A and AAAA records over UDP (RFC 1035 section 4), and the answers that are none.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use tokio::{net::UdpSocket, sync::watch, task::JoinHandle};

/// A running server. It stops when dropped.
#[derive(Debug)]
pub struct Dns {
    address: SocketAddr,
    zone: Arc<watch::Sender<Zone>>,
    task: JoinHandle<()>,
}

/// What a name is answered with.
#[derive(Clone, Debug)]
pub enum Records {
    /// These addresses, each asked for by its family, valid for so many seconds.
    Addresses(Vec<IpAddr>, u32),
    /// There is no such name (`NXDOMAIN`).
    Missing,
    /// The server cannot tell (`SERVFAIL`).
    Failure,
}

#[derive(Debug, Default)]
struct Zone {
    records: HashMap<String, Records>,
    /// How often each name was asked for, both families counted.
    asked: HashMap<String, usize>,
}

const A: u16 = 1;
const AAAA: u16 = 28;

impl Dns {
    /// Listens on a free port of 127.0.0.1 and knows no name.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a UDP socket");
        let address = socket.local_addr().expect("it is bound");
        let zone = Arc::new(watch::Sender::default());
        Self { address, task: tokio::spawn(serve(socket, zone.clone())), zone }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers `name` with this from now on.
    pub fn set(&self, name: &str, records: Records) {
        self.zone.send_modify(|zone| {
            zone.records.insert(name.to_owned(), records);
        });
    }

    /// How often `name` was asked for.
    pub fn asked(&self, name: &str) -> usize {
        self.zone.borrow().asked.get(name).copied().unwrap_or_default()
    }

    /// Waits until `name` was asked for `times` times more.
    pub async fn asked_again(&self, name: &str, times: usize) {
        let until = self.asked(name) + times;
        let mut zone = self.zone.subscribe();
        let asked = zone.wait_for(|zone| zone.asked.get(name).is_some_and(|asked| *asked >= until));
        crate::patiently(&format!("{name} to be asked for"), asked).await.expect("the server runs");
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: UdpSocket, zone: Arc<watch::Sender<Zone>>) {
    let mut buffer = [0; 512];
    while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
        let Some((name, kind, question)) = question(&buffer[..length]) else { continue };
        let records = zone.borrow().records.get(&name).cloned().unwrap_or(Records::Missing);
        zone.send_modify(|zone| *zone.asked.entry(name).or_default() += 1);
        // A client that is gone asked for nothing.
        let _ = socket.send_to(&answer(&buffer[..length], question, kind, &records), client).await;
    }
}

/// The name asked for, the type of its records, and where the question ends.
fn question(message: &[u8]) -> Option<(String, u16, usize)> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(message.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?);
    Some((labels.join("."), kind, at + 4))
}

fn answer(query: &[u8], question_end: usize, kind: u16, records: &Records) -> Vec<u8> {
    let (addresses, valid, code) = match records {
        Records::Addresses(addresses, valid) => (addresses.as_slice(), *valid, 0),
        Records::Failure => (&[][..], 0, 2),
        Records::Missing => (&[][..], 0, 3),
    };
    let wanted = |address: &&IpAddr| kind == if address.is_ipv4() { A } else { AAAA };
    let addresses: Vec<_> = addresses.iter().filter(wanted).collect();
    let count = u16::try_from(addresses.len()).expect("a few records").to_be_bytes();

    let mut message = query[..2].to_vec();
    // A response, with recursion as it was asked for.
    message.extend([0x80 | query[2] & 1, 0x80 | code, 0, 1, count[0], count[1], 0, 0, 0, 0]);
    message.extend(&query[12..question_end]);
    for address in addresses {
        // The name is that of the question, at octet 12; the class is IN.
        message.extend([0xc0, 12]);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message.extend(valid.to_be_bytes());
        match address {
            IpAddr::V4(ip) => message.extend([&[0, 4][..], &ip.octets()].concat()),
            IpAddr::V6(ip) => message.extend([&[0, 16][..], &ip.octets()].concat()),
        }
    }
    message
}
