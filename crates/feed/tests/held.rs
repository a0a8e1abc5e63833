//! What nobody knows is held: a controller that started after an object was refused takes nothing from data planes that have
//! the version before.

mod support;

use std::collections::BTreeMap;

use config::Revision;
use feed::frames::ServerFrame;
use feed::{Change, Published, Subscriber};
use support::{NOW, group, hello, subscriber};

/// Everything that is said until nothing is left, as `put KEY`, `del KEY`.
fn said(subscriber: &mut Subscriber, published: &Published) -> Vec<String> {
    let lines = std::iter::from_fn(|| subscriber.poll(published, NOW));
    let said = lines.filter_map(|line| match ServerFrame::from_line(line.strip_suffix(b"\n").unwrap()).unwrap() {
        ServerFrame::Put(put) => Some(format!("put {}", put.key)),
        ServerFrame::Del(del) => Some(format!("del {}", del.key)),
        _ => None,
    });
    said.collect()
}

fn greeted(have: &[&str]) -> Subscriber {
    let mut subscriber = subscriber();
    let have = have.iter().map(|name| ((*name).to_owned(), Revision::of(b"before")));
    let hello = hello(have.collect::<BTreeMap<_, _>>());
    subscriber.receive(&hello, NOW).unwrap();
    subscriber
}

#[test]
fn who_has_it_keeps_it_and_who_has_not_gets_nothing() {
    let mut published = Published::default();
    published.publish([Change::Put(group("a", 1)), Change::Hold(group("b", 1).key())]);
    let mut old = greeted(&["group/shop/b", "group/shop/c"]);
    assert_eq!(said(&mut old, &published), ["put group/shop/a", "del group/shop/c"]);
    let mut new = greeted(&[]);
    assert_eq!(said(&mut new, &published), ["put group/shop/a"]);

    // It is mended.
    published.publish([Change::Put(group("b", 2))]);
    assert_eq!(said(&mut old, &published), ["put group/shop/b"]);
    assert_eq!(said(&mut new, &published), ["put group/shop/b"]);
}

#[test]
fn deleted_is_deleted() {
    let mut published = Published::default();
    published.publish([Change::Hold(group("b", 1).key())]);
    let mut old = greeted(&["group/shop/b"]);
    assert!(said(&mut old, &published).is_empty());
    assert_eq!(published.publish([Change::Delete(group("b", 1).key())]).changed, 1);
    assert_eq!(said(&mut old, &published), ["del group/shop/b"]);
    assert_eq!(published.publish([Change::Delete(group("b", 1).key())]).changed, 0);
}

#[test]
fn a_deletion_under_way_is_thought_better_of() {
    let mut published = Published::default();
    published.publish([Change::Put(group("a", 1)), Change::Put(group("b", 1))]);
    let mut subscriber = greeted(&[]);
    assert_eq!(said(&mut subscriber, &published).len(), 2);
    published.publish([Change::Put(group("a", 2)), Change::Delete(group("b", 1).key())]);
    let line = subscriber.poll(&published, NOW).unwrap();
    assert!(line.starts_with(br#"{"put":{"key":"group/shop/a""#));
    published.publish([Change::Hold(group("b", 1).key())]);
    assert!(said(&mut subscriber, &published).is_empty());
}
