//! What was in force, on disk, for the boot at which no controller answers: a header, the very `put` lines of the wire, and
//! an end that tells a whole file from a torn one. Private keys are never in it. Writing it safely (a temporary file, fsync,
//! rename) is its owner's part.
//!
//! A version is a promise about the content its writer had. A release that reads the file may know more fields than the one
//! that wrote it, and the controller must then send the resource again: so the version counts only if this release, encoding
//! what it read, computes the same.

use config::{Millis, Resource, ResourceKey, Revision};
use serde::{Deserialize, Serialize};

use crate::frames::{Put, ServerFrame, put_line};
use crate::limits;
use crate::lines::LineDecoder;
use crate::text::tidy;

/// The form of the file. Added fields do not change it; another meaning does.
const FORMAT: u32 = 1;

/// A configuration that was in force once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LastGood {
    /// When it was current last, milliseconds since 1970.
    pub current_at: Millis,
    /// Its resources, without private ones.
    pub resources: Vec<Remembered>,
    /// What this release cannot read, while the rest can be used.
    pub skipped: Vec<Skipped>,
}

/// One resource of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Its content, as this release understands it.
    pub resource: Resource,
    /// Its version, if this release understands all of it.
    pub version: Option<Revision>,
}

/// One resource that is in the file and cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its name.
    pub key: String,
    /// Why.
    pub problem: String,
}

/// Why a file is not used. The data plane then starts as if there were none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LastGoodError {
    /// Something else altogether.
    #[error("not a last good configuration of Forebay: line 1 is not its header; remove the file")]
    NotOurs,
    /// Another release's.
    #[error("written in format {found}, this release reads format {FORMAT}; it is replaced once a controller answers")]
    Format {
        /// Its format.
        found: u32,
    },
    /// Not written to its end.
    #[error(
        "line {line}: the file ends too early: the disk was full, or it was copied while being written; remove the file"
    )]
    Torn {
        /// The last line there is.
        line: usize,
    },
    /// The content is not what was written.
    #[error("the content does not match its checksum: the file was edited or damaged; remove the file")]
    Damaged,
    /// A line that no release wrote.
    #[error("line {line}: {problem}; remove the file")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
}

/// First and last line. One type, as each is an object with one member, like the frames between them.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mark {
    ForebayLastGood { format: u32, current_at_ms: u64 },
    End { resources: usize, content: Revision },
}

impl LastGood {
    /// The file of `resources`, as [`Client::resources`](crate::Client::resources) gives them; private ones are left out.
    pub fn encode<'a>(
        resources: impl IntoIterator<Item = (&'a ResourceKey, &'a Resource, Option<Revision>)>,
        current_at: Millis,
    ) -> Vec<u8> {
        let mut file = mark(&Mark::ForebayLastGood { format: FORMAT, current_at_ms: current_at.0 });
        let mut written = 0;
        for (key, resource, version) in resources {
            if !key.is_private() {
                let value = resource.to_json();
                file.extend_from_slice(&put_line(key, version.unwrap_or_else(|| Revision::of(&value)), &value));
                written += 1;
            }
        }
        let content = Revision::of(&file);
        file.extend(mark(&Mark::End { resources: written, content }));
        file
    }

    /// Reads such a file.
    pub fn decode(file: &[u8]) -> Result<Self, LastGoodError> {
        let mut lines = LineDecoder::new(limits::SERVER_LINE);
        let mut rest = file;
        let mut last = Self::default();
        for number in 1.. {
            let start = file.len() - rest.len();
            let line = lines.next(&mut rest).map_err(|problem| LastGoodError::line(number, &problem))?;
            let Some(line) = line else {
                return Err(if number == 1 { LastGoodError::NotOurs } else { LastGoodError::Torn { line: number } });
            };
            match (number, serde_json::from_slice::<Mark>(&line)) {
                (1, Ok(Mark::ForebayLastGood { format: FORMAT, current_at_ms })) => {
                    last.current_at = Millis(current_at_ms);
                }
                (1, Ok(Mark::ForebayLastGood { format: found, .. })) => return Err(LastGoodError::Format { found }),
                (1, _) => return Err(LastGoodError::NotOurs),
                (_, Ok(Mark::End { resources, content })) => {
                    let whole = resources == last.resources.len() + last.skipped.len() && rest.is_empty();
                    let same = content == Revision::of(&file[..start]);
                    return if whole && same { Ok(last) } else { Err(LastGoodError::Damaged) };
                }
                (_, _) => last.take(number, &line)?,
            }
            if last.resources.len() + last.skipped.len() > limits::RESOURCES {
                return Err(LastGoodError::line(number, &"there are more resources than a data plane holds"));
            }
        }
        Err(LastGoodError::NotOurs)
    }

    fn take(&mut self, number: usize, line: &[u8]) -> Result<(), LastGoodError> {
        match ServerFrame::from_line(line) {
            Ok(ServerFrame::Put(put)) => match Remembered::read(&put) {
                Ok(remembered) => self.resources.push(remembered),
                Err(problem) => self.skipped.push(Skipped { key: tidy(&put.key, limits::KEY), problem }),
            },
            Ok(
                ServerFrame::Welcome(_)
                | ServerFrame::Del(_)
                | ServerFrame::Commit(_)
                | ServerFrame::Synced(_)
                | ServerFrame::Beat(_)
                | ServerFrame::Bye(_)
                | ServerFrame::Unknown,
            ) => return Err(LastGoodError::line(number, &"only resources are kept here")),
            Err(problem) => return Err(LastGoodError::line(number, &problem)),
        }
        Ok(())
    }
}

