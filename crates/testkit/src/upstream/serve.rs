//! The loop of one connection, and of the listener.

use std::{io, sync::Arc, time::Duration};

use rustls::HandshakeKind;
use tokio_rustls::TlsAcceptor;

use super::{After, Cut, Handshake, Listener, Mode, Received, Shared, Stale, reply::reply};
use crate::{
    Head, Stream,
    message::{Body, Wire},
};

/// Why a connection's loop ends without an error of the socket.
enum Ended {
    /// Close it.
    Close,
    /// Reset it.
    Reset,
}

struct Connection {
    shared: Arc<Shared>,
    wire: Wire,
    number: usize,
    /// How often idle connections had been closed when this one was accepted.
    idle: u64,
}

pub(super) async fn accept(listener: Listener, shared: Arc<Shared>) {
    loop {
        // An error here is a client that left the queue; the next one may be fine.
        let Ok(stream) = listener.accept().await else { continue };
        let mut number = 0;
        shared.record.send_modify(|record| {
            record.connections += 1;
            record.open += 1;
            number = record.connections;
        });
        tokio::spawn(connection(shared.clone(), stream, number));
    }
}

async fn connection(shared: Arc<Shared>, stream: Stream, number: usize) {
    let mut cut = shared.cut.subscribe();
    let Cut { idle, all } = *cut.borrow_and_update();
    let secured = tokio::select! {
        secured = secure(&shared, stream) => secured,
        _ = cut.wait_for(|cut| cut.all != all) => None,
    };
    let Some(stream) = secured else {
        shared.record.send_modify(|record| record.open -= 1);
        return;
    };
    let mut connection = Connection { shared: shared.clone(), wire: Wire::new(stream), number, idle };
    let ended = tokio::select! {
        ended = connection.run() => ended,
        _ = cut.wait_for(|cut| cut.all != all) => Ok(Ended::Close),
    };
    if let Ok(Ended::Reset) = ended {
        connection.wire.stream.reset();
    } else {
        connection.wire.stream.close();
    }
    shared.record.send_modify(|record| record.open -= 1);
}

/// The stream with TLS on it, if that is spoken; nothing when the handshake fails.
async fn secure(shared: &Shared, stream: Stream) -> Option<Stream> {
    let Some(tls) = shared.tls.borrow().clone() else { return Some(stream) };
    let Stream::Tcp(stream) = stream else { panic!("TLS over TCP alone") };
    let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await else {
        shared.record.send_modify(|record| record.refused += 1);
        return None;
    };
    let (_, session) = stream.get_ref();
    let handshake = Handshake {
        name: session.server_name().map(str::to_owned),
        protocol: session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
        resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        shown: session.peer_certificates().is_some(),
    };
    shared.record.send_modify(|record| record.handshakes.push(handshake));
    Some(Stream::Tls(Box::new(stream.into())))
}

impl Connection {
    async fn run(&mut self) -> io::Result<Ended> {
        if self.mode() == Mode::CloseOnAccept {
            return Ok(Ended::Close);
        }
        for nth in 1.. {
            let Some(head) = self.next_head().await? else { break };
            let mode = self.mode();
            let takes_body = !matches!(mode, Mode::StopReading | Mode::HastyUpgrade);
            let body = if takes_body { self.body(&head).await? } else { Body::default() };
            let request = Arc::new(Received { connection: self.number, nth, head, body });
            self.shared.record.send_modify(|record| record.requests.push(request.clone()));
            match self.answer(&mode, &request).await? {
                After::Keep => {}
                After::Close => break,
                After::Reset => return Ok(Ended::Reset),
            }
        }
        Ok(Ended::Close)
    }

    fn mode(&self) -> Mode {
        self.shared.mode.borrow().clone()
    }

    /// The next request's head; nothing when the client closed or idle connections are to be closed.
    async fn next_head(&mut self) -> io::Result<Option<Head>> {
        let mut cut = self.shared.cut.subscribe();
        let idle = self.idle;
        tokio::select! {
            biased;
            head = self.wire.head() => head,
            _ = cut.wait_for(|cut| cut.idle != idle) => Ok(None),
        }
    }

    async fn body(&mut self, head: &Head) -> io::Result<Body> {
        if head.headers.has_token("expect", "100-continue") {
            self.wire.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        if head.headers.is_chunked() {
            return self.wire.chunked().await;
        }
        let content = self.wire.exact(head.headers.content_length().unwrap_or(0)).await?;
        Ok(Body { content, ..Body::default() })
    }

    async fn answer(&mut self, mode: &Mode, request: &Received) -> io::Result<After> {
        match mode {
            Mode::Hang | Mode::StopReading => return self.hang(*mode == Mode::StopReading).await,
            Mode::Upgrade | Mode::HastyUpgrade => return self.upgrade(request).await,
            Mode::SlowBody { head, bytes, pause } => {
                self.wire.write(head.as_bytes()).await?;
                self.drip(&vec![b'x'; *bytes], *pause).await?;
                return Ok(After::Keep);
            }
            Mode::Delay(delay) => tokio::time::sleep(*delay).await,
            Mode::Hold => self.hold(request, &format!("{}.{}", self.number, request.nth)).await?,
            Mode::Ok if request.header("x-hold").is_some() => self.hold(request, "").await?,
            Mode::Stale(Stale::AtNextRequest) if request.nth > 1 => return Ok(After::Close),
            _ => {}
        }
        let (bytes, after) = reply(&self.shared.name, mode, request);
        if let Mode::Slow(pause) = mode {
            self.drip(&bytes, *pause).await?;
        } else {
            self.wire.write(&bytes).await?;
        }
        Ok(if *mode == Mode::Stale(Stale::AfterResponse) { After::Close } else { after })
    }

    async fn hold(&mut self, request: &Received, otherwise: &str) -> io::Result<()> {
        let id = request.header("x-hold").unwrap_or(otherwise).to_owned();
        let gate = self.shared.gate.clone();
        let left = tokio::select! {
            () = gate.pass(&id) => return Ok(()),
            left = self.client_leaves() => left,
        };
        gate.leave(&id);
        left
    }

    async fn hang(&mut self, unread: bool) -> io::Result<After> {
        if unread {
            std::future::pending::<()>().await;
        }
        self.client_leaves().await?;
        Ok(After::Close)
    }

    /// Waits, reading ahead, until the client closes; always an error.
    async fn client_leaves(&mut self) -> io::Result<()> {
        let error = loop {
            match self.wire.fill().await {
                Ok(0) => break io::ErrorKind::UnexpectedEof.into(),
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        self.shared.record.send_modify(|record| record.aborted += 1);
        Err(error)
    }

    async fn drip(&mut self, bytes: &[u8], pause: Duration) -> io::Result<()> {
        for byte in bytes {
            tokio::time::sleep(pause).await;
            self.wire.write(&[*byte]).await?;
        }
        Ok(())
    }

    async fn upgrade(&mut self, request: &Received) -> io::Result<After> {
        let protocol = request.header("upgrade").unwrap_or("echo");
        let head = format!("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n");
        self.wire.write(head.as_bytes()).await?;
        loop {
            if !self.wire.buffer.is_empty() {
                let bytes = std::mem::take(&mut self.wire.buffer);
                self.wire.write(&bytes).await?;
            }
            if self.wire.fill().await? == 0 {
                return Ok(After::Close);
            }
        }
    }
}
