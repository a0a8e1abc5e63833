//! The Secret and the ConfigMap, with preconditions.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};

use super::held::Held;
use crate::trouble::{Rule, Trouble};

/// Who we are to the API server's managed fields.
const MANAGER: &str = "forebay-controller";

/// The key of the bundle.
const BUNDLE: &str = "ca.crt";

/// Both objects.
pub struct Store {
    namespace: String,
    secrets: Api<Secret>,
    config_maps: Api<ConfigMap>,
    secret: String,
    config_map: String,
}

/// Why a write or a look did not happen.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else wrote meanwhile: look again.
    #[error("{0} is written by others all the time")]
    Conflict(String),
    /// The API server refuses, or cannot be reached.
    #[error(transparent)]
    Api(Trouble),
}

impl Store {
    pub fn new(client: Client, namespace: &str, secret: &str, config_map: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            secrets: Api::namespaced(client.clone(), namespace),
            config_maps: Api::namespaced(client, namespace),
            secret: secret.to_owned(),
            config_map: config_map.to_owned(),
        }
    }

    pub async fn secret(&self) -> Result<Option<Secret>, StoreError> {
        self.secrets.get_opt(&self.secret).await.map_err(|error| self.failed("get", Kind::Secret, &error))
    }

    pub async fn config_map(&self) -> Result<Option<ConfigMap>, StoreError> {
        self.config_maps.get_opt(&self.config_map).await.map_err(|error| self.failed("get", Kind::ConfigMap, &error))
    }

    /// Writes the Secret that was read, or makes it if there was none.
    pub async fn write(&self, read: Option<Secret>, held: &Held) -> Result<(), StoreError> {
        let is_new = read.is_none();
        let fresh = || Secret {
            metadata: metadata(&self.secret),
            type_: Some("kubernetes.io/tls".to_owned()),
            ..Secret::default()
        };
        let mut secret = read.unwrap_or_else(fresh);
        held.write(secret.data.get_or_insert_default());
        let written = if is_new {
            self.secrets.create(&params(), &secret).await
        } else {
            self.secrets.replace(&self.secret, &params(), &secret).await
        };
        written.map(drop).map_err(|error| self.failed(verb(is_new), Kind::Secret, &error))
    }

    /// Publishes the bundle, unless it is.
    pub async fn publish(&self, read: Option<ConfigMap>, bundle: String) -> Result<(), StoreError> {
        let is_new = read.is_none();
        let mut map =
            read.unwrap_or_else(|| ConfigMap { metadata: metadata(&self.config_map), ..ConfigMap::default() });
        let data = map.data.get_or_insert_default();
        if data.get(BUNDLE) == Some(&bundle) {
            return Ok(());
        }
        data.insert(BUNDLE.to_owned(), bundle);
        let written = if is_new {
            self.config_maps.create(&params(), &map).await
        } else {
            self.config_maps.replace(&self.config_map, &params(), &map).await
        };
        written.map(drop).map_err(|error| self.failed(verb(is_new), Kind::ConfigMap, &error))
    }

    fn failed(&self, verb: &'static str, kind: Kind, error: &kube::Error) -> StoreError {
        let (word, resource, name) = match kind {
            Kind::Secret => ("Secret", "secrets", &self.secret),
            Kind::ConfigMap => ("ConfigMap", "configmaps", &self.config_map),
        };
        let object = format!("{word} {}/{name}", self.namespace);
        match error {
            // 409: created by another first, or replaced. 404 of a replacement: deleted meanwhile.
            kube::Error::Api(status) if status.code == 409 || (status.code == 404 && verb == "update") => {
                StoreError::Conflict(object)
            }
            _ => {
                // A name cannot restrict who creates.
                let name = (verb != "create").then_some(name.as_str());
                let rule = Rule { role: "Role", group: "", resource, name, verbs: &[verb] };
                StoreError::Api(Trouble::of(&format!("cannot {verb} {object}"), error, &rule))
            }
        }
    }
}

/// Which of the two.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Secret,
    ConfigMap,
}

const fn verb(is_new: bool) -> &'static str {
    if is_new { "create" } else { "update" }
}

fn metadata(name: &str) -> ObjectMeta {
    let labels = [("app.kubernetes.io/part-of", "forebay"), ("app.kubernetes.io/managed-by", MANAGER)];
    ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        ..ObjectMeta::default()
    }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}
