//! `xtask deps`: the import table. Who may know whom is the design of this project, so it is checked, not remembered.
//!
//! Two questions are put to `cargo metadata`: which crates of ours a crate names itself, and which crates of others it can
//! reach in any number of steps (a clock or a socket is as real behind three crates as behind one). Development
//! dependencies of a crate never reach its users: of ours they may add `testkit`, of others anything. The tests of
//! `forebay-cluster` compare the product with a real Kubernetes and may know any of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;

/// One line of the table.
struct Rule {
    /// The package.
    name: &'static str,
    /// The packages of ours it may name.
    ours: &'static [&'static str],
    /// What it must not reach, and why, group by group.
    never: &'static [Forbidden],
}

/// Packages of others that go together, and what they would bring in.
struct Forbidden {
    brings: &'static str,
    packages: &'static [&'static str],
}

const IO: Forbidden =
    Forbidden { brings: "IO", packages: &["tokio", "mio", "hyper", "hyper-util", "socket2", "notify", "async-std"] };
const CHANCE: Forbidden = Forbidden { brings: "randomness of its own", packages: &["rand", "fastrand", "getrandom"] };
const CLOCK: Forbidden = Forbidden { brings: "a clock of its own", packages: &["jiff", "chrono", "time"] };
const KUBERNETES: Forbidden =
    Forbidden { brings: "Kubernetes", packages: &["kube", "kube-core", "kube-client", "kube-runtime", "k8s-openapi"] };
const CLIENT: Forbidden =
    Forbidden { brings: "a Kubernetes client", packages: &["kube-client", "kube-runtime", "tower", "reqwest"] };

const TESTKIT: &str = "forebay-testkit";
const CLUSTER: &str = "forebay-cluster";

/// The graph is that of a product build; without a platform cargo would fetch what only other systems need.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// The table of `ARCHITECTURE.md`.
const TABLE: &[Rule] = &[
    Rule { name: "forebay-balance", ours: &[], never: &[IO, CHANCE, CLOCK, KUBERNETES] },
    Rule { name: "forebay-config", ours: &["forebay-balance"], never: &[IO, CHANCE, CLOCK, KUBERNETES] },
    Rule { name: "forebay-api", ours: &[], never: &[IO, CHANCE, CLIENT] },
    Rule { name: "forebay-translate", ours: &["forebay-api", "forebay-config"], never: &[IO, CHANCE, CLIENT] },
    Rule { name: "forebay-feed", ours: &["forebay-config"], never: &[IO, CHANCE, CLOCK, KUBERNETES] },
    Rule {
        name: "forebay-proxy",
        ours: &["forebay-balance", "forebay-config", "forebay-feed"],
        never: &[KUBERNETES, CLIENT],
    },
    Rule {
        name: "forebay-controller",
        ours: &["forebay-api", "forebay-config", "forebay-feed", "forebay-translate"],
        never: &[],
    },
    Rule {
        name: "forebay",
        ours: &[
            "forebay-api",
            "forebay-balance",
            "forebay-config",
            "forebay-controller",
            "forebay-feed",
            "forebay-proxy",
            "forebay-translate",
        ],
        never: &[],
    },
    Rule {
        name: TESTKIT,
        ours: &["forebay-api", "forebay-balance", "forebay-config", "forebay-feed", "forebay-translate"],
        never: &[KUBERNETES],
    },
    Rule { name: CLUSTER, ours: &[], never: &[] },
    Rule { name: "xtask", ours: &["forebay-api"], never: &[IO] },
];

/// What no crate of ours names itself, though others bring it along, and what to use instead.
const NEVER_NAMED: &[(&str, &str)] = &[
    ("lazy_static", "std::sync::LazyLock"),
    ("once_cell", "std::sync::OnceLock"),
    ("chrono", "jiff"),
    ("futures", "tokio and std::future"),
];

