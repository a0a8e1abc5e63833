//! In which order controllers are tried: every address of every URL, in an order of chance so that a fleet spreads over the
//! replicas, and the one that was just lost last. Chance is a parameter.

use std::net::SocketAddr;

use super::address::Candidate;

/// One round. `chance` gives a number for each candidate.
pub(super) fn order(
    mut candidates: Vec<Candidate>,
    lost: Option<SocketAddr>,
    mut chance: impl FnMut() -> u64,
) -> Vec<Candidate> {
    // Two names may lead to one address under two certificates, so only the same pair is the same.
    let mut round: Vec<Candidate> = Vec::with_capacity(candidates.len());
    for candidate in candidates.drain(..) {
        if !round.contains(&candidate) {
            round.push(candidate);
        }
    }
    round.sort_by_cached_key(|candidate| (Some(candidate.address) == lost, chance()));
    round
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(port: u16) -> Candidate {
        Candidate { url: "https://c:9902".parse().unwrap(), address: ([10, 0, 0, 1], port).into() }
    }

    #[test]
    fn all_are_tried_once_and_the_lost_one_last() {
        let mut numbers = [5u64, 1, 3].into_iter().cycle();
        let given = vec![candidate(1), candidate(2), candidate(1), candidate(3)];
        let round = order(given.clone(), None, || numbers.next().unwrap());
        assert_eq!(round, [candidate(2), candidate(3), candidate(1)]);
        let round = order(given, Some(candidate(2).address), || numbers.next().unwrap());
        assert_eq!(round, [candidate(3), candidate(1), candidate(2)]);
    }
}
