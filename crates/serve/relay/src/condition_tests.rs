use super::*;

#[tokio::test]
async fn a_put_with_a_condition_on_another_version_fails() {
    let relay = Fixture::new(RelayConfig::default());
    let stored = packet(1, MICROS + 999_999, "x", 30);
    let newer = packet(1, MICROS + 5_000_000, "y", 30);
    let path = format!("/{}", stored.key());
    relay.put(&stored, &[]).await;
    let etag = relay.get(&path, &[]).await.field("etag").to_owned();
    let bare = stored.timestamp().to_string();
    let other = (stored.timestamp().as_micros() - 1).to_string();
    let on_time = "Tue, 14 Nov 2023 22:13:20 GMT";
    let before = "Tue, 14 Nov 2023 22:13:19 GMT";

    for fields in [
        [("if-match", &*other)],
        [("if-match", "\"x\"")],
        [("if-unmodified-since", before)],
    ] {
        let answer = relay.put(&newer, &fields).await;
        assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED, "{fields:?}");
        let repeated = relay.put(&stored, &fields).await;
        assert_eq!(
            repeated.status,
            StatusCode::NO_CONTENT,
            "identical bytes are not a conflict"
        );
    }
    let quoted = format!("\"1\", \"{bare}\"");
    for (seconds, fields) in [
        (6, [("if-match", &*bare)]),
        (7, [("if-unmodified-since", on_time)]),
        (8, [("if-match", &*quoted)]),
        (9, [("if-match", &*etag)]),
        (10, [("if-match", "*")]),
    ] {
        relay.replica.store(received_now(stored.clone()));
        let newer = packet(1, MICROS + seconds * 1_000_000, "y", 30);
        let answer = relay.put(&newer, &fields).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{fields:?}");
    }
}

#[tokio::test]
async fn without_a_stored_packet_a_condition_on_a_version_is_met() {
    let relay = Fixture::new(RelayConfig::default());
    let first = packet(1, MICROS, "x", 30);
    let any = relay.put(&first, &[("if-match", "*")]).await;
    assert_eq!(any.status, StatusCode::PRECONDITION_FAILED);
    let named = relay.put(&first, &[("if-match", "17")]).await;
    assert_eq!(named.status, StatusCode::NO_CONTENT);
}

/// RFC 9110, section 13.1.2.
#[tokio::test]
async fn a_put_with_if_none_match_any_replaces_nothing() {
    let relay = Fixture::new(RelayConfig::default());
    let [first, second] = [1, 2].map(|micros| packet(1, MICROS + micros, "x", 30));
    let is_first = [("if-none-match", "*")];
    let answer = relay.put(&first, &is_first).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "nothing is stored");
    let answer = relay.put(&second, &is_first).await;
    assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED);
    let answer = relay.put(&first, &is_first).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "it is repeated");
}

/// RFC 9110, section 13.2.2.
#[tokio::test]
async fn conditions_are_evaluated_in_the_order_of_the_rfc() {
    let relay = Fixture::new(RelayConfig::default());
    let stored = packet(1, MICROS, "x", 30);
    relay.put(&stored, &[]).await;
    let path = format!("/{}", stored.key());
    let own = relay.get(&path, &[]).await.field("etag").to_owned();
    let weak = format!("W/{own}");
    let (own, weak) = (&*own, &*weak);
    let before = "Tue, 14 Nov 2023 22:13:19 GMT";
    let newer = packet(1, MICROS + 1_000_000, "y", 30);
    for fields in [
        vec![("if-match", own), ("if-none-match", own)],
        vec![("if-match", own), ("if-none-match", "*")],
        vec![("if-match", "\"x\""), ("if-none-match", "\"x\"")],
        // If-Match needs a strong match, and for If-None-Match a weak match is enough.
        vec![("if-match", weak)],
        vec![("if-none-match", weak)],
        vec![("if-none-match", "\"x\""), ("if-none-match", own)],
        vec![("if-unmodified-since", before), ("if-none-match", "\"x\"")],
    ] {
        let answer = relay.put(&newer, &fields).await;
        assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED, "{fields:?}");
    }
    for fields in [
        // With a tag, the date is ignored.
        vec![("if-match", own), ("if-unmodified-since", before)],
        vec![("if-match", "\"x\""), ("if-match", own)],
        vec![("if-match", own), ("if-none-match", "\"x\"")],
        vec![("if-unmodified-since", "yesterday")],
    ] {
        relay.replica.store(received_now(stored.clone()));
        let answer = relay.put(&newer, &fields).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{fields:?}");
    }
}

