use quorate_raft::RaftSettings;

use super::*;

#[test]
fn listeners_that_clash_are_named() {
    check(
        "[http]\nlisten = \"0.0.0.0:7700\"\n",
        &[
            "FILE:3: peer.listen[0]: 0.0.0.0:7700 clashes with http.listen, which listens on \
           0.0.0.0:7700",
        ],
    );
    check(
        "[dns]\nlisten = \"0.0.0.0:9100\"\n",
        &[
            "FILE:3: dns.listen: 0.0.0.0:9100 clashes with admin.listen[0], which listens on \
           127.0.0.1:9100",
        ],
    );
    check(
        "[http]\nlisten = \"[::]:9100\"\n",
        &[
            "FILE:3: admin.listen[1]: [::1]:9100 clashes with http.listen, which listens on [::]:9100",
        ],
    );
    check(
        "[dns]\nlisten = [\"127.0.0.1:53\", \"[::]:53\", \"127.0.0.1:53\"]\n",
        &[
            "FILE:3: dns.listen[2]: 127.0.0.1:53 clashes with dns.listen[0], which listens on \
           127.0.0.1:53",
        ],
    );
    // Sockets on IPv6 do not take IPv4, and QUIC uses UDP, so none of these clash.
    let apart = "version = 1\n[http]\nlisten = \"127.0.0.2:9100\"\n[peer]\nlisten = \"0.0.0.0:0\"\n\
                 [admin]\nlisten = \"127.0.0.1:9100\"\n\
                 [dns]\nlisten = [\"0.0.0.0:0\", \"[::]:9100\"]\n\
                 tls_listen = [\"0.0.0.0:853\"]\nquic_listen = [\"0.0.0.0:853\"]\n\
                 [tls]\ncertificate_file = \"c\"\nkey_file = \"k\"\n";
    let apart = file(apart);
    load(Sources {
        file: Some(apart.path().into()),
        ..Sources::default()
    })
    .unwrap();
}

#[test]
fn lists_of_networks_reject_invalid_items_and_networks_of_everything() {
    let advice = "any client could choose the address by which it is limited. List only the addresses of the proxies";
    check(
        "[http]\ntrusted_proxies = [\"0.0.0.0/1\", \"128.0.0.0/1\"]\n",
        &[&format!(
            "FILE:3: http.trusted_proxies: this is all of IPv4: {advice}"
        )],
    );
    check(
        "[http]\ntrusted_proxies = [\"::/0\"]\n",
        &[&format!(
            "FILE:3: http.trusted_proxies: this is all of IPv6: {advice}"
        )],
    );
    check(
        "[limit]\ndns_exempt_networks = [\"0.0.0.0/0\"]\n",
        &[
            "FILE:3: limit.dns_exempt_networks: this is all of IPv4: to exempt everybody, set \
             limit.enabled = false",
        ],
    );
    let none = "is neither an IP address nor a prefix such as 10.0.0.0/8";
    check(
        "[limit]\ndns_exempt_networks = [\n\"10.0.0.0/8\",\n\"a\",\n]\n",
        &[&format!("FILE:5: limit.dns_exempt_networks[1]: `a` {none}")],
    );
}

#[test]
fn encrypted_listeners_need_a_certificate_and_its_key() {
    check(
        "[dns]\ntls_listen = [\"0.0.0.0:853\"]\n",
        &[
            "FILE:3: dns.tls_listen: it needs a certificate: set tls.certificate_file and \
             tls.key_file, or tls.acme.directory",
        ],
    );
    for name in ["tls_listen", "proxy_tls_listen"] {
        check(
            &format!("[http]\ntrusted_proxies = [\"10.0.0.1\"]\n{name} = [\"0.0.0.0:443\"]\n"),
            &[&format!(
                "FILE:4: http.{name}: it needs a certificate: set tls.certificate_file and \
                 tls.key_file, or tls.acme.directory"
            )],
        );
    }
    check(
        "[tls]\nkey_file = \"k\"\n",
        &[
            "FILE:3: tls.certificate_file: a certificate and its key belong together: set both or neither",
        ],
    );
    check(
        "[dns]\nlisten = []\n",
        &["FILE:3: dns.listen: it is empty: list at least one address"],
    );
}

