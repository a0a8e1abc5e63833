//! A data plane that means harm: what it can make a controller keep is bounded, what it may not see it does not see, and it
//! is told why it has to go.

mod support;

use std::sync::Arc;

use config::{Certificate, CertificateId, GroupId, Millis, PrivateKey, Resource, Revision};
use feed::frames::{Ack, ClientFrame, Nack, ServerFrame};
use feed::{Forbidden, Grant, Namespaces, PrivateKeys, Published, Scope, Standing, Subscriber, Violation, limits};
use support::{NOW, anyone, client, converse, group, hello, options, published, route, subscriber};

/// What the last line before the end says.
fn farewell(subscriber: &mut Subscriber, published: &Published) -> String {
    let line = subscriber.poll(published, NOW).expect("a bye");
    let ServerFrame::Bye(bye) = ServerFrame::from_line(&line).unwrap() else { panic!("not a bye") };
    assert!(subscriber.is_gone() && subscriber.poll(published, NOW).is_none() && subscriber.deadline().is_none());
    assert_eq!(subscriber.receive(b"more\n", NOW), Ok(vec![]), "nobody listens any more");
    bye.reason
}

fn introduced(published: &Published) -> Subscriber {
    let mut subscriber = subscriber();
    subscriber.receive(&hello([]), NOW).unwrap();
    while subscriber.poll(published, NOW).is_some() {}
    subscriber
}

#[test]
fn an_endless_first_line_is_dropped_at_its_bound() {
    let published = published([]);
    let mut subscriber = subscriber();
    let piece = vec![b' '; 1 << 20];
    let mut result = Ok(vec![]);
    for _ in 0..64 {
        result = subscriber.receive(&piece, NOW);
        assert!(subscriber.pending() <= limits::HELLO_LINE);
        if result.is_err() {
            break;
        }
    }
    assert_eq!(result, Err(Violation::LineTooLong { max: limits::HELLO_LINE }));
    assert_eq!(subscriber.pending(), 0);
    assert_eq!(farewell(&mut subscriber, &published), "a line is longer than 8388608 bytes");
}

#[test]
fn after_hello_lines_are_short() {
    let published = published([]);
    let mut subscriber = introduced(&published);
    let result = subscriber.receive(&vec![b'x'; limits::CLIENT_LINE + 1], NOW);
    assert_eq!(result, Err(Violation::LineTooLong { max: limits::CLIENT_LINE }));
    // The longest answer an honest one gives is well below it.
    let key = format!("group/{}/{}", "\u{1}".repeat(250), "\u{1}".repeat(250));
    let nack = Nack { key, version: Revision::of(b""), problem: "\"".repeat(limits::PROBLEM) };
    assert!(ClientFrame::Nack(nack).to_line().len() < limits::CLIENT_LINE);
}

#[test]
fn too_many_and_too_long_names_are_not_read() {
    let names = |count: usize| (0..count).map(|n| (format!("route/{n}"), Revision::of(b"")));
    let result = subscriber().receive(&hello(names(limits::RESOURCES)), NOW);
    assert_eq!(result.unwrap().len(), 1);
    let result = subscriber().receive(&hello(names(limits::RESOURCES + 1)), NOW);
    assert!(matches!(result, Err(Violation::Malformed { .. })));
    let long = format!("route/{}", "x".repeat(limits::KEY));
    let result = subscriber().receive(&hello([(long, Revision::of(b""))]), NOW);
    assert!(matches!(result, Err(Violation::Malformed { .. })));
}

#[test]
fn a_sidecar_says_less() {
    let sidecar = || {
        let own = Grant { namespaces: Namespaces::Only(["shop".into()].into()), ..anyone() };
        Subscriber::new(options(), own, NOW)
    };
    let claims = |count: usize| {
        let names = (0..count).map(|n| (format!("group/shop/{n}"), Revision::of(b"")));
        String::from_utf8(hello(names)).unwrap().replace("\"all\"", "{\"namespaces\":[\"shop\"]}").into_bytes()
    };
    let published = published([]);
    let mut honest = sidecar();
    assert!(honest.has_claims());
    honest.receive(&claims(limits::SIDECAR_RESOURCES), NOW).unwrap();
    assert!(honest.has_claims() && honest.poll(&published, NOW).is_some() && honest.has_claims());
    while honest.poll(&published, NOW).is_some() {}
    assert!(!honest.has_claims() && honest.entries() == 0, "what there is not was taken from it");

    let many = sidecar().receive(&claims(limits::SIDECAR_RESOURCES + 1), NOW);
    assert_eq!(many, Err(Violation::TooManyResources { max: limits::SIDECAR_RESOURCES }));
    let mut endless = sidecar();
    let long = endless.receive(&vec![b' '; limits::SIDECAR_HELLO_LINE + 1], NOW);
    assert_eq!(long, Err(Violation::LineTooLong { max: limits::SIDECAR_HELLO_LINE }));
    let mut late = sidecar();
    late.receive(&vec![b' '; limits::SIDECAR_HELLO_LINE], NOW).unwrap();
    late.poll(&published, Millis(NOW.0 + 10_000)).unwrap();
    assert_eq!((late.pending(), late.has_claims()), (0, false));
}

