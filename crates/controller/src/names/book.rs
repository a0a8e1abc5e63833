//! What was asked and answered, and what to ask next: a state machine without IO. Time is a parameter.
//!
//! The rules are those of nginx's `server NAME resolve` (`ngx_http_upstream_zone_resolve_handler`): an answer is asked for
//! again when its records expire; that a name does not exist, or has no address, empties it; any other failure keeps what is
//! known. A name's two kinds of records are two questions, so that a server which cannot answer one spoils not the other. But
//! that a name has no address only both can say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use config::Millis;
use translate::{Known, Names};

/// The least time between two questions, whatever the records say.
const LEAST: Millis = Millis::from_secs(1);
/// How long "there is none" holds (nginx: 10 s without `valid`).
const ABSENT: Millis = Millis::from_secs(10);
/// How soon a question that failed is asked again; one that never was answered after 1 s, 2 s, 4 s and then this.
const FAILED: Millis = Millis::from_secs(5);
/// How long a name is waited for by who is the first to use it.
pub const PATIENCE: Millis = Millis::from_secs(5);
/// An answer that is not here by then will not come; longer than [`super::TIMEOUT`].
const LOST: Millis = Millis::from_secs(60);

/// One kind of record of one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// The name, fully qualified.
    pub name: Arc<str>,
    /// Which record.
    pub family: Family,
}

/// The records that hold addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// A
    Ipv4,
    /// AAAA
    Ipv6,
}

/// What a look-up gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The addresses, for as long as their records are valid.
    Addresses(Vec<IpAddr>, Millis),
    /// There is no such name, or no such record of it.
    Absent,
    /// Nobody knows: no server answered, or it could not. Why.
    Failed(String),
}

/// What an operator should hear of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A question that was answered before, or never was, failed for this reason.
    Failing {
        /// Why.
        reason: String,
        /// How many addresses stay in use.
        kept: usize,
    },
    /// It is answered again.
    Recovered,
}

/// The questions and their answers.
#[derive(Debug)]
pub struct Book {
    families: Vec<Family>,
    valid: Option<Millis>,
    entries: BTreeMap<Question, Entry>,
    agenda: BTreeSet<(Millis, Question)>,
}

#[derive(Debug)]
struct Entry {
    /// `None` until there is an answer.
    addresses: Option<Vec<IpAddr>>,
    /// Why the last look-up failed.
    trouble: Option<String>,
    /// How often it failed before the first answer.
    failures: u32,
    /// Without an answer by then, nobody waits for it.
    until: Millis,
    due: Millis,
}

impl Book {
    /// An empty book that asks for these records; `valid` is in place of how long they say they are valid.
    pub fn new(families: Vec<Family>, valid: Option<Millis>) -> Self {
        Self { families, valid, entries: BTreeMap::new(), agenda: BTreeSet::new() }
    }

    /// From now on exactly these names are wanted. What is known of those that stay, stays.
    pub fn want(&mut self, names: &BTreeSet<Arc<str>>, now: Millis) {
        let gone = self.entries.extract_if(.., |question, _| !names.contains(&question.name));
        for (question, entry) in gone {
            self.agenda.remove(&(entry.due, question));
        }
        for name in names {
            for family in self.families.iter().copied() {
                let question = Question { name: name.clone(), family };
                self.entries.entry(question.clone()).or_insert_with(|| {
                    self.agenda.insert((now, question));
                    let until = PATIENCE.after(now);
                    Entry { addresses: None, trouble: None, failures: 0, until, due: now }
                });
            }
        }
    }

    /// The next question to ask now. Whoever takes it is expected to bring an answer.
    pub fn next(&mut self, now: Millis) -> Option<Question> {
        let (due, question) = self.agenda.first().cloned()?;
        if due > now {
            return None;
        }
        self.plan(&question, LOST.after(now));
        Some(question)
    }

    /// When [`Self::next`] will have a question.
    pub fn due(&self) -> Option<Millis> {
        self.agenda.first().map(|(due, _)| *due)
    }

