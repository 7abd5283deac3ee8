//! Orders at a real authority: pebble, the test server of Let's Encrypt.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
    time::Duration,
};

use quorate_replica::{
    CertificateOperator, NamedSet, RecordSet, Renewal, Role, SecretError, SecretKind, SecretStore,
    ZoneChange, ZoneState,
};
use tokio::time::sleep;

use crate::{
    Delegated, KeyType,
    account::account,
    certificate_check::{check, summary},
    documents::Step,
    failure::FailureKind,
    fixture::{Cluster, Dns, EAB_KEY, Pebble, name, no_order, skip, wait_for},
    watch::{CertificatePem, watch_certificate},
};

const DAY: Duration = Duration::from_hours(24);

/// A cluster and an authority that asks its DNS; returns from the test if there is no pebble.
macro_rules! start {
    ($cluster:ident, $pebble:ident) => {
        start!($cluster, $pebble, false)
    };
    ($cluster:ident, $pebble:ident, $eab:literal) => {
        let $cluster = Cluster::new();
        let dns = Dns::start($cluster.replica.clone()).await;
        let Some($pebble) = Pebble::start(&dns, $eab).await else {
            return;
        };
    };
}

#[tokio::test]
async fn the_first_certificate_is_ordered_and_given_to_listeners() {
    start!(cluster, pebble);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let watched = seen.clone();
    let on_change = move |pem: CertificatePem| watched.lock().unwrap().push(pem);
    let watch = tokio::spawn(watch_certificate(cluster.replica.clone(), on_change));
    let node = cluster.node(pebble.config(&["dns.example.org"]));
    let certificate = cluster.next_certificate(None).await;

    let now = cluster.clock.clock().now();
    let names = ["dns.example.org".to_owned()];
    check(&certificate.chain_pem, &certificate.key_pem, &names, now).unwrap();
    assert_eq!(summary(&certificate, now).names, names);
    let share = (certificate.renew_at_ms - certificate.not_before_ms) as f64
        / (certificate.not_after_ms - certificate.not_before_ms) as f64;
    assert!(
        (0.66..0.72).contains(&share) || certificate.window.is_some(),
        "{share}"
    );
    assert_eq!(
        cluster.texts("example.org", "_acme-challenge.dns.example.org"),
        [""; 0]
    );
    assert_eq!((pebble.order_count(), pebble.account_count()), (1, 1));
    wait_for(
        || "the listeners".to_owned(),
        || (!seen.lock().unwrap().is_empty()).then_some(()),
    )
    .await;
    assert_eq!(seen.lock().unwrap()[0].chain, certificate.chain_pem);
    let status = node.status();
    assert!(
        status.last_success_ms.is_some() && status.last_failure.is_none(),
        "{status:?}"
    );
    assert!(!format!("{status:?}{certificate:?}").contains("PRIVATE"));
    watch.abort();
}

#[tokio::test]
async fn a_wildcard_and_its_base_name_share_a_name_with_two_values() {
    start!(cluster, pebble);
    let mine = NamedSet {
        owner: name("_acme-challenge.example.org"),
        record_type: 16,
        records: RecordSet {
            ttl_secs: 77,
            rdata: vec![b"\x04mine".as_slice().into()],
        },
    };
    let change = ZoneChange {
        zone: name("example.org"),
        clear: false,
        unset: Vec::new(),
        set: vec![mine],
    };
    let before = change.changed(&ZoneState::default()).unwrap().unwrap();
    cluster.replica.set_zone_state(before.clone());
    let mut config = pebble.config(&["*.example.org", "Example.org.", "www.example.com"]);
    config.key_type = KeyType::EcdsaP384;
    config.delegated = vec![Delegated {
        name: "www.example.com".to_owned(),
        challenge: "www-challenge.example.net".to_owned(),
    }];
    cluster
        .replica
        .secrets
        .answers_zones_served
        .send_replace(false);
    let _node = cluster.node(config);
    let texts = || cluster.texts("example.org", "_acme-challenge.example.org");
    wait_for(
        || format!("three records: {:?}", texts()),
        || (texts().len() == 3).then_some(()),
    )
    .await;
    assert_eq!(
        cluster
            .texts("example.net", "www-challenge.example.net")
            .len(),
        1
    );
    cluster
        .replica
        .secrets
        .answers_zones_served
        .send_replace(true);

    let certificate = cluster.next_certificate(None).await;
    let names = ["*.example.org", "example.org", "www.example.com"].map(str::to_owned);
    let now = cluster.clock.clock().now();
    check(&certificate.chain_pem, &certificate.key_pem, &names, now).unwrap();
    assert_eq!(texts(), ["mine"]);
    let after = quorate_replica::Reader::zone_state(&*cluster.replica);
    let of = |state: &ZoneState| state.zones[&name("example.org")].sets.clone();
    assert_eq!(of(&after), of(&before));
}