#[test]
fn listeners_for_proxies_need_proxies() {
    check(
        "[http]\nproxy_listen = [\"0.0.0.0:8081\"]\n",
        &["FILE:3: http.proxy_listen: no proxy may connect to it: list the proxies that do"],
    );
}

#[test]
fn origins_must_be_different_and_consistent() {
    check(
        "[[dns.origins]]\nname = \"Example.org\"\n[[dns.origins]]\nname = \"example.org.\"\n",
        &["FILE:5: dns.origins[1].name: example.org. is already dns.origins[0]"],
    );
    check(
        "[[dns.origins]]\nns = [\"a..b\"]\n",
        &[
            "FILE:2: dns.origins[0].name: it is missing; write a domain name such as \
           \"dns.example.org.\"",
        ],
    );
    check(
        "[[dns.origins]]\nname = \"example.org.\"\nns = [\"ns.example.org.\"]\nttl_secs = 0\n\
         soa = { minimum_secs = 86400 }\n[dns.origins.ns_addresses]\n\
         \"ns.example.com.\" = [\"192.0.2.1\"]\n\"ns.example.org.\" = []\n\
         \"other.example.org.\" = [\"192.0.2.1\"]\n",
        &[
            "FILE:5: dns.origins[0].ttl_secs: 0 is not between 1 and 604800: resolvers cache a mistake \
             this long",
            "FILE:6: dns.origins[0].soa.minimum_secs: 86400 is not between 1 and 60: an endpoint that \
             a client looked up before it published stays invisible this long",
            "FILE:8: dns.origins[0].ns_addresses.\"ns.example.com.\": ns.example.com. is outside \
             example.org.: set it in its own zone",
            "FILE:9: dns.origins[0].ns_addresses.\"ns.example.org.\": no address is listed",
            "FILE:10: dns.origins[0].ns_addresses.\"other.example.org.\": other.example.org. is not \
             listed in ns",
        ],
    );
    check(
        "[[dns.origins]]\nname = \"example.org.\"\na = [\"::1\"]\nsoa = { expire = 1 }\n",
        &[
            "FILE:4: dns.origins[0].a[0]: \"::1\" is not an IPv4 address, such as \"192.0.2.1\"",
            "FILE:5: dns.origins[0].soa.expire: unknown field `expire`, expected one of `mname`, \
             `rname`, `serial`, `refresh_secs`, `retry_secs`, `expire_secs`, `minimum_secs`",
        ],
    );
}

#[test]
fn an_origin_inside_another_keeps_its_own_names() {
    check(
        "[[dns.origins]]\nname = \"example.org.\"\nns = [\"ns.dns.example.org.\"]\n\
         ns_addresses = { \"ns.dns.example.org.\" = [\"::1\"] }\n\
         [[dns.origins]]\nname = \"dns.example.org.\"\n",
        &[
            "FILE:2: dns.origins: origin example.org.: ns.dns.example.org. belongs to the zone \
             dns.example.org.: set it there",
        ],
    );
}

#[test]
fn a_name_server_without_an_address_is_a_warning() {
    let origin = "[{ name = \"example.org\", ns = [\"ns.example.org\", \"ns.example.com\"] }]";
    let loaded = load(environment(&[("QUORATE_DNS_ORIGINS", origin)])).unwrap();
    let [warning] = &loaded.warnings[..] else {
        panic!("one warning")
    };
    assert!(
        warning
            .to_string()
            .contains("dns.origins[0].ns[0]: ns.example.org."),
        "{warning}"
    );
}

