//! What the API server is asked about tokens, and what happens when it is slow, away, or flooded.

mod support;

use std::net::IpAddr;
use std::sync::Arc;

use config::Millis;
use controller::clock::Clock;
use controller::identity::{Allowance, Denied, Identity, Lifetimes, Policy, Terms, Tokens};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;

use support::apiserver::ApiServer;
use support::tokens;

const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// Answers are fresh for no time at all, so that everything is asked.
fn impatient() -> Terms {
    let lifetimes = Lifetimes { fresh: Millis(0), ..Lifetimes::default() };
    Terms { lifetimes, pause: std::time::Duration::ZERO, ..Terms::default() }
}

async fn asking(terms: Terms) -> (ApiServer, Arc<Tokens>) {
    let api = ApiServer::start().await;
    let policy = Policy::new(["forebay/forebay-proxy".parse().unwrap()]);
    let tokens = Tokens::new(api.client(), policy, terms, Clock::start());
    (api, Arc::new(tokens))
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

async fn identify(tokens: &Tokens, token: &str) -> Result<Arc<Identity>, Denied> {
    tokens.identify(token, address(1)).await.map(|(_, identity)| identity)
}

#[tokio::test]
async fn the_request_names_token_and_audience() {
    let (api, reviewer) = asking(Terms::default()).await;
    let token = tokens::of_pod("shop", "web", "web-1");
    let identity = identify(&reviewer, &token).await.unwrap();
    assert_eq!(identity.grant.instance.as_deref(), Some("shop/web-1"));
    assert!(identity.ends.is_some());
    let (method, path, body) = api.state.lock().requests.remove(0);
    assert_eq!((method, path), (http::Method::POST, format!("{REVIEWS}?")));
    assert_eq!(body["spec"], json!({"token": token, "audiences": ["forebay.dev"]}));
    assert_eq!((&body["kind"], &body["apiVersion"]), (&"TokenReview".into(), &"authentication.k8s.io/v1".into()));
    // The answer serves for a while.
    identify(&reviewer, &token).await.unwrap();
    assert_eq!(api.asked(REVIEWS), 0);
}

#[tokio::test]
async fn many_who_show_one_token_wait_for_one_review() {
    let (api, tokens) = asking(Terms::default()).await;
    api.gate.send_replace(false);
    let token = tokens::unbound("shop", "web");
    let all = join_all((0..50).map(|_| identify(&tokens, &token)));
    let (answers, ()) = tokio::join!(all, async {
        api.arrived(1).await;
        api.gate.send_replace(true);
    });
    assert!(answers.into_iter().all(|answer| answer.is_ok()));
    assert_eq!(api.asked(REVIEWS), 1);
}

#[tokio::test]
async fn a_slow_api_server_has_a_few_reviews_at_once() {
    let patience_with_known = std::time::Duration::from_millis(200);
    let (api, tokens) = asking(Terms { places: 2, patience_with_known, ..impatient() }).await;
    let known = tokens::unbound("shop", "web");
    identify(&tokens, &known).await.unwrap();
    api.gate.send_replace(false);
    let review = |n: usize| {
        let (tokens, token) = (tokens.clone(), tokens::of_pod("shop", "web", &format!("web-{n}")));
        tokio::spawn(async move { identify(&tokens, &token).await })
    };
    let reviews = [review(1), review(2)];
    api.arrived(3).await;
    // Both places are taken, however long they are: who is known is believed without a third review.
    identify(&tokens, &known).await.unwrap();
    assert_eq!(api.asked(REVIEWS), 3);
    api.gate.send_replace(true);
    for review in reviews {
        review.await.unwrap().unwrap();
    }
    identify(&tokens, &known).await.unwrap();
    assert_eq!(api.asked(REVIEWS), 4);
}

#[tokio::test]
async fn while_the_api_server_is_away_those_it_accepted_are_believed() {
    let (api, tokens) = asking(impatient()).await;
    let (known, new) = (tokens::of_pod("shop", "web", "web-1"), tokens::of_pod("shop", "web", "web-2"));
    identify(&tokens, &known).await.unwrap();
    api.state.lock().fault = Some(StatusCode::INTERNAL_SERVER_ERROR);
    assert!(identify(&tokens, &known).await.is_ok());
    let refused = identify(&tokens, &new).await.unwrap_err();
    assert!(matches!(refused, Denied::Unavailable { .. }), "{refused}");
    assert_eq!(
        refused.to_string(),
        "the API server cannot be asked about this token at this moment (it refuses); come again in 5 s"
    );
    // An outage is nobody's fault: the address may come again.
    api.state.lock().fault = None;
    assert!(identify(&tokens, &new).await.is_ok());
    // And what it says when it is back counts.
    api.state.lock().revoked.push("shop:web".to_owned());
    assert!(matches!(identify(&tokens, &known).await, Err(Denied::Rejected(_))));
    api.state.lock().fault = Some(StatusCode::INTERNAL_SERVER_ERROR);
    assert!(matches!(identify(&tokens, &known).await, Err(Denied::Unavailable { .. })), "a refusal ends the belief");
}

#[tokio::test]
async fn a_grace_has_an_end() {
    let mut terms = impatient();
    terms.lifetimes.grace = Millis(0);
    let (api, tokens) = asking(terms).await;
    let token = tokens::unbound("shop", "web");
    identify(&tokens, &token).await.unwrap();
    api.state.lock().fault = Some(StatusCode::INTERNAL_SERVER_ERROR);
    assert!(matches!(identify(&tokens, &token).await, Err(Denied::Unavailable { .. })));
}

#[tokio::test]
async fn a_flood_of_bad_tokens_is_not_passed_on() {
    let allowance = Allowance { refusals: 5, refill: Millis::from_secs(3600) };
    let (api, tokens) = asking(Terms { allowance, ..impatient() }).await;
    let good = tokens::unbound("shop", "web");
    identify(&tokens, &good).await.unwrap();
    for n in 0..100 {
        let forged = tokens::made("forebay", "forebay-proxy", None, "forebay.dev", 4_000_000_000 + n, "forged");
        let refused = identify(&tokens, &forged).await.unwrap_err();
        assert_eq!(matches!(refused, Denied::Throttled { .. }), n >= 5, "{n}: {refused}");
    }
    assert_eq!(api.asked(REVIEWS), 6);
    // Whoever shares the address and is known gets through; so does everybody elsewhere.
    assert!(identify(&tokens, &good).await.is_ok());
    assert!(tokens.identify(&tokens::unbound("pay", "web"), address(2)).await.is_ok());
}

#[tokio::test]
async fn an_api_server_that_ignores_audiences_is_not_believed() {
    let (api, tokens) = asking(Terms::default()).await;
    let token = tokens::unbound("shop", "web");
    api.state.lock().audience_aware = false;
    let refused = identify(&tokens, &token).await.unwrap_err();
    assert!(refused.to_string().contains("did not check the audience"), "{refused}");
}