#[tokio::test]
async fn an_old_certificate_is_renewed_with_a_new_key_and_the_same_account() {
    start!(cluster, pebble);
    let _node = cluster.node(pebble.config(&["dns.example.org"]));
    let first = cluster.next_certificate(None).await;
    cluster.clock.advance(3 * DAY);
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(
        cluster.certificate().unwrap().key_pem,
        first.key_pem,
        "it is not due yet"
    );
    cluster.clock.advance(5 * DAY / 2);
    let second = cluster.next_certificate(Some(&first)).await;
    // The authority has another clock, so that the new one is old already, too.
    cluster.clock.advance(Duration::from_hours(5));
    let third = cluster.next_certificate(Some(&second)).await;
    assert_ne!(first.key_pem, third.key_pem);
    assert_eq!((pebble.order_count(), pebble.account_count()), (3, 1));
}

#[tokio::test]
async fn demands_are_met_at_once_and_other_names_hours_after_the_last_order() {
    start!(cluster, pebble);
    let node = cluster.node(pebble.config(&["dns.example.org"]));
    let first = cluster.next_certificate(None).await;
    cluster
        .replica
        .secrets
        .demand(&[SecretKind::Certificate], Renewal::Requested);
    let second = cluster.next_certificate(Some(&first)).await;
    assert_eq!(cluster.replica.renewal(SecretKind::Certificate), None);
    assert_eq!(pebble.count("/revoke-cert"), 0);
    drop(node);
    let _node = cluster.node(pebble.config(&["a.example.org", "b.example.net"]));
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(pebble.order_count(), 2);
    cluster.clock.advance(Duration::from_hours(6));
    let third = cluster.next_certificate(Some(&second)).await;
    assert_eq!(third.issued_for.names, ["a.example.org", "b.example.net"]);
    assert_eq!((pebble.order_count(), pebble.account_count()), (3, 1));
}

/// At each step, the leader that has stored it loses leadership, and another node goes on.
#[tokio::test]
async fn the_next_leader_goes_on_with_the_order_of_the_one_before_it() {
    for step in [
        Step::Created,
        Step::RecordsSet,
        Step::ChallengesReady,
        Step::Finalized,
    ] {
        start!(cluster, pebble);
        let first = cluster.node(pebble.config(&["dns.example.org", "*.dns.example.org"]));
        let what = || format!("step {step:?}; there is {:?}", cluster.order());
        wait_for(what, || {
            let pending = cluster.order().pending?;
            (pending.step >= step).then(|| cluster.set_role(Role::Follower))
        })
        .await;
        let pending = cluster.order().pending.expect("the order is stored");
        sleep(Duration::from_millis(300)).await;
        let second = cluster.node(pebble.config(&["*.dns.example.org", "dns.example.org"]));
        sleep(Duration::from_millis(300)).await;
        assert_eq!(
            cluster.order().pending,
            Some(pending.clone()),
            "followers do nothing"
        );
        drop(first);
        cluster.set_role(Role::Leader);

        let certificate = cluster.next_certificate(None).await;
        assert_eq!(certificate.key_pem, pending.key_pem, "{step:?}");
        assert_eq!(
            (pebble.order_count(), pebble.account_count()),
            (1, 1),
            "{step:?}"
        );
        assert_eq!(cluster.order().attempts.failure_count, 0, "{step:?}");
        assert_eq!(
            cluster.texts("example.org", "_acme-challenge.dns.example.org"),
            [""; 0]
        );
        assert!(no_order(&second));
    }
}