/// Every number has bounds. The bounds are accepted; numbers just outside are rejected with a reason.
#[test]
fn numbers_out_of_range_are_rejected() {
    for (key, good, bad) in [
        (
            "http.connection_count_max",
            [1_u64, 1_000_000],
            [0_u64, 1_000_001],
        ),
        (
            "dns.tcp_connection_count_max",
            [1, 1_000_000],
            [0, 1_000_001],
        ),
        (
            "dns.tcp_connection_count_per_client_max",
            [1, 1_000_000],
            [0, 1_000_001],
        ),
        ("dns.udp_thread_count", [0, 1024], [1025, 1_000_000]),
        ("limit.put_burst", [1, 10_000_000], [0, 10_000_001]),
        ("limit.put_per_sec", [1, 1_000_000], [0, 1_000_001]),
        ("limit.new_key_burst", [1, 1_000_000], [0, 1_000_001]),
        ("limit.new_key_per_hour", [1, 1_000_000], [0, 1_000_001]),
        ("limit.key_put_burst", [1, 10_000_000], [0, 10_000_001]),
        ("limit.key_put_per_min", [1, 1_000_000], [0, 1_000_001]),
        ("limit.total_put_burst", [1, 10_000_000], [0, 10_000_001]),
        ("limit.total_put_per_sec", [1, 1_000_000], [0, 1_000_001]),
        (
            "limit.total_new_key_burst",
            [1, 10_000_000],
            [0, 10_000_001],
        ),
        (
            "limit.total_new_key_per_sec",
            [1, 1_000_000],
            [0, 1_000_001],
        ),
        ("limit.get_burst", [1, 10_000_000], [0, 10_000_001]),
        ("limit.get_per_sec", [1, 1_000_000], [0, 1_000_001]),
        ("limit.total_get_burst", [1, 10_000_000], [0, 10_000_001]),
        ("limit.total_get_per_sec", [1, 1_000_000], [0, 1_000_001]),
        (
            "limit.linearizable_read_count_max",
            [1, 1_000_000],
            [0, 1_000_001],
        ),
        (
            "limit.byte_burst",
            [65_536, 1_073_741_824],
            [65_535, 1_073_741_825],
        ),
        (
            "limit.byte_per_sec",
            [1_024, 268_435_456],
            [1_023, 268_435_457],
        ),
        (
            "limit.client_count_max",
            [1_000, 10_000_000],
            [999, 10_000_001],
        ),
        ("limit.dns_answer_burst", [1, 1_000_000], [0, 1_000_001]),
        ("limit.dns_answer_per_sec", [1, 1_000_000], [0, 1_000_001]),
        ("limit.dns_answer_size_max", [512, 4_096], [511, 4_097]),
        (
            "packets.retention_secs",
            [1, 366 * 86_400],
            [0, 366 * 86_400 + 1],
        ),
        ("put.deadline_ms", [100, 60_000], [99, 60_001]),
        ("raft.heartbeat_ms", [5, 100], [4, 10_001]),
        ("raft.election_timeout_min_ms", [100, 349], [99, 350]),
        (
            "raft.election_timeout_max_ms",
            [201, 120_000],
            [200, 120_001],
        ),
        ("raft.slow_sync_ms", [10, 60_000], [9, 60_001]),
        (
            "store.cache_size",
            [1 << 20, 1 << 40],
            [(1 << 20) - 1, (1 << 40) + 1],
        ),
        ("store.checkpoint_interval_secs", [1, 3600], [0, 3601]),
        (
            "store.checkpoint_log_size",
            [1 << 20, 1 << 34],
            [(1 << 20) - 1, (1 << 34) + 1],
        ),
        (
            "log.kept_size_max",
            [1 << 27, 1 << 36],
            [(1 << 27) - 1, (1 << 36) + 1],
        ),
    ] {
        let variable = problem::variable(&quorate_setting::KeyPath::from(key));
        for value in good {
            load(environment(&[(&variable, &value.to_string())]))
                .unwrap_or_else(|problems| panic!("{key} = {value}: {problems}"));
        }
        for value in bad {
            let problems = load(environment(&[(&variable, &value.to_string())])).unwrap_err();
            let text = problems.to_string();
            assert!(
                text.contains(key) && text.contains(&value.to_string()),
                "{text}"
            );
        }
    }
}