    /// Takes an answer. One that nobody wants any more is dropped.
    pub fn answer(&mut self, question: &Question, answer: Answer, now: Millis) -> Option<News> {
        let entry = self.entries.get_mut(question)?;
        let (wait, trouble) = match answer {
            Answer::Addresses(addresses, valid) => {
                entry.addresses = Some(addresses);
                (self.valid.unwrap_or(valid).max(LEAST), None)
            }
            Answer::Absent => {
                entry.addresses = Some(Vec::new());
                (self.valid.unwrap_or(ABSENT).max(LEAST), None)
            }
            Answer::Failed(reason) if entry.addresses.is_none() => {
                let wait = Millis(LEAST.0 << entry.failures).min(FAILED);
                entry.failures = (entry.failures + 1).min(8);
                (wait, Some(reason))
            }
            Answer::Failed(reason) => (FAILED, Some(reason)),
        };
        let before = std::mem::replace(&mut entry.trouble, trouble.clone());
        let kept = entry.addresses.as_ref().map_or(0, Vec::len);
        self.plan(question, wait.after(now));
        match (before, trouble) {
            (before, Some(reason)) => (before.as_ref() != Some(&reason)).then_some(News::Failing { reason, kept }),
            (Some(_), None) => Some(News::Recovered),
            (None, None) => None,
        }
    }

    /// Everything known. A name is answered as soon as one of its questions has addresses, or none has any.
    pub fn names(&self, now: Millis) -> Names {
        let mut answered: BTreeMap<Arc<str>, Vec<IpAddr>> = BTreeMap::new();
        let mut open: BTreeMap<Arc<str>, Millis> = BTreeMap::new();
        for (question, entry) in &self.entries {
            match &entry.addresses {
                Some(addresses) => answered.entry(question.name.clone()).or_default().extend(addresses),
                None => drop(open.insert(question.name.clone(), entry.until)),
            }
        }
        answered.retain(|name, addresses| !(addresses.is_empty() && open.contains_key(name)));
        open.retain(|name, until| *until <= now && !answered.contains_key(name));
        answered.into_iter().collect::<Names>().give_up(open.into_keys().collect())
    }

    /// When a name is given up, unless it is answered before.
    pub fn gives_up(&self, now: Millis) -> Option<Millis> {
        let open = self.entries.values().filter(|entry| entry.addresses.is_none() && entry.until > now);
        open.map(|entry| entry.until).min()
    }

    /// Whether `names`, as [`Self::names`] gave them, leave nothing to wait for: each is answered or given up.
    pub fn is_settled(&self, names: &Names) -> bool {
        self.entries.keys().all(|question| names.of(&question.name) != Known::Awaited)
    }