/// A leader stored the certificate and stopped before it removed the records.
#[tokio::test]
async fn what_a_finished_order_left_is_removed_by_the_next_leader() {
    start!(cluster, pebble);
    let first = cluster.node(pebble.config(&["dns.example.org"]));
    let owner = "_acme-challenge.dns.example.org";
    wait_for(
        || "the certificate".to_owned(),
        || {
            cluster
                .certificate()
                .map(|_| cluster.set_role(Role::Follower))
        },
    )
    .await;
    drop(first);
    cluster.set_role(Role::Leader);
    let _second = cluster.node(pebble.config(&["dns.example.org"]));
    cluster.next_certificate(None).await;
    assert_eq!(cluster.texts("example.org", owner), [""; 0]);
    let success = || cluster.order().attempts.last_success_ms;
    wait_for(|| "the success".to_owned(), success).await;
    assert_eq!(pebble.order_count(), 1);
}

#[tokio::test]
async fn an_order_that_the_authority_forgot_is_replaced() {
    start!(cluster, pebble);
    cluster
        .replica
        .secrets
        .answers_zones_served
        .send_replace(false);
    let node = cluster.node(pebble.config(&["dns.example.org"]));
    wait_for(|| "the order".to_owned(), || cluster.order().pending).await;
    cluster.set_role(Role::Follower);
    sleep(Duration::from_millis(300)).await;
    drop(node);
    let mut slot = crate::stored::load_order(&*cluster.replica).unwrap();
    let mut order = slot.document.clone().unwrap();
    let pending = order.pending.as_mut().unwrap();
    pending.url.push_str("gone");
    cluster.set_role(Role::Leader);
    slot.save(&*cluster.replica, order).await.unwrap();
    cluster
        .replica
        .secrets
        .answers_zones_served
        .send_replace(true);
    let _node = cluster.node(pebble.config(&["dns.example.org"]));
    cluster.next_certificate(None).await;
    assert_eq!((pebble.order_count(), pebble.account_count()), (2, 1));
    assert_eq!(cluster.order().attempts.failure_count, 0);
}

#[tokio::test]
async fn an_account_can_be_bound_to_an_external_one() {
    start!(cluster, pebble, true);
    let key = pebble.path("eab.key");
    fs::write(&key, format!("{EAB_KEY}\n")).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let mut config = pebble.config(&["dns.example.org"]);
    config.eab_key_id = "kid-1".to_owned();
    config.eab_hmac_key_file = key;
    config.contact = vec!["mailto:hostmaster@example.org".to_owned()];
    let _node = cluster.node(config);
    cluster.next_certificate(None).await;
    assert_eq!(pebble.count("Successful newAccount Binding"), 1);
}

