use quorate_api::{AdminRequest, RenewCertificateRequest, RotateKeyRequest};
use serde_json::json;

use crate::fixture::Fixture;

#[tokio::test]
async fn the_certificate_is_shown_and_a_new_one_demanded() {
    let fixture = Fixture::new();
    let status = fixture.get("/v1/certificate").await.json();
    assert_eq!(status["names"], json!(["dns.test"]));
    let demanded = fixture.ask("POST", "/v1/certificate/renewal", "").await;
    assert_eq!(demanded.json(), status);
    let sent = fixture.replica.operators.take_requests();
    let expected = AdminRequest::RenewCertificate(RenewCertificateRequest {});
    assert_eq!(sent, [expected]);
}

#[tokio::test]
async fn the_cluster_key_is_replaced() {
    let fixture = Fixture::new();
    for (body, discard_lost) in [("", false), (r#"{"discard_lost":true}"#, true)] {
        let rotated = fixture.ask("POST", "/v1/cluster-key", body).await;
        assert_eq!(rotated.json()["discarded"], discard_lost);
        let sent = fixture.replica.operators.take_requests();
        let expected = AdminRequest::RotateKey(RotateKeyRequest { discard_lost });
        assert_eq!(sent, [expected]);
    }
}