    fn plan(&mut self, question: &Question, due: Millis) {
        if let Some(entry) = self.entries.get_mut(question) {
            self.agenda.remove(&(entry.due, question.clone()));
            self.agenda.insert((due, question.clone()));
            entry.due = due;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_000_000);

    fn later(seconds: u64) -> Millis {
        Millis(NOW.0 + seconds * 1000)
    }

    fn ips(text: &str) -> Vec<IpAddr> {
        text.split_whitespace().map(|ip| ip.parse().unwrap()).collect()
    }

    fn wanting(names: &[&str]) -> BTreeSet<Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    /// A book that wants `app` and asks for A records alone, with its question.
    fn book(valid: Option<Millis>) -> (Book, Question) {
        let mut book = Book::new(vec![Family::Ipv4], valid);
        book.want(&wanting(&["app"]), NOW);
        let question = book.next(NOW).unwrap();
        (book, question)
    }

    fn known(book: &Book) -> Option<Vec<IpAddr>> {
        book.names(NOW).addresses("app").map(<[_]>::to_vec)
    }

    fn is_settled(book: &Book, now: Millis) -> bool {
        book.is_settled(&book.names(now))
    }

    #[test]
    fn an_answer_is_asked_for_again_when_its_records_expire() {
        let (mut book, question) = book(None);
        assert_eq!((known(&book), is_settled(&book, NOW), book.next(NOW)), (None, false, None));
        assert_eq!(book.answer(&question, Answer::Addresses(ips("10.0.0.2 10.0.0.1"), later(30)), NOW), None);
        assert_eq!(known(&book).unwrap(), ips("10.0.0.1 10.0.0.2"), "in one order, however they were dealt");
        assert!(is_settled(&book, NOW));

        let (mut book, question) = self::book(None);
        book.answer(&question, Answer::Addresses(ips("10.0.0.1"), Millis::from_secs(30)), NOW);
        assert_eq!((book.due(), book.next(later(29))), (Some(later(30)), None));
        assert_eq!(book.next(later(30)), Some(question.clone()));
        book.answer(&question, Answer::Addresses(ips("10.0.0.1"), Millis(0)), later(30));
        assert_eq!(book.due(), Some(later(31)), "records without a life are not asked for without end");
    }

    #[test]
    fn a_time_given_is_in_place_of_the_records() {
        let (mut book, question) = book(Some(Millis::from_secs(3)));
        book.answer(&question, Answer::Addresses(ips("10.0.0.1"), Millis::from_secs(300)), NOW);
        assert_eq!(book.due(), Some(later(3)));
        book.answer(&question, Answer::Absent, NOW);
        assert_eq!(book.due(), Some(later(3)));
    }

    #[test]
    fn a_failure_keeps_what_is_known_and_absence_empties_it() {
        let (mut book, question) = book(None);
        book.answer(&question, Answer::Addresses(ips("10.0.0.1"), Millis::from_secs(30)), NOW);
        let failed = || Answer::Failed("server failure".into());
        let said = book.answer(&question, failed(), NOW);
        assert_eq!(said, Some(News::Failing { reason: "server failure".into(), kept: 1 }));
        assert_eq!((known(&book).unwrap(), book.due()), (ips("10.0.0.1"), Some(later(5))));
        assert_eq!(book.answer(&question, failed(), NOW), None, "said once");
        assert_eq!(book.answer(&question, Answer::Absent, NOW), Some(News::Recovered));
        assert_eq!((known(&book).unwrap(), book.due()), (vec![], Some(later(10))));
    }

    #[test]
    fn a_name_that_is_never_answered_is_asked_for_soon_and_given_up() {
        let (mut book, question) = book(None);
        let mut asked = vec![];
        for second in [0, 1, 3] {
            book.answer(&question, Answer::Failed("server failure".into()), later(second));
            asked.push(book.due().unwrap());
            assert_eq!(book.names(later(second)).of("app"), Known::Awaited);
        }
        assert_eq!(asked, [later(1), later(3), later(7)]);
        assert_eq!((book.gives_up(NOW), book.gives_up(later(5))), (Some(later(5)), None));
        assert_eq!((is_settled(&book, later(4)), is_settled(&book, later(5))), (false, true));
        assert_eq!(book.names(later(5)).of("app"), Known::GivenUp);
        book.answer(&question, Answer::Failed("server failure".into()), later(7));
        assert_eq!(book.due(), Some(later(12)));
        book.answer(&question, Answer::Addresses(ips("10.0.0.1"), Millis::from_secs(30)), later(12));
        assert_eq!(book.names(later(12)).of("app"), Known::Addresses(&ips("10.0.0.1")));
    }

    /// A resolver that fails says nothing of a name, whatever it says of the other kind of record.
    #[test]
    fn that_there_is_no_address_all_must_say() {
        let mut book = Book::new(vec![Family::Ipv4, Family::Ipv6], None);
        book.want(&wanting(&["app"]), NOW);
        let (four, six) = (book.next(NOW).unwrap(), book.next(NOW).unwrap());
        book.answer(&six, Answer::Absent, NOW);
        book.answer(&four, Answer::Failed("server failure".into()), NOW);
        assert_eq!((book.names(NOW).of("app"), is_settled(&book, NOW)), (Known::Awaited, false));
        assert_eq!(book.names(later(5)).of("app"), Known::GivenUp);
        book.answer(&four, Answer::Absent, later(6));
        assert_eq!(book.names(later(6)).of("app"), Known::Addresses(&[]));
    }

    #[test]
    fn two_kinds_of_records_are_two_questions() {
        let mut book = Book::new(vec![Family::Ipv4, Family::Ipv6], None);
        book.want(&wanting(&["app"]), NOW);
        let (four, six) = (book.next(NOW).unwrap(), book.next(NOW).unwrap());
        book.answer(&six, Answer::Addresses(ips("fd00::1"), Millis::from_secs(30)), NOW);
        assert_eq!((known(&book).unwrap(), is_settled(&book, NOW)), (ips("fd00::1"), true));
        book.answer(&four, Answer::Addresses(ips("10.0.0.1"), Millis::from_secs(30)), NOW);
        book.answer(&six, Answer::Failed("refused".into()), NOW);
        assert_eq!(known(&book).unwrap(), ips("10.0.0.1 fd00::1"));
    }

    #[test]
    fn what_is_no_longer_wanted_is_forgotten_and_what_got_lost_is_asked_again() {
        let (mut book, question) = book(None);
        assert_eq!(book.next(later(59)), None);
        assert_eq!(book.next(later(60)), Some(question.clone()));
        book.want(&wanting(&["other"]), NOW);
        assert_eq!(book.answer(&question, Answer::Addresses(ips("10.0.0.1"), LEAST), NOW), None);
        assert_eq!((known(&book), book.next(NOW).map(|next| next.name)), (None, Some("other".into())));
        book.want(&BTreeSet::new(), NOW);
        assert_eq!((book.due(), is_settled(&book, NOW)), (None, true));
    }
}