#[tokio::test]
async fn a_refused_or_exposed_external_account_is_reported() {
    start!(cluster, pebble, true);
    let key = pebble.path("eab.key");
    fs::write(&key, "AAAA").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let mut config = pebble.config(&["dns.example.org"]);
    let _node = cluster.node(config.clone());
    let order = cluster.next_failure(0).await;
    let failure = order.attempts.last_failure.unwrap();
    assert_eq!(failure.kind, FailureKind::Account, "{}", failure.text);

    config.eab_key_id = "kid-1".to_owned();
    config.eab_hmac_key_file = key.clone();
    let node = cluster.node(config.clone());
    cluster.clock.advance(Duration::from_mins(2));
    let failed = || {
        node.status()
            .last_failure
            .filter(|failure| failure.kind == "config")
    };
    let failure = wait_for(|| format!("{:?}", node.status()), failed).await;
    assert!(failure.text.contains("chmod 640"), "{}", failure.text);

    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    cluster.clock.advance(Duration::from_hours(7));
    let failed = || {
        node.status()
            .last_failure
            .filter(|failure| failure.kind == "account")
    };
    let failure = wait_for(|| format!("{:?}", node.status()), failed).await;
    assert!(!failure.text.contains("AAAA"), "{}", failure.text);
    assert_eq!(cluster.certificate(), None);
}

/// The names are in the zone, but the authority asks a server that does not have them.
#[tokio::test]
async fn a_failed_challenge_is_reported_and_the_records_are_removed() {
    let cluster = Cluster::new();
    let elsewhere = Cluster::new();
    let dns = Dns::start(elsewhere.replica.clone()).await;
    let Some(pebble) = Pebble::start(&dns, false).await else {
        return;
    };
    let node = cluster.node(pebble.config(&["dns.example.org"]));
    let order = cluster.next_failure(0).await;
    let failure = order.attempts.last_failure.clone().unwrap();
    assert_eq!(failure.kind, FailureKind::Challenge, "{}", failure.text);
    assert!(failure.text.contains("dns.example.org"), "{}", failure.text);
    assert_eq!(order.pending, None);
    assert_eq!(
        cluster.texts("example.org", "_acme-challenge.dns.example.org"),
        [""; 0]
    );
    // Neither another look nor a restart makes the next attempt earlier.
    drop(node);
    let _node = cluster.node(pebble.config(&["dns.example.org"]));
    sleep(Duration::from_millis(2500)).await;
    assert_eq!((pebble.order_count(), cluster.order()), (1, order));
    cluster.clock.advance(Duration::from_secs(70));
    assert_eq!(cluster.next_failure(1).await.attempts.failure_count, 2);
    assert_eq!(pebble.order_count(), 2);
}

#[tokio::test]
async fn records_that_are_not_served_are_never_announced_to_the_authority() {
    start!(cluster, pebble);
    let error = SecretError::Failed("node b is behind".to_owned());
    cluster.replica.secrets.fail_zones_served(error);
    let _node = cluster.node(pebble.config(&["dns.example.org"]));
    let order = cluster.next_failure(0).await;
    let failure = order.attempts.last_failure.clone().unwrap();
    assert_eq!(failure.kind, FailureKind::Zone);
    assert!(failure.text.contains("node b is behind"));
    assert_eq!(pebble.count("/chalZ/"), 0);
    assert_eq!(order.records, []);
    cluster.replica.secrets.fail_zones_served(None);
    cluster.clock.advance(Duration::from_mins(2));
    cluster.next_certificate(None).await;
    assert_eq!(pebble.order_count(), 1, "the order was not given up");
}

/// A machine was removed that has all secrets.
#[tokio::test]
async fn compromised_secrets_are_all_replaced_and_the_certificate_is_revoked() {
    start!(cluster, pebble);
    let node = cluster.node(pebble.config(&["dns.example.org"]));
    let first = cluster.next_certificate(None).await;
    let account = cluster.account();
    let kinds = [
        SecretKind::AcmeAccount,
        SecretKind::AcmeOrder,
        SecretKind::Certificate,
    ];
    cluster.replica.secrets.demand(&kinds, Renewal::Compromised);
    cluster.next_certificate(Some(&first)).await;
    wait_for(
        || format!("the revocation: {:?}", cluster.order()),
        || {
            (pebble.count("/revoke-cert") > 0 && cluster.order().revocations.is_empty())
                .then_some(())
        },
    )
    .await;
    let now = cluster.account();
    assert_ne!(
        now.credentials, account.credentials,
        "the key is another one"
    );
    assert_eq!(
        now.credentials["id"], account.credentials["id"],
        "of the same account"
    );
    assert!(pebble.count("/rollover-account-key") > 0);
    let error = cluster
        .revoke(pebble.config(&["dns.example.org"]), &first)
        .await;
    assert!(error.ends_with(":alreadyRevoked"), "{error}");
    assert_eq!(kinds.map(|kind| cluster.replica.renewal(kind)), [None; 3]);
    assert_eq!(node.status().failure_count, 0);
    assert_eq!((pebble.order_count(), pebble.account_count()), (2, 1));
}