#[test]
fn what_it_claims_to_have_is_taken_from_it_and_forgotten() {
    let published = published([group("app", 1)]);
    let mut subscriber = subscriber();
    let claims = (0..5000).map(|n| (format!("{}/ns/n{n}", ["group", "listener", "cert"][n % 3]), Revision::of(b"")));
    subscriber.receive(&hello(claims), NOW).unwrap();
    let lines: Vec<_> = std::iter::from_fn(|| subscriber.poll(&published, NOW)).collect();
    assert_eq!(lines.iter().filter(|line| line.starts_with(b"{\"del\"")).count(), 5000);
    assert_eq!(subscriber.entries(), 1);
}

#[test]
fn who_says_nothing_has_to_go() {
    let published = published([]);
    let mut subscriber = subscriber();
    subscriber.receive(b"{\"hello\":", NOW).unwrap();
    assert_eq!(subscriber.poll(&published, Millis(NOW.0 + 9_999)), None);
    assert_eq!(subscriber.deadline(), Some(Millis(NOW.0 + 10_000)));
    let line = subscriber.poll(&published, Millis(NOW.0 + 10_000)).unwrap();
    assert!(String::from_utf8_lossy(&line).contains("no hello within 10000 ms"));
    assert!(subscriber.is_gone());
}

#[test]
fn frames_out_of_place_end_the_stream() {
    let published = published([]);
    let ack = |commit| ClientFrame::Ack(Ack { commit }).to_line();
    let first = subscriber().receive(&ack(0), NOW);
    assert!(matches!(first, Err(Violation::OutOfPlace { .. })), "{first:?}");
    let second = introduced(&published).receive(&hello([]), NOW);
    assert!(matches!(second, Err(Violation::OutOfPlace { frame: "hello", .. })), "{second:?}");
    let future = introduced(&published).receive(&ack(2), NOW);
    assert_eq!(future, Err(Violation::AckOfNothing { acked: 2, sent: 1 }));
    let garbage = introduced(&published).receive(b"GET / HTTP/1.1\r\n", NOW);
    assert!(matches!(garbage, Err(Violation::Malformed { .. })));
    let mut noisy = introduced(&published);
    let noise = b"{\"mood\":1}\n".repeat(limits::UNKNOWN_FRAMES as usize);
    assert_eq!(noisy.receive(&noise, NOW), Ok(vec![]));
    let one_more = noisy.receive(b"{\"mood\":1}\n", NOW);
    assert_eq!(one_more, Err(Violation::TooManyUnknown { max: limits::UNKNOWN_FRAMES }));
}

#[test]
fn a_stolen_scope_is_refused_and_shows_nothing() {
    let published = published([group("app", 1)]);
    let own = Grant { namespaces: Namespaces::Only(["own".into()].into()), ..anyone() };
    for (scope, refused) in [
        (Scope::All, Forbidden::Everything),
        (Scope::Namespaces(["own".into(), "shop".into()].into()), Forbidden::Namespace("shop".into())),
        (Scope::Groups([GroupId::new("shop", "app")].into()), Forbidden::Namespace("shop".into())),
    ] {
        let mut thief = client("proxy-1", scope);
        thief.connect(NOW);
        let mut subscriber = Subscriber::new(options(), own.clone(), NOW);
        let result = subscriber.receive(&thief.poll().unwrap(), NOW);
        assert_eq!(result, Err(Violation::Forbidden(refused.clone())));
        assert_eq!(farewell(&mut subscriber, &published), refused.to_string());
    }
    let named = Grant { instance: Some("proxy-2".into()), ..anyone() };
    let result = Subscriber::new(options(), named, NOW).receive(&hello([]), NOW);
    assert_eq!(result, Err(Violation::Forbidden(Forbidden::Instance("proxy-2".into()))));
}

