//! Which servers of a group are out, remembered whole: a status lists the worst alone, and one that was out all along does not
//! become news when it moves into the list.

use std::collections::BTreeSet;

use api::{ServerState, ServerStatus, UpstreamGroupStatus};

/// The servers that were out when it was last told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Out(BTreeSet<String>);

/// The servers that changed sides, in the order of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Out after failures, and were not.
    pub out: Vec<String>,
    /// Up, and were out.
    pub back: Vec<String>,
}

impl Out {
    /// What a controller begins with that finds this status and these servers. Where the list had no room for all that were out,
    /// those that are out now are taken to be among them: nothing is told twice.
    pub fn found(status: Option<&UpstreamGroupStatus>, servers: &[ServerStatus]) -> Self {
        let listed = status.map(|status| status.servers.as_slice()).unwrap_or_default();
        let had_no_room = status.is_some_and(|status| status.truncated.is_some()) && listed.iter().all(is_out);
        let others = servers.iter().filter(|server| had_no_room && is_out(server));
        Self(listed.iter().filter(|server| is_out(server)).chain(others).map(label).collect())
    }

    /// Takes the servers as they are now, and says what is new of them.
    pub fn advance(&mut self, servers: &[ServerStatus]) -> Moved {
        let (mut moved, mut out) = (Moved::default(), BTreeSet::new());
        for server in servers {
            let label = label(server);
            let was_out = self.0.remove(&label);
            match server.state {
                ServerState::Unavailable => {
                    if !was_out && !out.contains(&label) {
                        moved.out.push(label.clone());
                    }
                    out.insert(label);
                }
                ServerState::Up if was_out => moved.back.push(label),
                ServerState::Up
                | ServerState::Full
                | ServerState::Down
                | ServerState::Draining
                | ServerState::Unknown => {}
            }
        }
        self.0 = out;
        moved
    }
}

fn is_out(server: &ServerStatus) -> bool {
    server.state == ServerState::Unavailable
}

fn label(ServerStatus { name, address, .. }: &ServerStatus) -> String {
    format!("{name} {address}")
}
