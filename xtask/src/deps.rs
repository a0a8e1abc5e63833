//! `xtask deps`: the import table. Who may know whom is the design of this project, so it is checked, not remembered.
//!
//! Two questions are put to cargo: which crates of ours a crate names itself (`cargo metadata`), and which crates of others it
//! can reach in any number of steps (a clock or a socket is as real behind three crates as behind one; `cargo tree`, which
//! alone knows what a crate asks for without the features that its neighbours ask for). Development
//! dependencies of a crate never reach its users: of ours they may add `testkit`, of others anything. The tests of
//! `forebay-cluster` compare the product with a real Kubernetes and may know any of it.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;

/// One line of the table.
struct Rule {
    /// The package.
    name: &'static str,
    /// The packages of ours it may name, and does: what nobody uses is no permission.
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
    Rule { name: "forebay-admin", ours: &[], never: &[KUBERNETES, CLIENT] },
    Rule {
        name: "forebay-proxy",
        ours: &["forebay-admin", "forebay-balance", "forebay-config", "forebay-feed"],
        never: &[KUBERNETES, CLIENT],
    },
    Rule {
        name: "forebay-controller",
        ours: &["forebay-admin", "forebay-api", "forebay-config", "forebay-feed", "forebay-translate"],
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
    Rule { name: TESTKIT, ours: &["forebay-balance", "forebay-config", "forebay-feed"], never: &[KUBERNETES] },
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

/// What cargo says, as far as the table asks.
struct Graph {
    members: Vec<Member>,
}

/// A package of this workspace.
struct Member {
    name: String,
    /// The packages it names.
    edges: Vec<Edge>,
    /// Every package that a product build of it contains, with the shortest way to it.
    ways: BTreeMap<String, String>,
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
/// Every line of the table that does not hold, in one message; or why cargo could not be asked.
pub fn run() -> anyhow::Result<()> {
    let metadata = cargo(&["metadata", "--format-version=1", "--locked", "--filter-platform", PLATFORM])?;
    let metadata = serde_json::from_str(&metadata).context("cargo metadata did not print JSON")?;
    let graph = Graph::new(&metadata, |name| {
        cargo(&["tree", "--locked", "--target", PLATFORM, "-p", name, "-e", "normal,build", "--prefix=depth", "-f={p}"])
    })?;
    let problems = check(&graph, TABLE);
    if !problems.is_empty() {
        bail!("the import table (xtask/src/deps.rs) does not hold:\n  {}", problems.join("\n  "));
    }
    Ok(())
}

fn cargo(arguments: &[&str]) -> anyhow::Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.context("cargo did not start")?;
    if !output.status.success() {
        bail!("cargo {} failed: {}", arguments[0], String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("cargo did not print text")
}

/// Every way in which `graph` differs from `table`, as sentences.
fn check(graph: &Graph, table: &[Rule]) -> Vec<String> {
    let mut problems = Vec::new();
    for member in &graph.members {
        match table.iter().find(|rule| rule.name == member.name) {
            Some(rule) => graph.check(member, rule, &mut problems),
            None => problems.push(format!("{} has no line: say whom it may import", member.name)),
        }
    }
    let stale = table.iter().filter(|rule| !graph.is_member(rule.name));
    problems.extend(stale.map(|rule| format!("{} has a line and no crate", rule.name)));
    problems
}

impl Graph {
    /// Of the JSON of `cargo metadata`, and what `cargo tree` prints about a package.
    fn new(metadata: &Value, tree: impl Fn(&str) -> anyhow::Result<String>) -> anyhow::Result<Self> {
        let members = members(metadata).context("cargo metadata has another form than expected")?;
        let members = members.into_iter().map(|(name, edges)| {
            let ways = ways(&tree(&name)?);
            Ok(Member { name, edges, ways })
        });
        Ok(Self { members: members.collect::<anyhow::Result<_>>()? })
    }

    fn is_member(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.name == name)
    }

    fn check(&self, member: &Member, rule: &Rule, problems: &mut Vec<String>) {
        for edge in &member.edges {
            if let Some((never, instead)) = NEVER_NAMED.iter().find(|(never, _)| *never == edge.to) {
                problems.push(format!("{} names {never}: use {instead}", rule.name));
            }
            if !self.is_member(&edge.to) {
                continue;
            }
            let of_tests = edge.use_ == Use::Development && (edge.to == TESTKIT || rule.name == CLUSTER);
            if !rule.ours.contains(&edge.to.as_str()) && !of_tests {
                problems.push(format!("{} may not import {}", rule.name, edge.to));
            }
        }
        let unused = rule.ours.iter().filter(|name| member.edges.iter().all(|edge| edge.to != **name));
        problems.extend(unused.map(|name| format!("{} may import {name} and does not: forbid it", rule.name)));
        for forbidden in rule.never {
            for (_, way) in member.ways.iter().filter(|(name, _)| forbidden.packages.contains(&name.as_str())) {
                problems.push(format!("{} must not know {}, and reaches it: {way}", rule.name, forbidden.brings));
            }
        }
    }
}

/// The packages of the workspace and what each names, read from `cargo metadata`; `None` where it has another form.
fn members(metadata: &Value) -> Option<Vec<(String, Vec<Edge>)>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let packages = metadata["packages"].as_array()?.iter();
    let names: BTreeMap<_, _> =
        packages.map(|package| Some((text(&package["id"])?, text(&package["name"])?))).collect::<Option<_>>()?;
    let of_workspace = metadata["workspace_members"].as_array()?;
    let nodes = metadata["resolve"]["nodes"].as_array()?.iter().filter(|node| of_workspace.contains(&node["id"]));
    nodes
        .map(|node| {
            let edges = node["deps"].as_array()?.iter().map(|dep| {
                // `kind` is null for a normal dependency, else "build" or "dev"; one edge may be several.
                let development = dep["dep_kinds"].as_array()?.iter().all(|kind| kind["kind"] == "dev");
                let use_ = if development { Use::Development } else { Use::Product };
                Some(Edge { to: names.get(dep["pkg"].as_str()?)?.clone(), use_ })
            });
            Some((names.get(node["id"].as_str()?)?.clone(), edges.collect::<Option<_>>()?))
        })
        .collect()
}

/// The packages of a tree whose lines begin with their depth, `2mio v1.0.0`, each with the shortest way to it.
fn ways(tree: &str) -> BTreeMap<String, String> {
    let (mut ways, mut above) = (BTreeMap::<String, (usize, String)>::new(), Vec::<&str>::new());
    for line in tree.lines() {
        let digits = line.bytes().take_while(u8::is_ascii_digit).count();
        let depth: usize = line[..digits].parse().unwrap_or_default();
        let Some(name) = line[digits..].split(' ').next() else { continue };
        above.truncate(depth);
        above.push(name);
        if ways.get(name).is_none_or(|(shortest, _)| depth < *shortest) {
            ways.insert(name.to_owned(), (depth, above.join(" -> ")));
        }
    }
    ways.into_iter().map(|(name, (_, way))| (name, way)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
        let tree = |name: &str| Ok(tree(edges, name, 0));
        Graph::new(&metadata, tree).expect("the form cargo prints")
    }

    fn tree(edges: &[Dependency], name: &str, depth: usize) -> String {
        let below = edges.iter().filter(|(from, _, kind)| *from == name && *kind != Some("dev"));
        let below = below.map(|(_, to, _)| if depth < 5 { tree(edges, to, depth + 1) } else { String::new() });
        format!("{depth}{name} v1.0.0\n{}", below.collect::<String>())
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
            (&[("edge", "serde", None)], "edge may import core and does not: forbid it"),
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
        let problems = check(&graph(&["core", TESTKIT, "novel"], &[(TESTKIT, "core", None)]), RULES);
        assert_eq!(problems, ["novel has no line: say whom it may import", "edge has a line and no crate"]);
    }
}