#[test]
fn a_sidecar_learns_nothing_of_others_by_claiming() {
    let published = published([group("app", 1), route("a.example", "app")]);
    let own = Grant { namespaces: Namespaces::Only(["own".into()].into()), ..anyone() };
    let mut subscriber = Subscriber::new(options(), own, NOW);
    // The right version, a wrong one and a name that does not exist are answered alike.
    let right = published.resource(&group("app", 1).key()).unwrap().version();
    let line = String::from_utf8(hello([
        ("group/shop/app".into(), right),
        ("group/shop/none".into(), right),
        ("route/a.example".into(), Revision::of(b"wrong")),
    ]));
    let line = line.unwrap().replace("\"all\"", "{\"namespaces\":[\"own\"]}");
    subscriber.receive(line.as_bytes(), NOW).unwrap();
    let lines: Vec<_> = std::iter::from_fn(|| subscriber.poll(&published, NOW)).collect();
    assert_eq!(lines.iter().filter(|line| line.starts_with(b"{\"del\"")).count(), 3);
    assert_eq!(lines.iter().filter(|line| line.starts_with(b"{\"put\"")).count(), 0);
}

#[test]
fn private_keys_travel_only_where_they_may() {
    let certificate = Certificate { chain: "chain".into(), key: PrivateKey::new("SECRET"), hosts: vec![] };
    let certificate = Resource::Certificate(CertificateId::new("shop", "tls"), Arc::new(certificate));
    let published = published([certificate]);
    for (private_keys, expected) in [(PrivateKeys::Withheld, 0), (PrivateKeys::Allowed, 1)] {
        let mut proxy = client("proxy-1", Scope::All);
        proxy.connect(NOW);
        let mut subscriber = Subscriber::new(options(), Grant { private_keys, ..anyone() }, NOW);
        let (_, lines) = converse(&mut proxy, &mut subscriber, &published);
        assert_eq!(lines.iter().filter(|line| line.contains("SECRET")).count(), expected);
    }
}

#[test]
fn refusals_are_bounded_and_cannot_be_invented() {
    let published = published((0..200).map(|n| group(&format!("g{n}"), 1)));
    let mut subscriber = introduced(&published);
    let nack = |key: &str, version, problem: &str| {
        ClientFrame::Nack(Nack { key: key.into(), version, problem: problem.into() }).to_line()
    };
    for (key, version) in
        [("group/shop/none", Revision::of(b"")), ("group/shop/g1", Revision::of(b"")), ("x", Revision::of(b""))]
    {
        assert_eq!(subscriber.receive(&nack(key, version, "no"), NOW), Ok(vec![]), "{key}");
    }
    let problem = format!("\u{1b}[31m{}", "x".repeat(3000));
    for (key, encoded) in published.resources() {
        let line = nack(&key.to_string(), encoded.version(), &problem);
        assert_eq!(subscriber.receive(&line, NOW).unwrap().len(), 1);
        assert_eq!(subscriber.standing(key), Standing::Refused { version: encoded.version() });
    }
    let problems: Vec<_> =
        published.resources().filter_map(|(key, encoded)| subscriber.problem(key, encoded.version())).collect();
    assert_eq!(problems.len(), limits::PROBLEMS_KEPT);
    assert!(problems.iter().all(|problem| problem.len() <= limits::PROBLEM && !problem.contains('\u{1b}')));
    assert_eq!(subscriber.entries(), 200 + limits::PROBLEMS_KEPT);
}

#[test]
fn an_instance_cannot_forge_log_lines() {
    for name in ["", "a\\nb", "a b", "\\u001b[31m", "é", &"x".repeat(limits::NAME + 1)] {
        let line = String::from_utf8(hello([])).unwrap().replace("proxy-1", name);
        let result = subscriber().receive(line.as_bytes(), NOW);
        assert!(matches!(result, Err(Violation::OutOfPlace { frame: "hello", .. })), "{name}: {result:?}");
    }
}

#[test]
fn releases_too_far_apart_say_so() {
    let published = published([]);
    let mut subscriber = subscriber();
    let line = String::from_utf8(hello([])).unwrap().replace("[1,2]", "[7,9]");
    assert!(subscriber.receive(line.as_bytes(), NOW).is_err());
    let reason = farewell(&mut subscriber, &published);
    assert_eq!(reason, "no common protocol: the peer speaks 7 to 9, this end 1 to 2; upgrade the older of the two");
}
