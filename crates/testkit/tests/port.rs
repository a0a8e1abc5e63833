//! A port is its owner's while nobody listens on it: whoever comes again comes where it was.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};
use testkit::{Authority, Controller, Mode, Port, Upstream};
use tokio::net::TcpStream;

/// Whether somebody else could be given the address.
fn is_free(address: SocketAddr) -> bool {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    socket.bind(&address.into()).is_ok()
}

async fn refuses(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[tokio::test]
async fn nobody_is_given_it_and_nobody_answers() {
    let port = Port::free().unwrap();
    let address = port.address();
    assert!(refuses(address).await && !is_free(address));
    let listener = port.listen().unwrap();
    assert!(!refuses(address).await);
    drop(listener);
    assert!(refuses(address).await && !is_free(address));
    drop(port);
    assert!(is_free(address));
}

#[tokio::test]
async fn who_is_dead_comes_again_where_it_was() {
    let mut controller = Controller::start("controller-0", &Authority::new()).await;
    let upstream = Upstream::start("one").await;
    for _ in 0..20 {
        controller.kill().await;
        upstream.set(Mode::Refuse).await;
        for address in [controller.address(), upstream.address().tcp()] {
            assert!(refuses(address).await && !is_free(address), "{address}");
        }
        controller.restart().await;
        upstream.set(Mode::Ok).await;
        for address in [controller.address(), upstream.address().tcp()] {
            assert!(!refuses(address).await, "{address}");
        }
    }
}
