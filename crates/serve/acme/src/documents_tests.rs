use super::*;

const SECRET: &str = "-----BEGIN PRIVATE KEY-----";

fn account() -> AccountDocument {
    AccountDocument {
        directory: "https://ca.test/dir".to_owned(),
        contact: Vec::new(),
        eab_key_id: String::new(),
        new_key: None,
        credentials: serde_json::json!({"key_pkcs8": SECRET}),
        is_gone: false,
        retired: None,
    }
}

fn order() -> OrderDocument {
    OrderDocument {
        pending: Some(PendingOrder {
            url: "https://ca.test/order/1".to_owned(),
            order_for: Wanted::default(),
            key_pem: SECRET.to_owned(),
            step: Step::RecordsSet,
            started_ms: 7,
        }),
        ..OrderDocument::default()
    }
}

fn certificate() -> CertificateDocument {
    CertificateDocument {
        chain_pem: "public".to_owned(),
        key_pem: SECRET.to_owned(),
        issued_for: Wanted::default(),
        not_before_ms: 1,
        not_after_ms: 2,
        renew_at_ms: 2,
        ari_id: None,
        window: None,
    }
}

#[test]
fn no_document_shows_a_key() {
    let text = format!("{:?} {:?} {:?}", account(), order(), certificate());
    assert!(!text.contains("PRIVATE"), "{text}");
}

/// A later version may have added fields, and an earlier one lacks some.
#[test]
fn documents_of_other_versions_can_be_read() {
    fn with_and_without<D: Document + PartialEq + fmt::Debug>(document: D, lacks: &[&str]) {
        let mut json = serde_json::to_value(&document).unwrap();
        json["a_later_field"] = serde_json::json!({"x": [1]});
        let fields = json.as_object_mut().unwrap();
        lacks
            .iter()
            .for_each(|field| drop(fields.remove(*field).expect("a field")));
        assert_eq!(serde_json::from_value::<D>(json).unwrap(), document);
    }
    with_and_without(account(), &["retired", "is_gone", "eab_key_id", "contact"]);
    with_and_without(order(), &["revocations", "attempts", "records"]);
    with_and_without(certificate(), &["ari_id", "window"]);
}

#[test]
fn the_stored_form_does_not_change() {
    let json = serde_json::to_string(&order()).unwrap();
    assert_eq!(
        json,
        r#"{"pending":{"url":"https://ca.test/order/1","order_for":{"directory":"","names":[],"profile":"","key_type":"ecdsa-p256"},"key_pem":"-----BEGIN PRIVATE KEY-----","step":"records_set","started_ms":7},"records":[],"revocations":[],"attempts":{"last_success_ms":null,"last_failure":null,"failure_count":0,"next_attempt_ms":null,"not_before_ms":null,"failed_for":null}}"#
    );
}
