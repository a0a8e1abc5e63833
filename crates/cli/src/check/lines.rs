//! A difference as lines for people: what is new with `+`, what is gone with `-`, what is another with `~`.

use std::fmt::{self, Write as _};

use config::{PathMatch, PathRoute, Revision, Server, Target};
use serde_json::Value;

use super::difference::{
    CertificateDifference, Change, Difference, Differing, GroupDifference, HostDifference, fields,
};

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.groups.iter().try_for_each(|group| group.fmt(f))?;
        self.hosts.iter().try_for_each(|host| host.fmt(f))?;
        self.certificates.iter().try_for_each(|certificate| certificate.fmt(f))
    }
}

impl fmt::Display for GroupDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} group {}  {}", mark(&self.revision), self.group, both(&self.revision, Revision::short))?;
        for Differing { field, before, after } in &self.settings {
            writeln!(f, "    ~ {field}: {before} -> {after}")?;
        }
        for change in &self.servers {
            write!(f, "    {} server ", mark(change))?;
            match change {
                Change::Added { after: one } | Change::Removed { before: one } => writeln!(f, "{}", server(one))?,
                Change::Changed { before, after } => {
                    let fields = fields(before, after);
                    let fields = fields.iter().map(|one| format!("{} {} -> {}", one.field, one.before, one.after));
                    writeln!(f, "{} {}: {}", after.name, after.address, fields.collect::<Vec<_>>().join(", "))?;
                }
            }
        }
        let is_reordered = matches!(self.revision, Change::Changed { .. });
        if is_reordered && self.settings.is_empty() && self.servers.is_empty() {
            writeln!(f, "    ~ the order of its servers")?;
        }
        Ok(())
    }
}

impl fmt::Display for HostDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} host {}", mark(&self.revision), self.host)?;
        for change in &self.paths {
            let (Change::Added { after: route }
            | Change::Removed { before: route }
            | Change::Changed { after: route, .. }) = change;
            let path = match &route.path {
                PathMatch::Exact(path) => format!("{path} (Exact)"),
                PathMatch::Prefix(path) => format!("{path} (Prefix)"),
            };
            let leads = |route: &PathRoute| format!("{} by {}", target(&route.target), route.origin);
            writeln!(f, "    {} {path}: {}", mark(change), both(change, leads))?;
        }
        if let Some(change) = &self.default {
            writeln!(f, "    {} every other path: {}", mark(change), both(change, target))?;
        }
        Ok(())
    }
}

impl fmt::Display for CertificateDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = |hosts: &Vec<config::HostPattern>| {
            let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
            hosts.join(", ")
        };
        write!(f, "{} certificate {} for ", mark(&self.hosts), self.certificate)?;
        match &self.hosts {
            Change::Changed { before, after } if before == after => writeln!(f, "{}: another one", hosts(after)),
            change => writeln!(f, "{}", both(change, hosts)),
        }
    }
}

/// The sign of a change.
pub const fn mark<T>(change: &Change<T>) -> char {
    match change {
        Change::Added { .. } => '+',
        Change::Removed { .. } => '-',
        Change::Changed { .. } => '~',
    }
}

/// One version, or both.
fn both<T>(change: &Change<T>, show: impl Fn(&T) -> String) -> String {
    match change {
        Change::Added { after: one } | Change::Removed { before: one } => show(one),
        Change::Changed { before, after } => format!("{} -> {}", show(before), show(after)),
    }
}

/// A server with what differs from nginx's defaults, as its line would say.
fn server(server: &Server) -> String {
    let plain = Server::new(&server.name, server.address.clone());
    let mut line = format!("{} {}", server.name, server.address);
    for Differing { field, after, .. } in fields(&plain, server) {
        // Writing to a String does not fail.
        let _ = match after {
            Value::Object(pod) if field == "pod" => write!(line, " pod={}", pod["name"].as_str().unwrap_or_default()),
            Value::String(text) => write!(line, " {field}={text}"),
            value => write!(line, " {field}={value}"),
        };
    }
    line
}

fn target(target: &Target) -> String {
    match target {
        Target::Group(group) => group.to_string(),
        Target::Unavailable { reason } => format!("503 ({reason})"),
    }
}
