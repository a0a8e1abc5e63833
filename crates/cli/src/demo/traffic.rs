//! The trickle of requests, as a client sends them and sees their answers.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One answer, as its client saw it.
pub struct Reply {
    status: u16,
    served_by: Option<String>,
}

/// Sends one request.
pub async fn request(address: SocketAddr) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: demo.example\r\nConnection: close\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("x-served-by").then(|| value.trim().to_owned())
    };
    Ok(Reply { status, served_by: text.lines().find_map(header) })
}

impl Reply {
    /// Who answered as it should be: with 200, and by name.
    pub fn server(&self) -> Option<&str> {
        self.served_by.as_deref().filter(|_| self.status == 200)
    }
}