#[tokio::test]
async fn malformed_conditions_are_bad_requests() {
    let relay = Fixture::new(RelayConfig::default());
    let packet = packet(1, MICROS, "x", 30);
    let many = (0..17).map(|n| n.to_string()).collect::<Vec<_>>();
    let (many, few) = (many.join(","), many[1..].join(","));
    for name in ["if-match", "if-none-match"] {
        for value in ["", ",", "x", "\"x", "*, *", "*, \"x\"", "1 2", "W/5", &many] {
            let answer = relay.put(&packet, &[(name, value)]).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}: {value}");
            let uri = ProblemType::BadCondition.uri();
            assert_eq!(answer.problem()["type"], uri, "{name}: {value}");
        }
        assert_eq!(*relay.replica.put_count.borrow(), 0);
    }
    for name in ["if-match", "if-none-match"] {
        let answer = relay.put(&packet, &[(name, &few)]).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{name}: {few}");
    }
}

#[tokio::test]
async fn a_client_that_has_the_packet_gets_304() {
    let relay = Fixture::new(RelayConfig::default());
    let stored = packet(1, MICROS, "x", 30);
    let path = format!("/pkarr/{}", stored.key());
    relay.put(&stored, &[]).await;
    let etag = relay.get(&path, &[]).await.field("etag").to_owned();
    let weak = format!("\"0-0\", W/{etag}");
    for fields in [
        [("if-none-match", &*etag)],
        [("if-none-match", &*weak)],
        [("if-none-match", "*")],
        [("if-modified-since", "Tue, 14 Nov 2023 22:13:20 GMT")],
    ] {
        let answer = relay.get(&path, &fields).await;
        assert_eq!(answer.status, StatusCode::NOT_MODIFIED, "{fields:?}");
        assert_eq!(answer.field("etag"), etag);
        assert!(answer.max_age() <= 30);
        assert!(answer.body.is_empty());
    }
    let ignored = [
        ("if-none-match", "\"1\""),
        ("if-modified-since", "Tue, 14 Nov 2023 22:13:20 GMT"),
    ];
    assert_eq!(relay.get(&path, &ignored).await.status, StatusCode::OK);
    for date in ["Tue, 14 Nov 2023 22:13:19 GMT", "yesterday", ""] {
        let answer = relay.get(&path, &[("if-modified-since", date)]).await;
        assert_eq!(answer.status, StatusCode::OK, "{date}");
    }
}

#[tokio::test]
async fn two_packets_of_one_second_are_never_confused() {
    let relay = Fixture::new(RelayConfig::default());
    let [first, second] = [1, 2].map(|micros| packet(1, MICROS + micros, "x", 30));
    let path = format!("/pkarr/{}", first.key());
    relay.put(&first, &[]).await;
    let seen = relay.get(&path, &[]).await;
    relay.put(&second, &[]).await;
    for fields in [
        ("if-modified-since", seen.field("last-modified")),
        ("if-none-match", seen.field("etag")),
    ] {
        let answer = relay.get(&path, &[fields]).await;
        assert_eq!(answer.body, *second.payload(), "{fields:?}");
    }
}