#[tokio::test]
async fn a_deactivated_account_is_replaced() {
    start!(cluster, pebble);
    let config = pebble.config(&["dns.example.org"]);
    let _node = cluster.node(config.clone());
    let first = cluster.next_certificate(None).await;
    let context = cluster.context(config);
    let account = account(&context, &context.client().unwrap()).await.unwrap();
    account.deactivate().await.unwrap();
    cluster
        .replica
        .secrets
        .demand(&[SecretKind::Certificate], Renewal::Requested);
    let failure = cluster.next_failure(0).await.attempts.last_failure.unwrap();
    assert_eq!(failure.kind, FailureKind::Account, "{}", failure.text);
    cluster.clock.advance(Duration::from_mins(2));
    cluster.next_certificate(Some(&first)).await;
    assert_eq!(pebble.account_count(), 2);
}

/// A leader changed the key of the account and stopped before it stored the new one.
#[tokio::test]
async fn an_account_whose_new_key_was_lost_is_replaced() {
    start!(cluster, pebble);
    let node = cluster.node(pebble.config(&["dns.example.org"]));
    let first = cluster.next_certificate(None).await;
    let old = cluster.account();
    cluster
        .replica
        .secrets
        .demand(&[SecretKind::AcmeAccount], Renewal::Compromised);
    wait_for(
        || "a new key".to_owned(),
        || (cluster.account() != old).then_some(()),
    )
    .await;
    cluster.set_role(Role::Follower);
    sleep(Duration::from_millis(300)).await;
    drop(node);
    cluster.set_role(Role::Leader);
    let mut slot = crate::stored::Slot::load(&*cluster.replica).unwrap();
    slot.save(&*cluster.replica, old.clone()).await.unwrap();
    cluster.replica.secrets.demand(
        &[SecretKind::AcmeAccount, SecretKind::Certificate],
        Renewal::Compromised,
    );
    let _node = cluster.node(pebble.config(&["dns.example.org"]));
    cluster.next_certificate(Some(&first)).await;
    assert_ne!(cluster.account().credentials["id"], old.credentials["id"]);
    assert_eq!(pebble.account_count(), 2);
}

/// Newer versions of pebble suggest when to renew.
#[tokio::test]
async fn a_suggested_time_of_renewal_is_stored() {
    start!(cluster, pebble);
    let _node = cluster.node(pebble.config(&["dns.example.org"]));
    cluster.next_certificate(None).await;
    sleep(Duration::from_millis(1500)).await;
    if pebble.count("/draft-ietf-acme-ari") + pebble.count("renewal-info") == 0 {
        skip("this version of pebble has no renewal information");
        return;
    }
    let window = || cluster.certificate()?.window;
    let window = wait_for(|| "the window".to_owned(), window).await;
    let renew_at_ms = cluster.certificate().unwrap().renew_at_ms;
    assert!((window.start_ms..=window.end_ms).contains(&renew_at_ms));
    let before = cluster.certificate().unwrap();
    cluster.clock.advance(
        Duration::from_millis(renew_at_ms - before.not_before_ms) + Duration::from_hours(2),
    );
    cluster.next_certificate(Some(&before)).await;
    assert_eq!(pebble.order_count(), 2);
}