impl Remembered {
    fn read(put: &Put<'_>) -> Result<Self, String> {
        let key: ResourceKey = put.key.parse().map_err(|error| tidy(&format!("{error}"), limits::PROBLEM))?;
        if key.is_private() {
            return Err("private keys do not belong on a disk; this one is not used".to_owned());
        }
        let resource = Resource::from_json(&key, put.value.get());
        let resource = resource.map_err(|error| tidy(&error.to_string(), limits::PROBLEM))?;
        let version = (resource.revision() == put.version).then_some(put.version);
        Ok(Self { resource, version })
    }
}

impl LastGoodError {
    fn line(line: usize, problem: &impl ToString) -> Self {
        Self::Line { line, problem: problem.to_string() }
    }
}

fn mark(mark: &Mark) -> Vec<u8> {
    let mut line = serde_json::to_vec(mark).expect("two structs of numbers and a text");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use config::{Certificate, CertificateId, Config, Group, GroupId, HostPattern, HostRoutes, PrivateKey, Routes};

    use super::*;

    fn sample() -> Config {
        let routes = HostRoutes { host: HostPattern::Any, paths: Vec::new(), default: None };
        let certificate = Certificate { chain: "chain".into(), key: PrivateKey::new("SECRET"), hosts: vec![] };
        Config {
            groups: [(GroupId::new("shop", "app"), Arc::new(Group::with_defaults(Vec::new())))].into(),
            routes: Arc::new(Routes { hosts: vec![routes.into()] }),
            certificates: [(CertificateId::new("shop", "tls"), Arc::new(certificate))].into(),
        }
    }

    fn file(config: &Config) -> Vec<u8> {
        let resources: Vec<_> = config.resources().map(|one| (one.key(), one)).collect();
        let with_versions = resources.iter().map(|(key, one)| (key, one, Some(one.revision())));
        LastGood::encode(with_versions, Millis(1_795_341_600_123))
    }

    /// `file` with an edit, and the checksum a writer would have given it.
    fn rewritten(file: &[u8], from: &str, to: &str) -> Vec<u8> {
        let text = String::from_utf8(file.to_vec()).unwrap().replacen(from, to, 1);
        let end = text.rfind("{\"end\"").unwrap();
        let mut file = text.as_bytes()[..end].to_vec();
        let resources = text.lines().count() - 2;
        let content = Revision::of(&file);
        file.extend(mark(&Mark::End { resources, content }));
        file
    }

    #[test]
    fn everything_but_private_keys_comes_back() {
        let config = sample();
        let bytes = file(&config);
        assert!(!String::from_utf8_lossy(&bytes).contains("SECRET"));
        let last = LastGood::decode(&bytes).unwrap();
        assert_eq!((last.current_at, &last.skipped[..]), (Millis(1_795_341_600_123), &[][..]));
        assert!(last.resources.iter().all(|one| one.version == Some(one.resource.revision())));
        let back: Config = last.resources.into_iter().map(|one| one.resource).collect();
        assert_eq!(back, Config { certificates: [].into(), ..config });
    }

    #[test]
    fn no_damage_goes_unnoticed() {
        let whole = file(&sample());
        for cut in 0..whole.len() {
            assert!(LastGood::decode(&whole[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x01;
            assert!(LastGood::decode(&damaged).is_err(), "byte {at}");
        }
        assert_eq!(LastGood::decode(b"\0\0\0"), Err(LastGoodError::NotOurs));
        assert_eq!(LastGood::decode(b"kind: Pod\n"), Err(LastGoodError::NotOurs));
        let longer = [&whole[..], b"x"].concat();
        assert_eq!(LastGood::decode(&longer), Err(LastGoodError::Damaged));
    }

    #[test]
    fn another_format_says_so() {
        let newer = rewritten(&file(&sample()), "\"format\":1", "\"format\":2");
        assert_eq!(LastGood::decode(&newer), Err(LastGoodError::Format { found: 2 }));
    }

    #[test]
    fn one_unreadable_resource_is_left_out_alone() {
        let newer = rewritten(&file(&sample()), "\"RoundRobin\"", "\"Quantum\"");
        let last = LastGood::decode(&newer).unwrap();
        assert_eq!(last.resources.len(), 1);
        assert_eq!(last.skipped[0].key, "group/shop/app");
        assert!(last.skipped[0].problem.contains("Quantum"), "{:?}", last.skipped);
    }

    #[test]
    fn a_version_counts_only_where_all_of_it_is_understood() {
        let newer = rewritten(&file(&sample()), "\"servers\":[]", "\"servers\":[],\"novel\":true");
        // The version stands for a content with the field; ours would be another.
        let newer = rewritten(&newer, &version_of_app().to_string(), &Revision::of(b"with the field").to_string());
        let last = LastGood::decode(&newer).unwrap();
        let versions: Vec<_> = last.resources.iter().map(|one| one.version.is_some()).collect();
        assert_eq!(versions, [false, true]);
    }

    fn version_of_app() -> Revision {
        Resource::Group(GroupId::new("shop", "app"), Arc::new(Group::with_defaults(Vec::new()))).revision()
    }

    #[test]
    fn a_smuggled_key_is_not_used() {
        let key = ResourceKey::Certificate(CertificateId::new("shop", "tls"));
        let value = br#"{"chain":"c","key":"k"}"#;
        let line = put_line(&key, Revision::of(value), value);
        let text = String::from_utf8(line.to_vec()).unwrap();
        let smuggled = rewritten(&file(&sample()), "{\"put\"", &format!("{text}{{\"put\""));
        let last = LastGood::decode(&smuggled).unwrap();
        assert_eq!((last.resources.len(), last.skipped[0].key.as_str()), (2, "cert/shop/tls"));
    }
}