/// If two settings conflict, the error has the line of the one in the file.
#[test]
fn a_setting_that_conflicts_with_a_default_is_reported_with_its_line() {
    check(
        "[raft]\nheartbeat_ms = 500\n",
        &[
            "FILE:3: raft.election_timeout_min_ms: 200 is less than twice raft.heartbeat_ms (500): \
           one late heartbeat would cause an election",
        ],
    );
    check(
        "[raft]\nelection_timeout_min_ms = 400\n",
        &[
            "FILE:3: raft.election_timeout_max_ms: 350 must be greater than raft.election_timeout_min_ms \
           (400): nodes with the same timeout split their votes",
        ],
    );
    check(
        "[raft]\nheartbeat_ms = 50\nelection_timeout_min_ms = 90\n",
        &[
            "FILE:4: raft.election_timeout_min_ms: 90 is less than twice raft.heartbeat_ms (50): \
           one late heartbeat would cause an election",
        ],
    );
}

fn raft(text: &str, variables: &[(&str, &str)]) -> (RaftSettings, String) {
    let file = file(&format!("version = 1\n[raft]\n{text}"));
    let sources = Sources {
        file: Some(file.path().into()),
        ..environment(variables)
    };
    let loaded = load(sources).unwrap();
    (loaded.config.raft.clone(), loaded.show())
}

#[test]
fn a_profile_sets_the_defaults() {
    let numbers = |raft: &RaftSettings| {
        [
            raft.heartbeat_ms,
            raft.election_timeout_min_ms,
            raft.election_timeout_max_ms,
        ]
    };
    let (wan, shown) = raft("profile = \"wan\"\n", &[]);
    assert_eq!(numbers(&wan), [400, 1200, 2000]);
    let line = shown.lines().find(|line| line.starts_with("heartbeat_ms"));
    let line = line.unwrap();
    assert!(
        line.starts_with("heartbeat_ms = 400 ") && line.ends_with(":3"),
        "{line}"
    );

    // A number that a layer sets stays, whichever layer sets the profile.
    let (mixed, _) = raft("heartbeat_ms = 300\n", &[("QUORATE_RAFT_PROFILE", "wan")]);
    assert_eq!(numbers(&mixed), [300, 1200, 2000]);
    let (lan, _) = raft("profile = \"wan\"\n", &[("QUORATE_RAFT_PROFILE", "lan")]);
    assert_eq!(lan, RaftSettings::default());

    check(
        "[raft]\nprofile = \"wan\"\nheartbeat_ms = 700\n",
        &[
            "FILE:3: raft.election_timeout_min_ms: 1200 is less than twice raft.heartbeat_ms (700): \
           one late heartbeat would cause an election",
        ],
    );
    check(
        "[raft]\nprofile = \"man\"\n",
        &["FILE:3: raft.profile: \"man\" is not \"lan\" or \"wan\""],
    );
}

#[test]
fn text_out_of_range_is_rejected() {
    for (variable, value) in [
        ("QUORATE_CLUSTER_NAME", ""),
        ("QUORATE_CLUSTER_NAME", "a b"),
        ("QUORATE_DATA_DIR", ""),
        ("QUORATE_HTTP_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("QUORATE_HTTP_TRUSTED_PROXIES", "0.0.0.0/0"),
        ("QUORATE_HTTP_TRUSTED_PROXIES", "10.0.0.1,::/1,8000::/1"),
    ] {
        let problems = load(environment(&[(variable, value)])).unwrap_err();
        assert!(problems.to_string().contains(variable), "{problems}");
    }
}
