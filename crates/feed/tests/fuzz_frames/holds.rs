//! What holds whatever the bytes are. These tests and the targets of `fuzz/` share it.

use feed::frames::{ClientFrame, ServerFrame};
use feed::{Change, Event, LastGood, Scope, Subscriber, limits};

use crate::support::{NOW, anyone, client, group, options, published, route};

/// A controller hears these bytes.
pub fn at_controller(bytes: &[u8], cut: usize) {
    let mut published = published([group("app", 1), route("a.example", "app")]);
    let mut subscriber = Subscriber::new(options(), anyone(), NOW);
    let (first, second) = bytes.split_at(cut % (bytes.len() + 1));
    for piece in [first, second] {
        let _ = subscriber.receive(piece, NOW);
        published.publish([Change::Put(group("app", piece.len() % 7))]);
        let names = bytes.len() / 20 + 3;
        assert!(subscriber.entries() <= 4 * names && subscriber.pending() <= limits::HELLO_LINE);
        for _ in 0..4 * names + 100 {
            let Some(line) = subscriber.poll(&published, NOW) else { break };
            assert!(!matches!(ServerFrame::from_line(&line), Err(_) | Ok(ServerFrame::Unknown)));
        }
        assert_eq!(subscriber.poll(&published, NOW), None, "it does not end");
    }
}

/// A data plane hears these bytes.
pub fn at_data_plane(bytes: &[u8], cut: usize) {
    let mut proxy = client("proxy-1", Scope::All);
    proxy.connect(NOW);
    let (first, second) = bytes.split_at(cut % (bytes.len() + 1));
    for piece in [first, second] {
        for event in proxy.receive(piece, NOW) {
            match event {
                Event::Commit(update) => proxy.applied(update.receipt),
                Event::Violated(violation) => assert!(violation.to_string().len() < 1000 && proxy.deadline().is_none()),
                Event::Welcomed { .. } | Event::Synced | Event::Leads(_) | Event::Bye { .. } => {}
            }
        }
        assert!(proxy.entries() <= 2 * (bytes.len() / 20 + 1));
        while let Some(line) = proxy.poll() {
            assert!(!matches!(ClientFrame::from_line(&line), Err(_) | Ok(ClientFrame::Unknown)));
            assert!(line.len() <= limits::CLIENT_LINE || line.starts_with(b"{\"hello\""));
        }
    }
    // Whatever it took can be written down and read again.
    let file = LastGood::encode(proxy.resources(), NOW);
    let last = LastGood::decode(&file).unwrap();
    assert!(last.skipped.is_empty());
    let mut again = client("proxy-1", Scope::All);
    again.remember(last.resources);
    let config = proxy.config();
    assert_eq!(again.config(), config::Config { certificates: [].into(), ..config });
}

/// A data plane finds these bytes on its disk.
pub fn as_last_good(bytes: &[u8]) {
    let Ok(last) = LastGood::decode(bytes) else { return };
    let keys: Vec<_> = last.resources.iter().map(|remembered| remembered.resource.key()).collect();
    let resources = keys.iter().zip(&last.resources);
    let file = LastGood::encode(resources.map(|(key, found)| (key, &found.resource, found.version)), last.current_at);
    let again = LastGood::decode(&file).unwrap();
    assert_eq!((again.current_at, again.skipped.len()), (last.current_at, 0));
    assert_eq!(again.resources.len(), last.resources.len());
    for (again, last) in again.resources.iter().zip(&last.resources) {
        assert_eq!(again.resource, last.resource);
        assert!(again.version.is_some() && last.version.is_none_or(|version| again.version == Some(version)));
    }
}
