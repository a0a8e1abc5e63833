//! Tokens in the form the API server makes them. The signature says what the fake API server is to answer.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

/// A token bound to a pod of a ServiceAccount.
pub fn of_pod(namespace: &str, account: &str, pod: &str) -> String {
    made(namespace, account, Some(pod), "forebay.dev", 4_000_000_000, "good")
}

/// A token that is bound to nothing, as `kubectl create token` makes it.
pub fn unbound(namespace: &str, account: &str) -> String {
    made(namespace, account, None, "forebay.dev", 4_000_000_000, "good")
}

/// Any token.
pub fn made(namespace: &str, account: &str, pod: Option<&str>, audience: &str, exp: u64, signature: &str) -> String {
    let mut claims = json!({
        "aud": [audience], "exp": exp, "sub": format!("system:serviceaccount:{namespace}:{account}"),
        "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": account}},
    });
    if let Some(pod) = pod {
        claims["kubernetes.io"]["pod"] = json!({"name": pod});
    }
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", encode(r#"{"alg":"RS256"}"#), encode(&claims.to_string()), encode(signature))
}