/// What `cargo metadata` says, as far as the table asks.
struct Graph {
    /// Name of every package, by id.
    names: BTreeMap<String, String>,
    /// The ids of the packages of this workspace.
    members: BTreeSet<String>,
    /// Who depends on whom, by id.
    edges: BTreeMap<String, Vec<Edge>>,
}

struct Edge {
    to: String,
    use_: Use,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Part of what users of the crate get, or of its build.
    Product,
    /// Only its tests and benches see it.
    Development,
}

/// Checks the table against this workspace.
///
/// # Errors
/// Every line of the table that does not hold, in one message; or why `cargo metadata` could not be read.
pub fn run() -> anyhow::Result<()> {
    let graph = Graph::from_metadata(&metadata()?).context("cargo metadata has another form than expected")?;
    let problems = check(&graph, TABLE);
    if !problems.is_empty() {
        bail!("the import table (xtask/src/deps.rs) does not hold:\n  {}", problems.join("\n  "));
    }
    Ok(())
}

fn metadata() -> anyhow::Result<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform", PLATFORM])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .context("cargo metadata did not start")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata did not print JSON")
}

/// Every way in which `graph` differs from `table`, as sentences.
fn check(graph: &Graph, table: &[Rule]) -> Vec<String> {
    let mut problems = Vec::new();
    for id in &graph.members {
        let name = graph.name(id);
        match table.iter().find(|rule| rule.name == name) {
            Some(rule) => graph.check(id, rule, &mut problems),
            None => problems.push(format!("{name} has no line: say whom it may import")),
        }
    }
    let stale = table.iter().filter(|rule| graph.members.iter().all(|id| graph.name(id) != rule.name));
    problems.extend(stale.map(|rule| format!("{} has a line and no crate", rule.name)));
    problems
}

impl Graph {
    /// Reads the JSON of `cargo metadata --format-version=1`; `None` where it has another form.
    fn from_metadata(metadata: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let names = metadata["packages"].as_array()?.iter();
        let names = names.map(|package| Some((text(&package["id"])?, text(&package["name"])?)));
        let members = metadata["workspace_members"].as_array()?.iter().map(text);
        let edges = metadata["resolve"]["nodes"].as_array()?.iter().map(|node| {
            let edges = node["deps"].as_array()?.iter().map(|dep| {
                // `kind` is null for a normal dependency, else "build" or "dev"; one edge may be several.
                let development = dep["dep_kinds"].as_array()?.iter().all(|kind| kind["kind"] == "dev");
                let use_ = if development { Use::Development } else { Use::Product };
                Some(Edge { to: text(&dep["pkg"])?, use_ })
            });
            Some((text(&node["id"])?, edges.collect::<Option<_>>()?))
        });
        Some(Self {
            names: names.collect::<Option<_>>()?,
            members: members.collect::<Option<_>>()?,
            edges: edges.collect::<Option<_>>()?,
        })
    }

    fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.names.get(id).map_or(id, String::as_str)
    }

    fn edges(&self, id: &str) -> &[Edge] {
        self.edges.get(id).map_or(&[], Vec::as_slice)
    }

    fn check(&self, id: &str, rule: &Rule, problems: &mut Vec<String>) {
        for edge in self.edges(id) {
            let name = self.name(&edge.to);
            if let Some((_, instead)) = NEVER_NAMED.iter().find(|(never, _)| *never == name) {
                problems.push(format!("{} names {name}: use {instead}", rule.name));
            }
            if !self.members.contains(&edge.to) {
                continue;
            }
            let of_tests = edge.use_ == Use::Development && (name == TESTKIT || rule.name == CLUSTER);
            let allowed = rule.ours.contains(&name) || of_tests;
            if !allowed {
                problems.push(format!("{} may not import {name}", rule.name));
            }
        }
        let ways = self.ways(id);
        for forbidden in rule.never {
            for (name, way) in ways.iter().map(|(id, way)| (self.name(id), way)) {
                if forbidden.packages.contains(&name) {
                    problems.push(format!("{} must not know {}, and reaches it: {way}", rule.name, forbidden.brings));
                }
            }
        }
    }

    /// Every package that a product build of `id` contains, by id, with the shortest way to it.
    fn ways<'a>(&'a self, id: &'a str) -> BTreeMap<&'a str, String> {
        let mut ways = BTreeMap::from([(id, self.name(id).to_owned())]);
        let mut queue = VecDeque::from([id]);
        while let Some(from) = queue.pop_front() {
            for edge in self.edges(from).iter().filter(|edge| edge.use_ == Use::Product) {
                if !ways.contains_key(edge.to.as_str()) {
                    let way = format!("{} -> {}", ways[from], self.name(&edge.to));
                    ways.insert(&edge.to, way);
                    queue.push_back(&edge.to);
                }
            }
        }
        ways
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RULES: &[Rule] = &[
        Rule { name: "core", ours: &[], never: &[IO] },
        Rule { name: "edge", ours: &["core"], never: &[KUBERNETES] },
        Rule { name: TESTKIT, ours: &["core"], never: &[] },
    ];

    /// From, to, and the kind as cargo prints it.
    type Dependency = (&'static str, &'static str, Option<&'static str>);

    /// Every name is its own id.
    fn graph(members: &[&str], edges: &[Dependency]) -> Graph {
        let names: BTreeSet<&str> =
            edges.iter().flat_map(|edge| [edge.0, edge.1]).chain(members.iter().copied()).collect();
        let node = |from: &str| {
            let deps = edges.iter().filter(|edge| edge.0 == from);
            let deps: Vec<_> = deps.map(|(_, to, kind)| json!({"pkg": to, "dep_kinds": [{"kind": kind}]})).collect();
            json!({"id": from, "deps": deps})
        };
        let metadata = json!({
            "packages": names.iter().map(|name| json!({"id": name, "name": name})).collect::<Vec<_>>(),
            "workspace_members": members,
            "resolve": {"nodes": names.iter().map(|name| node(name)).collect::<Vec<_>>()},
        });
        Graph::from_metadata(&metadata).expect("the form cargo prints")
    }

    #[test]
    fn this_workspace_keeps_the_table() {
        run().unwrap();
    }

    #[test]
    fn what_the_table_allows_passes() {
        let edges = [
            ("edge", "core", None),
            ("edge", "tokio", None),
            ("core", "serde", None),
            ("core", TESTKIT, Some("dev")),
            ("core", "tokio", Some("dev")),
            (TESTKIT, "core", None),
        ];
        assert_eq!(check(&graph(&["core", "edge", TESTKIT], &edges), RULES), Vec::<String>::new());
    }

    #[test]
    fn every_violation_is_named() {
        let cases: &[(&[Dependency], &str)] = &[
            (&[("core", "edge", None)], "core may not import edge"),
            (&[("core", "edge", Some("dev"))], "core may not import edge"),
            (&[("edge", TESTKIT, None)], "edge may not import forebay-testkit"),
            (&[("core", "chrono", Some("dev"))], "core names chrono: use jiff"),
            (&[("core", "tokio", None)], "core must not know IO, and reaches it: core -> tokio"),
            (
                &[("core", "mid", None), ("mid", "mio", Some("build"))],
                "core must not know IO, and reaches it: core -> mid -> mio",
            ),
            (
                &[("edge", "core", None), ("core", "kube", None)],
                "edge must not know Kubernetes, and reaches it: edge -> core -> kube",
            ),
        ];
        for (edges, problem) in cases {
            let problems = check(&graph(&["core", "edge", TESTKIT], edges), RULES);
            assert!(problems.iter().any(|found| found == problem), "{problem:?} is not among {problems:?}");
        }
    }

    #[test]
    fn table_and_workspace_name_the_same_crates() {
        let problems = check(&graph(&["core", TESTKIT, "novel"], &[]), RULES);
        assert_eq!(problems, ["novel has no line: say whom it may import", "edge has a line and no crate"]);
    }
}
