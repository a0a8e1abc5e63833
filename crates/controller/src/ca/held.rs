//! What the Secret holds: `tls.crt` and `tls.key` sign, `next.crt` and `next.key` are announced, `previous.crt` are still
//! trusted. A Secret made with `kubectl create secret tls` is one of these, too.
//!
//! Proxies trust what signs, so a Secret whose `tls.*` cannot be used is refused, never replaced: whoever damaged it mends it, or
//! deletes it to have a new CA made. Nobody signs with the others, so they are said and left out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;

use super::authority::{Authority, Certificate};
use super::plan::{Outline, Step};

/// The CAs of all replicas.
#[derive(Debug)]
pub struct Held {
    /// Signs.
    pub current: Authority,
    /// Will sign.
    pub next: Option<Authority>,
    /// Signed.
    pub previous: Vec<Certificate>,
}

/// Something in the Secret that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{keys}: {problem}")]
pub struct Damage {
    keys: &'static str,
    problem: String,
}

type Data = BTreeMap<String, ByteString>;

impl Held {
    /// A CA of this moment.
    pub fn make(now: Timestamp) -> Result<Self, rcgen::Error> {
        Ok(Self { current: Authority::make(now)?, next: None, previous: Vec::new() })
    }

    /// Reads the data of the Secret, and what is wrong in it and does not matter now.
    pub fn read(data: &Data) -> Result<(Self, Vec<Damage>), Damage> {
        let mut damages = Vec::new();
        let current = authority(data, "tls.crt", "tls.key");
        let current = current.map_err(|problem| Damage { keys: "tls.crt and tls.key", problem })?;
        let next = if data.contains_key("next.crt") || data.contains_key("next.key") {
            let next = authority(data, "next.crt", "next.key");
            next.map_err(|problem| damages.push(Damage { keys: "next.crt and next.key", problem })).ok()
        } else {
            None
        };
        let mut previous = Vec::new();
        if data.contains_key("previous.crt") {
            let texts = text(data, "previous.crt").map_or_else(|problem| vec![Err(problem)], certificates);
            for one in texts {
                match one {
                    Ok(certificate) => previous.push(certificate),
                    Err(problem) => damages.push(Damage { keys: "previous.crt", problem }),
                }
            }
        }
        Ok((Self { current, next, previous }, damages))
    }

    /// Puts it into the data of the Secret; what else is there stays.
    pub fn write(&self, data: &mut Data) {
        let mut set = |key: &str, value: Option<String>| match value {
            Some(value) => drop(data.insert(key.to_owned(), ByteString(value.into_bytes()))),
            None => drop(data.remove(key)),
        };
        set("tls.crt", Some(self.current.certificate.pem.clone()));
        set("tls.key", Some(self.current.key_pem()));
        set("next.crt", self.next.as_ref().map(|next| next.certificate.pem.clone()));
        set("next.key", self.next.as_ref().map(Authority::key_pem));
        let previous: String = self.previous.iter().map(|one| one.pem.as_str()).collect();
        set("previous.crt", (!previous.is_empty()).then_some(previous));
    }

    /// What the plan looks at.
    pub fn outline(&self) -> Outline {
        let next = self.next.as_ref().map(|next| next.certificate.span);
        Outline { current: self.current.certificate.span, next }
    }

    /// Takes a step of the plan.
    pub fn take(self, step: Step, now: Timestamp) -> Result<Self, rcgen::Error> {
        let Self { current, next, mut previous } = self;
        previous.retain(|one| !one.span.is_over(now));
        Ok(match (step, next) {
            (Step::Rest, next) => Self { current, next, previous },
            (Step::Make, _) => Self { previous, ..Self::make(now)? },
            (Step::Promote, Some(next)) => {
                if !current.certificate.span.is_over(now) {
                    previous.push(current.certificate);
                }
                Self { current: next, next: None, previous }
            }
            (Step::Announce | Step::Promote, _) => Self { current, next: Some(Authority::make(now)?), previous },
        })
    }

    /// Everything a proxy is to trust, PEM: what signs first.
    pub fn bundle(&self, now: Timestamp) -> String {
        let next = self.next.iter().map(|next| &next.certificate);
        let others = next.chain(&self.previous).filter(|one| !one.span.is_over(now));
        std::iter::once(&self.current.certificate).chain(others).map(|one| one.pem.as_str()).collect()
    }
}

