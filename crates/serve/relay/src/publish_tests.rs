use quorate_fake::unverified;
use quorate_replica::{PublishMode, PublishState, TokenHash};
use sha2::{Digest, Sha256};

use super::*;

fn set_policy(relay: &Fixture, mode: PublishMode) {
    let hash = TokenHash(Sha256::digest("secret").into());
    relay.replica.set_publish_state(PublishState {
        mode,
        tokens: [("ci".to_owned(), hash)].into(),
        ..PublishState::default()
    });
}

/// RFC 6750, section 3.
#[tokio::test]
async fn a_client_without_a_token_is_asked_for_one() {
    let relay = Fixture::new(RelayConfig::default());
    let packet = packet(1, MICROS, "x", 30);
    set_policy(&relay, PublishMode::Tokens);
    let answer = relay.put(&packet, &[]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.field("www-authenticate"), "Bearer realm=\"publish\"");
    let wrong = [("authorization", "Bearer guess")];
    let answer = relay.put(&packet, &wrong).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.problem()["type"], ProblemType::WrongToken.uri());
    assert_eq!(*relay.replica.put_count.borrow(), 0);
    let right = [("authorization", "Bearer secret")];
    let answer = relay.put(&packet, &right).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let path = format!("/{}", packet.key());
    assert_eq!(relay.get(&path, &[]).await.status, StatusCode::OK);
}

/// A refresh keeps a packet in the cluster, so it counts as publishing.
#[tokio::test]
async fn a_key_that_may_not_publish_cannot_refresh() {
    let relay = Fixture::new(RelayConfig::default());
    let packet = packet(1, MICROS, "x", 30);
    relay.put(&packet, &[]).await;
    set_policy(&relay, PublishMode::AllowList);
    let answer = relay.put(&packet, &[]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.problem()["type"], ProblemType::ForbiddenKey.uri());
    assert_eq!(*relay.replica.put_count.borrow(), 1);
}

/// The stored packet has no valid signature, so verifying it again would fail.
#[tokio::test]
async fn bytes_that_are_stored_are_not_verified_again() {
    let relay = Fixture::new(RelayConfig::default());
    let key = *packet(1, MICROS, "x", 30).key();
    let stored = unverified(key, packet(1, MICROS, "x", 30).dns());
    let payload = stored.packet.payload().clone();
    let z32 = key.to_string();
    let answer = relay.put_bytes(&z32, payload.clone()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "nothing is stored");
    relay.replica.store(stored);
    let answer = relay.put_bytes(&z32, payload.clone()).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let mut other = payload.to_vec();
    *other.last_mut().unwrap() ^= 1;
    let answer = relay.put_bytes(&z32, other).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "one bit differs");
    let other_key = packet(2, MICROS, "x", 30).key().to_string();
    let answer = relay.put_bytes(&other_key, payload.clone()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "of another key");
    let mut longer = payload.to_vec();
    longer.resize(PAYLOAD_SIZE_MAX + 1, 0);
    let answer = relay.put_bytes(&z32, longer).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    relay.replica.fail_reads(true);
    let answer = relay.put_bytes(&z32, payload).await;
    assert_eq!(
        answer.status,
        StatusCode::BAD_REQUEST,
        "the store cannot be read"
    );
}
