//! Who is connected to the admin interface. It asks nobody who they are, and a probe that is not answered has the process ended,
//! so nobody may keep others out: there is always room for one more, and it is made where most is taken.

use std::collections::VecDeque;
use std::net::IpAddr;

/// Connections at a time.
const ALL: usize = 64;
/// Connections of one address at a time: an answer is kept until it is read.
const EACH: usize = 16;

/// Connections, the oldest first.
#[derive(Debug)]
pub(crate) struct Guests<G>(VecDeque<(IpAddr, G)>);

impl<G> Guests<G> {
    /// Nobody.
    pub const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// One more is there. Of too many, the one to be closed: the oldest of its address, or of the address that has most.
    pub fn enter(&mut self, address: IpAddr, guest: G) -> Option<G> {
        let of = |address: IpAddr| self.0.iter().filter(|(one, _)| *one == address).count();
        let crowd = if of(address) >= EACH {
            Some(address)
        } else if self.0.len() >= ALL {
            // Of several, the one that was here first.
            self.0.iter().rev().map(|(one, _)| *one).max_by_key(|one| of(*one))
        } else {
            None
        };
        let oldest = crowd.and_then(|crowd| self.0.iter().position(|(one, _)| *one == crowd));
        let closed = oldest.and_then(|at| self.0.remove(at)).map(|(_, guest)| guest);
        self.0.push_back((address, guest));
        closed
    }

    /// Forgets those who left.
    pub fn forget(&mut self, has_left: impl Fn(&G) -> bool) {
        self.0.retain(|(_, guest)| !has_left(guest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn a_flood_closes_its_own() {
        let mut guests = Guests::new();
        assert_eq!(guests.enter(address(1), 1_000_000), None);
        let closed: Vec<_> = (0..1000).filter_map(|n| guests.enter(address(2), n)).collect();
        assert_eq!(closed, (0..1000 - EACH).collect::<Vec<_>>());
        assert_eq!(guests.enter(address(1), 1_000_001), None);
        guests.forget(|guest| *guest < 1000);
        assert_eq!(guests.0.len(), 2);
    }

    #[test]
    fn room_is_made_where_most_is_taken() {
        let mut guests = Guests::new();
        let lone = (0..ALL - 3).map(|n| (u8::try_from(n).unwrap(), n));
        let crowd = (1000..1003).map(|n| (200, n));
        for (last, guest) in lone.chain(crowd) {
            assert_eq!(guests.enter(address(last), guest), None);
        }
        assert_eq!(guests.enter(address(201), 2000), Some(1000));
        assert_eq!(guests.enter(address(202), 2001), Some(1001));
        assert_eq!(guests.enter(address(203), 2002), Some(0), "of addresses with as many, the one that came first");
    }
}
