//! What does not change while the process runs.

use std::sync::OnceLock;

/// The name of this machine in lower case, as nginx has it; empty when the system does not tell.
pub fn hostname() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        std::fs::read_to_string("/proc/sys/kernel/hostname")
            .map(|name| name.trim_end().to_ascii_lowercase())
            .unwrap_or_default()
    })
}
