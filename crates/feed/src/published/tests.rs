use config::{Group, GroupId, Server};

use super::*;
use crate::versions::Versions;

fn group(name: &str, servers: usize) -> Resource {
    let server = |n| Server::new("a", format!("10.0.0.1:{}", n + 1).parse().unwrap());
    let group = Group::with_defaults((0..servers).map(server).collect());
    Resource::Group(GroupId::new("shop", name), Arc::new(group))
}

fn since(published: &Published, seen: u64) -> Option<Vec<String>> {
    match published.changes_since(Some(seen)) {
        Changes::Keys(keys) => Some(keys.iter().map(ToString::to_string).collect()),
        Changes::NotReady | Changes::Everything => None,
    }
}

#[test]
fn equal_content_is_no_change() {
    let mut published = Published::default();
    assert!(matches!(published.changes_since(None), Changes::NotReady));
    assert_eq!(published.publish([Change::Put(group("a", 1)), Change::Put(group("b", 1))]).changed, 2);
    assert_eq!(published.publish([Change::Put(group("a", 1))]).changed, 0);
    assert_eq!(published.sequence(), 1);
    let changes =
        [Change::Put(group("a", 2)), Change::Delete(group("b", 1).key()), Change::Delete(group("c", 1).key())];
    assert_eq!(published.publish(changes).changed, 2);
    assert_eq!(since(&published, 1).unwrap(), ["group/shop/a", "group/shop/b"]);
    assert_eq!(since(&published, 2).unwrap(), [""; 0]);
}

#[test]
fn an_empty_cluster_is_known_too() {
    let mut published = Published::default();
    published.publish([]);
    assert!(matches!(published.changes_since(None), Changes::Everything));
    assert_eq!(since(&published, 1).unwrap(), [""; 0]);
}

#[test]
fn the_log_is_bounded_and_says_when_it_forgot() {
    let mut published = Published::default();
    for round in 0..LOG_LEAST * 2 {
        published.publish([Change::Put(group("a", round % 7)), Change::Put(group("b", round % 5))]);
    }
    assert!(published.logged() <= LOG_LEAST);
    assert!(matches!(published.changes_since(Some(1)), Changes::Everything));
    assert_eq!(since(&published, published.sequence() - 1).unwrap().len(), 2);
}

#[test]
fn the_line_is_the_frame() {
    let mut published = Published::default();
    published.publish([Change::Put(group("a", 2))]);
    let encoded = published.resource(&group("a", 2).key()).unwrap();
    let line = encoded.line(Versions::OURS.newest()).strip_suffix(b"\n").unwrap();
    let ServerFrame::Put(put) = ServerFrame::from_line(line).unwrap() else { panic!("not a put") };
    assert_eq!((put.key.as_str(), put.version), ("group/shop/a", encoded.version()));
    assert_eq!(Resource::from_json(&put.key.parse().unwrap(), put.value.get()).unwrap(), group("a", 2));
}

#[test]
fn who_speaks_the_first_protocol_is_told_what_is_usual_too() {
    let mut published = Published::default();
    let route =
        Resource::Route(Arc::new(config::HostRoutes { host: config::HostPattern::Any, paths: vec![], default: None }));
    published.publish([Change::Put(group("a", 2)), Change::Put(route.clone())]);
    let encoded = published.resource(&group("a", 2).key()).unwrap();
    let (whole, brief) = (encoded.line(1), encoded.line(2));
    assert_eq!((encoded.longest, whole.as_ptr()), (whole.len() - 1, encoded.line(1).as_ptr()));
    assert_eq!(*whole, put_line(&group("a", 2).key(), encoded.version(), &group("a", 2).to_json()));
    assert_eq!(*brief, put_line(&group("a", 2).key(), encoded.version(), &group("a", 2).to_brief_json().unwrap()));
    assert!(brief.len() * 3 < whole.len());
    let encoded = published.resource(&route.key()).unwrap();
    assert_eq!(encoded.line(1).as_ptr(), encoded.line(2).as_ptr());
}

#[test]
fn what_nobody_would_read_is_refused_and_the_last_stays() {
    let mut published = Published::new(2000);
    published.publish([Change::Put(group("a", 1))]);
    let publication = published.publish([Change::Put(group("a", 100)), Change::Put(group("b", 1))]);
    assert_eq!(publication.changed, 1);
    assert!(matches!(&publication.refused[..], [Unpublishable::TooLarge { max: 2000, .. }]));
    assert_eq!(*published.resource(&group("a", 1).key()).unwrap().resource(), group("a", 1));
}

#[test]
fn replacing_says_what_is_gone() {
    let mut published = Published::default();
    published.replace(&[group("a", 1), group("b", 1)].into_iter().collect());
    assert_eq!(published.replace(&[group("b", 1), group("c", 1)].into_iter().collect()).changed, 2);
    let keys: Vec<_> = published.resources().map(|(key, _)| key.to_string()).collect();
    assert_eq!(keys, ["group/shop/b", "group/shop/c"]);
}

#[test]
fn whether_it_is_a_change_is_decided_when_it_is_put_in_force() {
    let mut published = Published::default();
    published.publish([Change::Put(group("a", 1))]);
    let prepared = published.prepare([Change::Put(group("a", 2)), Change::Put(group("a", 1))]);
    assert_eq!(published.put_in_force(prepared).changed, 2);
    assert_eq!(*published.resource(&group("a", 1).key()).unwrap().resource(), group("a", 1));
    let prepared = published.prepare([Change::Put(group("a", 2))]);
    published.publish([Change::Put(group("a", 2))]);
    assert_eq!(published.put_in_force(prepared).changed, 0);
}
