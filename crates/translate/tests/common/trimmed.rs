//! What is left of objects once all is thrown away that translation says it does not read. Whatever comes to something else then
//! works with files and not in a cluster.

use std::sync::Arc;

use translate::kind::Kind;
use translate::{Objects, Store, Translation};

/// These objects, trimmed.
pub fn trimmed(objects: &Objects) -> Objects {
    fn trim<K: Kind + Clone>(store: &mut Store<K>) {
        let names: Vec<_> = store.iter().map(|(name, _)| name).collect();
        for (namespace, name) in names {
            let object = store.find_mut(&namespace, &name).expect("it is one of them");
            Arc::make_mut(object).object.trim();
        }
    }
    let mut objects = objects.clone();
    trim(&mut objects.upstream_groups);
    trim(&mut objects.ingresses);
    trim(&mut objects.ingress_classes);
    trim(&mut objects.secrets);
    trim(&mut objects.config_maps);
    trim(&mut objects.services);
    trim(&mut objects.endpoint_slices);
    objects
}

/// That both translations are one.
pub fn assert_same(whole: &Translation, of_trimmed: &Translation) {
    assert_eq!(whole.config, of_trimmed.config, "Kind::trim drops what makes configuration");
    assert_eq!(whole.diagnostics, of_trimmed.diagnostics, "Kind::trim drops what something is said of");
    assert_eq!(whole.until, of_trimmed.until, "Kind::trim drops what decides how long a translation holds");
}
