//! What a controller that runs makes of changed objects. It knows the last good version of what is refused, which stays in
//! force, so it is told both states one after the other.

use config::{Config, Diagnostic};
use jiff::Timestamp;
use translate::{Changed, Objects, Translation, Translator};

use crate::judge;

/// What `after` comes to for who knows `before`, and what is said of it.
pub fn follow(before: &Objects, after: &Objects, options: &translate::Options) -> (Config, Vec<Diagnostic>) {
    let mut translator = Translator::new(translate::Options { now: Timestamp::now(), ..options.clone() });
    for objects in [before, after] {
        translator.update(objects, &Changed::everything(objects));
    }
    let Translation { config, mut diagnostics, .. } = translator.translation();
    diagnostics.extend(proxy::compile_check(&config).iter().map(judge::not_in_force));
    (config, diagnostics)
}
