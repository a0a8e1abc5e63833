//! nginx's `proxy_set_header`.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Changes to the request's header on its way to a server.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.set.exists(s, self.remove.exists(r, r.lowerAscii() == s.name.lowerAscii()))")
        .message("a header may be in set or in remove, not in both"),
)]
pub struct RequestHeaders {
    /// Headers that are replaced or added, in this order. Default: none.
    #[serde(default)]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub set: Vec<SetHeader>,

    /// Names of headers that are removed. Default: none.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128), regex(pattern = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub remove: Vec<String>,
}

/// One header and its value.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SetHeader {
    /// The header's name.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"))]
    pub name: String,

    /// A text with nginx variables, for example "$http_x_team"; an empty value removes the header.
    #[schemars(length(max = 4096), regex(pattern = r"^[^\x00\r\n]*$"))]
    pub value: String,
}
