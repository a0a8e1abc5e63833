//! A fleet in a test: two or three controllers that learn of the same cluster at their own pace, data planes that lose their
//! streams at any moment, read slowly, are cut off, restart from disk, and are of another release. Whatever happened: once
//! it is quiet, each of them holds exactly the latest state, and meanwhile none ever held a torn one.
//!
//! `FEED_SEED=17 cargo test -p forebay-feed --test simulation` replays one run and tells it.

mod cluster;
mod link;
mod node;
mod random;
mod skew;
mod world;

use world::World;

const SEEDS: u64 = 256;
const PARTS: u64 = 4;

fn seeds(part: u64) -> impl Iterator<Item = u64> {
    let one: Option<u64> = std::env::var("FEED_SEED").ok().map(|seed| seed.parse().expect("FEED_SEED is a number"));
    (0..SEEDS).filter(move |seed| seed % PARTS == part && one.is_none()).chain(one.filter(|_| part == 0))
}

fn live(part: u64) {
    let told = std::env::var_os("FEED_SEED").is_some();
    for seed in seeds(part) {
        let mut world = World::new(seed, told);
        world.trouble();
        world.quiet();
        world.agree();
    }
}

#[test]
fn whoever_stays_connected_has_the_latest_part_1() {
    live(0);
}

#[test]
fn whoever_stays_connected_has_the_latest_part_2() {
    live(1);
}

#[test]
fn whoever_stays_connected_has_the_latest_part_3() {
    live(2);
}

#[test]
fn whoever_stays_connected_has_the_latest_part_4() {
    live(3);
}
