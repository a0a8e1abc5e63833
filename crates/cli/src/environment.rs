//! What the process is told by where it runs, apart from flags: variables of a pod, and the name of the machine.

/// A variable of the environment that says something.
pub fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The name of this machine, as `$hostname` has it; in a pod that of the pod.
pub fn hostname() -> Option<String> {
    Some(proxy::variables::hostname()).filter(|name| !name.is_empty()).map(str::to_owned)
}