#[tokio::test]
async fn packets_of_one_timestamp_have_different_tags() {
    let relay = Fixture::new(RelayConfig::default());
    let path = format!("/{}", packet(1, MICROS, "a", 30).key());
    let mut tags = Vec::new();
    for txt in ["a", "b"] {
        relay
            .replica
            .store(received_now(packet(1, MICROS, txt, 30)));
        tags.push(relay.get(&path, &[]).await.field("etag").to_owned());
    }
    assert_ne!(tags[0], tags[1]);
}

/// Otherwise every request reaches this node once the first TTL is over.
#[tokio::test]
async fn a_cache_may_keep_a_packet_for_its_ttl_however_old_it_is() {
    let relay = Fixture::new(RelayConfig::default());
    let path = format!("/{}", packet(1, MICROS, "x", 0).key());
    for (ttl, max_age) in [(0, 10), (30, 30), (300, 300), (86_400, 300)] {
        for age_secs in [0, 100, 100_000] {
            let mut stored = received_now(packet(1, MICROS, "x", ttl));
            stored.received.0 -= age_secs * 1000;
            relay.replica.store(stored);
            let got = relay.get(&path, &[]).await;
            assert_eq!(got.max_age(), max_age, "{ttl} s after {age_secs} s");
            let tag = got.field("etag").to_owned();
            let unchanged = relay.get(&path, &[("if-none-match", tag.as_str())]).await;
            assert_eq!(unchanged.status, StatusCode::NOT_MODIFIED);
            assert_eq!(unchanged.max_age(), max_age, "after {age_secs} s");
        }
    }
}

#[tokio::test]
async fn caches_keep_a_missing_packet_only_briefly() {
    let relay = Fixture::new(RelayConfig::default());
    let path = format!("/pkarr/{}", packet(1, MICROS, "x", 30).key());
    let answer = relay.get(&path, &[]).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!((1..=10).contains(&answer.max_age()));
    assert!(answer.text().contains("no packet"));
}

#[tokio::test]
async fn a_failing_store_is_not_reported_as_a_missing_packet() {
    let relay = Fixture::new(RelayConfig::default());
    let packet = packet(1, MICROS, "x", 30);
    relay.put(&packet, &[]).await;
    relay.replica.fail_reads(true);
    let path = format!("/pkarr/{}", packet.key());
    let answer = relay.get(&path, &[]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.field("cache-control"), "no-store");
    assert!(
        !answer.text().contains(READ_ERROR),
        "details of the error are not for the client"
    );
}

#[tokio::test]
async fn network_only_sees_what_is_committed_and_the_other_policies_do_not_wait() {
    let relay = Fixture::new(RelayConfig::default());
    let packet = packet(1, MICROS, "x", 30);
    let path = |policy| format!("/pkarr/{}?a=b&policy={policy}", packet.key());
    relay.replica.commit(received_now(packet.clone()));
    for policy in ["CacheOnly", "CacheFirst"] {
        let answer = relay.get(&path(policy), &[]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{policy}");
        assert_eq!(answer.field("quorate-consistency"), "stale");
    }
    let answer = relay.get(&path("NetworkOnly"), &[]).await;
    assert_eq!(answer.body, *packet.payload());
    assert_eq!(answer.field("quorate-consistency"), "linearizable");
    assert_eq!(answer.field("quorate-known-leader"), "true");
    assert_eq!(answer.field("quorate-applied-index"), "41");
    assert_eq!(answer.field("cache-control"), "no-cache");
    let answer = relay.get(&path("Whatever"), &[]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn without_a_leader_only_linearizable_reads_fail() {
    let relay = Fixture::new(RelayConfig::default());
    let packet = packet(1, MICROS, "x", 30);
    relay.replica.store(received_now(packet.clone()));
    relay.replica.fail_linearize();
    let path = format!("/pkarr/{}?policy=", packet.key());
    let answer = relay.get(&(path.clone() + "NetworkOnly"), &[]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let answer = relay.get(&(path + "CacheFirst"), &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.field("quorate-known-leader"), "false");
}
