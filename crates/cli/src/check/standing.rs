//! What would be pushed of each `UpstreamGroup`, beside what its status says of the data planes: the version they were told
//! last, and whether they run it.

use std::fmt;

use api::{ConditionType, UpstreamGroup};
use config::{Config, GroupId, Resource, Revision};
use serde::Serialize;
use translate::{Located, Objects, dns_names};

/// A group as it would be pushed, and as it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    pub group: GroupId,
    pub verdict: Verdict,
    /// The version that would be pushed; none if the object is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// `status.dataPlanes.revision`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_force: Option<String>,
    /// The condition Programmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub programmed: Option<Programmed>,
}

/// How the two compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The data planes were told nothing of it.
    New,
    /// They were told another version.
    Differs,
    /// They were told this version.
    Same,
    /// The object is refused: what is in force stays while a controller runs that knows it.
    Refused,
    /// It has servers by DNS name, which are not looked up here.
    Unknown,
}

/// What a condition says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Programmed {
    pub status: String,
    pub reason: String,
    pub message: String,
}

/// Every `UpstreamGroup` of `objects`, in the order of names. `config` is what the objects come to.
pub fn compare(objects: &Objects, config: &Config) -> Vec<Standing> {
    objects.upstream_groups.values().map(|object| standing(object, config)).collect()
}

fn standing(object: &Located<UpstreamGroup>, config: &Config) -> Standing {
    let reference = object.reference();
    let id = GroupId::new(&reference.namespace, &reference.name);
    let status = object.status.as_ref();
    let in_force = status.and_then(|status| status.data_planes.as_ref()?.revision.clone());
    let pushed = config.groups.get(&id).map(|group| Resource::Group(id.clone(), group.clone()).revision());
    let verdict = match (&pushed, &in_force) {
        (None, _) => Verdict::Refused,
        (Some(_), _) if !dns_names([&object.object]).is_empty() => Verdict::Unknown,
        (Some(_), None) => Verdict::New,
        // A status shows the first digits.
        (Some(pushed), Some(known)) if known.len() >= Revision::SHORT && pushed.to_string().starts_with(known) => {
            Verdict::Same
        }
        (Some(_), Some(_)) => Verdict::Differs,
    };
    let name = ConditionType::Programmed.to_string();
    let programmed = status.and_then(|status| status.conditions.iter().find(|one| one.type_ == name));
    let programmed = programmed.map(|one| Programmed {
        status: one.status.clone(),
        reason: one.reason.clone(),
        message: one.message.clone(),
    });
    Standing { group: id, verdict, revision: pushed.as_ref().map(Revision::short), in_force, programmed }
}

impl Verdict {
    /// The sign in front of a line.
    const fn mark(self) -> char {
        match self {
            Self::New => '+',
            Self::Differs => '~',
            Self::Same => '=',
            Self::Refused => '!',
            Self::Unknown => '?',
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}  ", self.verdict.mark(), self.group)?;
        let pushed = self.revision.as_deref().unwrap_or("-");
        let known = self.in_force.as_deref().unwrap_or("-");
        match self.verdict {
            Verdict::New => write!(f, "{pushed}, of which no data plane was told")?,
            Verdict::Differs => write!(f, "{known} -> {pushed}")?,
            Verdict::Same => f.write_str(pushed)?,
            Verdict::Refused if self.in_force.is_some() => write!(f, "refused; {known} stays in force")?,
            Verdict::Refused => f.write_str("refused, and nothing is in force")?,
            Verdict::Unknown => {
                write!(f, "{known} is in force; DNS names are not looked up here, so it cannot be compared")?;
            }
        }
        if let Some(Programmed { status, reason, message }) = &self.programmed {
            write!(f, "  Programmed {status}")?;
            if status != "True" {
                write!(f, " ({reason}): {message}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paper_shows_what_is_printed() {
        let paper = include_str!("../../../../docs/diagnostics.md");
        let (_, shown) = paper.split_once("### With `--cluster`").unwrap();
        let shown = shown.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let shown: serde_json::Value = serde_json::from_str(shown).unwrap();
        let standing = Standing {
            group: GroupId::new("shop", "app"),
            verdict: Verdict::Differs,
            revision: Some("3bfc269594ef".into()),
            in_force: Some("0123456789ab".into()),
            programmed: Some(Programmed { status: "True".into(), reason: "Programmed".into(), message: String::new() }),
        };
        assert_eq!(shown["cluster"], serde_json::json!([standing]));
    }
}
