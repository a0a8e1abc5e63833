//! The API server of these tests: that of `KUBECONFIG` if it is set, else one of their own that they share.

use std::env;
use std::path::PathBuf;

use cluster::{Cluster, Kubectl, Tools, required, until};
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::ApiResource;
use kube::{Client, Error};
use serde_json::Value;
use tokio::sync::OnceCell;

/// One API server with the CRD, entered by the calling thread.
pub struct Server {
    kubectl: Kubectl,
    client: Client,
}

/// What is wrong, as pairs of field and message, sorted.
pub type Verdict = Vec<(String, String)>;

static OWN: OnceCell<Option<Cluster>> = OnceCell::const_new();
static READY: OnceCell<()> = OnceCell::const_new();

impl Server {
    /// `None` after a loud word if there is none.
    pub async fn find() -> Option<Self> {
        let given = env::var_os("KUBECONFIG").filter(|path| !path.is_empty());
        let (kubectl, client) = if let Some(kubeconfig) = given {
            let program = Tools::find().map_or("kubectl".into(), |tools| tools.program("kubectl"));
            let client = Client::try_default().await.expect("KUBECONFIG names a cluster");
            (Kubectl::new(program, PathBuf::from(kubeconfig)), client)
        } else {
            let own = OWN.get_or_init(async || {
                let tools = required(Tools::find())?;
                Some(Cluster::light(tools).await.expect("an API server starts"))
            });
            let cluster = own.await.as_ref()?;
            cluster.enter();
            (cluster.kubectl(), cluster.client().await.expect("the administrator's kubeconfig"))
        };
        let server = Self { kubectl, client };
        READY.get_or_init(async || server.apply_crd().await).await;
        Some(server)
    }

    async fn apply_crd(&self) {
        let groups = self.kubectl.call(["get", "upstreamgroups", "--all-namespaces", "-o", "name"], "");
        assert!(!groups.success || groups.stdout.is_empty(), "this cluster is in use: {}", groups.stdout);
        self.kubectl.apply(&std::fs::read_to_string(super::CRD).unwrap());
        // It describes them (OpenAPI) some time after it serves them.
        for words in [["get", "upstreamgroups", "--all-namespaces"].as_slice(), &["explain", "upstreamgroups"]] {
            until("the API server to serve and describe UpstreamGroups", async || {
                self.kubectl.call(words, "").success.then_some(())
            })
            .await;
        }
    }

    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// A namespace of that name, new or not.
    pub fn namespace(&self, name: &str) -> String {
        let name = format!("forebay-test-{name}");
        let namespace = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.kubectl.apply(&namespace.to_string());
        name
    }

    /// What creating the object would answer.
    pub async fn create(&self, object: &Value) -> Result<Value, Error> {
        let kind = ApiResource::erase::<api::UpstreamGroup>(&());
        let groups: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), "default", &kind);
        let object = serde_json::from_value(object.clone()).expect("an object");
        // As kubectl does: an unknown field is an error.
        let params = PostParams { dry_run: true, ..PostParams::default() };
        groups.create(&params, &object).await.map(|created| serde_json::to_value(created).expect("JSON"))
    }

    pub async fn verdict(&self, object: &Value) -> Verdict {
        match self.create(object).await {
            Ok(_) => Vec::new(),
            Err(Error::Api(status)) => {
                let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
                assert!(!causes.is_empty(), "{object}: {status:?}");
                let mut causes: Vec<_> =
                    causes.iter().map(|cause| (cause.field.clone(), cause.message.clone())).collect();
                // Not about the object: a value of the wrong type or size keeps the API server from asking the rules.
                causes.retain(|(field, _)| field != "<nil>");
                causes.sort();
                causes
            }
            Err(error) => panic!("{object}: {error}"),
        }
    }
}