fn authority(data: &Data, certificate: &str, key: &str) -> Result<Authority, String> {
    Authority::read(text(data, certificate)?, text(data, key)?)
}

fn text<'a>(data: &'a Data, key: &str) -> Result<&'a str, String> {
    let value = data.get(key).ok_or_else(|| format!("{key} is missing"))?;
    std::str::from_utf8(&value.0).map_err(|_| format!("{key} is no text"))
}

/// A text of several PEM certificates, one by one.
fn certificates(text: &str) -> Vec<Result<Certificate, String>> {
    let pieces = text.split_inclusive("-----END CERTIFICATE-----").filter(|piece| !piece.trim().is_empty());
    pieces.map(Certificate::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn data(held: &Held) -> Data {
        let mut data = Data::from([("other".to_owned(), ByteString(b"kept".to_vec()))]);
        held.write(&mut data);
        data
    }

    #[test]
    fn what_is_written_is_read() {
        let now = at("2030-01-01T00:00:00Z");
        let held = Held::make(now).unwrap();
        let held = held.take(Step::Announce, now).unwrap().take(Step::Promote, now).unwrap();
        let held = held.take(Step::Announce, now).unwrap();
        let data = data(&held);
        assert_eq!(data["other"].0, b"kept");
        let (read, damages) = Held::read(&data).unwrap();
        assert_eq!(damages, []);
        assert_eq!(read.outline(), held.outline());
        assert_eq!(read.bundle(now), held.bundle(now));
        assert_eq!(held.bundle(now).matches("BEGIN").count(), 3);
        // The old ones are no longer trusted when they are over, and then forgotten.
        let late = at("2031-06-01T00:00:00Z");
        assert_eq!(held.bundle(late), held.current.certificate.pem);
        assert_eq!(held.take(Step::Rest, late).unwrap().previous, []);
    }

    #[test]
    fn certificates_need_no_newlines_between_them() {
        let now = at("2030-01-01T00:00:00Z");
        let pem = || Authority::make(now).unwrap().certificate.pem;
        let (one, other) = (pem(), pem());
        for text in [format!("{}{other}", one.trim_end()), format!("{one}\n{other}\n").replace('\n', "\r\n")] {
            let read: Result<Vec<_>, _> = certificates(&text).into_iter().collect();
            let read = read.unwrap();
            assert_eq!(read.len(), 2, "{text}");
            assert!(read.iter().all(|one| one.pem.ends_with("-----\n")));
        }
    }

    #[test]
    fn damage_is_said_and_what_signs_is_never_replaced() {
        let now = at("2030-01-01T00:00:00Z");
        let held = Held::make(now).unwrap().take(Step::Announce, now).unwrap().take(Step::Promote, now).unwrap();
        let good = data(&held.take(Step::Announce, now).unwrap());
        let other = data(&Held::make(now).unwrap());
        let with = |key: &str, value: &ByteString| {
            let mut data = good.clone();
            data.insert(key.to_owned(), value.clone());
            Held::read(&data)
        };
        let torn = ByteString(b"-----BEGIN CERTIFICATE-----\nMIIB".to_vec());
        let binary = ByteString(vec![0xff, 0xfe]);
        for (key, value, said) in [
            ("tls.crt", &torn, "no PEM certificate"),
            ("tls.crt", &binary, "tls.crt is no text"),
            ("tls.crt", &other["tls.crt"], "the private key is not the certificate's"),
            ("tls.key", &other["tls.key"], "the private key is not the certificate's"),
            ("tls.key", &torn, "no PEM private key"),
        ] {
            let damage = with(key, value).unwrap_err().to_string();
            assert!(damage.contains(said) && damage.starts_with("tls.crt and tls.key: "), "{damage}");
        }
        assert!(Held::read(&Data::new()).unwrap_err().to_string().contains("tls.crt is missing"));
        for (key, value) in [("next.crt", &torn), ("next.key", &other["tls.key"]), ("previous.crt", &torn)] {
            let (read, damages) = with(key, value).unwrap();
            assert_eq!(damages.len(), 1, "{damages:?}");
            assert_eq!(read.next.is_none(), key.starts_with("next"));
            assert_eq!(read.previous.is_empty(), key.starts_with("previous"));
        }
    }
}
