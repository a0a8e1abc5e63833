//! Small HTTP backends for the demo: each answers with its name, and can be made to fail and to recover on its address.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// The longest request head a backend reads.
const HEAD_LIMIT: usize = 64 << 10;

/// One backend.
pub struct Backend {
    name: watch::Sender<Arc<str>>,
    address: SocketAddr,
    serving: Option<JoinHandle<()>>,
}

impl Backend {
    /// Starts to listen and answer.
    pub fn start(name: Arc<str>, address: SocketAddr) -> io::Result<Self> {
        let mut backend = Self { name: watch::Sender::new(name), address, serving: None };
        backend.recover()?;
        Ok(backend)
    }

    /// Answers with this name from now on.
    pub fn rename(&self, name: Arc<str>) {
        self.name.send_replace(name);
    }

    /// Whether it answers with one of these names.
    pub fn is_among(&self, names: &[Arc<str>]) -> bool {
        names.contains(&self.name.borrow())
    }

    /// Stops listening and closes every connection: clients are refused, as if the process had died.
    pub fn fail(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }

    /// Listens and answers again.
    pub fn recover(&mut self) -> io::Result<()> {
        if self.serving.is_none() {
            self.serving = Some(tokio::spawn(serve(listen(self.address)?, self.name.subscribe())));
        }
        Ok(())
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(128)
}

/// Connections live in a set of this task: aborting it closes them.
async fn serve(listener: TcpListener, name: watch::Receiver<Arc<str>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(answer(stream, name.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(mut stream: TcpStream, name: watch::Receiver<Arc<str>>) {
    let mut received = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(bytes @ 1..) = stream.read(&mut chunk).await {
        received.extend_from_slice(&chunk[..bytes]);
        while let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            received.drain(..end + 4);
            let response = response(&name.borrow());
            if stream.write_all(response.as_bytes()).await.is_err() {
                return;
            }
        }
        if received.len() > HEAD_LIMIT {
            return;
        }
    }
}

fn response(name: &str) -> String {
    let body = format!("hello from {name}\n");
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nX-Served-By: {name}\r\n\r\n{body}",
        body.len()
    )
}
