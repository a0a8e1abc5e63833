//! Groups that a command line names: those that a configuration lacks, and which were likely meant.

use config::{Code, Config, Diagnostic, GroupId, Severity};
use proxy::{Listener, Protocol};

/// A listener's group that the configuration lacks.
pub const LISTENER_GROUP: Code = "FB4011";

/// The group that was likely meant.
pub fn nearest(config: &Config, wanted: &GroupId) -> Option<String> {
    let names: Vec<_> = config.groups.keys().map(ToString::to_string).collect();
    config::nearest(&wanted.to_string(), names.iter().map(String::as_str)).map(str::to_owned)
}

/// A warning for every listener that is bound to a group which `config` lacks.
pub fn unbound(listeners: &[Listener], config: &Config) -> Vec<Diagnostic> {
    let bound = listeners.iter().filter_map(|listener| Some((listener, listener.group.as_ref()?)));
    let unbound = bound.filter(|(_, group)| !config.groups.contains_key(group)).map(|(listener, group)| {
        let flag = match listener.protocol {
            Protocol::Http => "--http",
            Protocol::Https => "--https",
        };
        let message = format!("{flag} {}={group}: the group does not exist; every request gets 503", listener.address);
        let hint = match nearest(config, group) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("add the UpstreamGroup {group}"),
        };
        Diagnostic::new(LISTENER_GROUP, Severity::Warning, message).hint(hint)
    });
    unbound.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use config::Group;

    use super::*;

    #[test]
    fn a_listener_of_no_group_is_warned_of() {
        let id = |text: &str| text.parse::<GroupId>().unwrap();
        let groups = [(id("default/app"), Arc::new(Group::with_defaults(Vec::new())))];
        let config = Config { groups: groups.into(), ..Config::default() };
        let said = |group: Option<&str>| -> Vec<_> {
            let address = "127.0.0.1:80".parse().unwrap();
            let listener = Listener { address, group: group.map(id), protocol: Protocol::Http };
            let warnings = unbound(&[listener], &config);
            warnings.into_iter().map(|warning| (warning.message, warning.hint.unwrap())).collect()
        };
        assert_eq!(said(None), []);
        assert_eq!(said(Some("default/app")), []);
        let message = "--http 127.0.0.1:80=default/ap: the group does not exist; every request gets 503";
        assert_eq!(said(Some("default/ap")), [(message.to_owned(), "did you mean default/app?".to_owned())]);
        assert_eq!(said(Some("shop/web"))[0].1, "add the UpstreamGroup shop/web");
    }
}
