//! Tests commands with the real admin API of a fake node.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    pin::Pin,
    sync::{Arc, Mutex},
};

use axum::http::StatusCode;
use futures_util::{StreamExt, stream};
use prometheus::Registry;
use quorate_admin::{
    AdminConfig, AdminNode, AdminRouters, BackupBytes, Backups, Build, LogControl, Reload,
    ReloadReport, Scope, ServedZones, Token as NewToken, Tokens,
};
use quorate_api::{BACKUP_CONTENT_TYPE, NodeStatus, Role, path};
use quorate_api::{
    ChangeRequest, InviteRequest, MemberChange, MoveRequest, Problem, ProblemType, RemoveRequest,
    ReplaceRequest, TransferRequest,
};
use quorate_backup::{BackupHeader, BackupWriter};
use quorate_fake::{FakeCertificate, FakeReplica, packet, received_now};
use quorate_packet::PublicKey;
use quorate_replica::{NamedSet, ReadError, Reader, Replica, WireName, ZoneState};
use quorate_state::ClusterState;
use serde_json::Value;
use tokio::net::{TcpListener, UnixListener};

use crate::{
    admin::{
        AdminUrl, ApiCall,
        canned::{Answer, CannedNode, Outcome, outcome, parse, run_at, session},
    },
    console::captured::Captured,
    token::Token,
};

/// The only node of the fake cluster.
const NODE: PublicKey = PublicKey::from_bytes([1; 32]);

const BUILD: Build = Build {
    version: "1.2.3",
    git_hash: "abc",
};

/// The node's shortened key.
fn shown() -> String {
    format!("fra-1 ({}…)", &NODE.to_string()[..8])
}

/// An unreadable configuration.
struct Misspelt;

impl Reload for Misspelt {
    fn reload(&self) -> Result<ReloadReport, String> {
        Err("line 3: no setting has this name".to_owned())
    }
}

#[derive(Default)]
struct Filter(Mutex<String>);

impl LogControl for Filter {
    fn filter(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    fn set_filter(&self, filter: &str) -> Result<(), String> {
        filter.clone_into(&mut self.0.lock().unwrap());
        Ok(())
    }
}

/// The zone `a.`, in wire format.
struct OneZone;

impl ServedZones for OneZone {
    fn serials(&self) -> BTreeMap<WireName, u32> {
        let zone = WireName::parse(b"\x01a\0".to_vec().into());
        [(zone.unwrap(), 7)].into()
    }

    fn check(&self, _: &WireName, _: &NamedSet) -> Result<(), String> {
        Ok(())
    }

    fn served(&self, _: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

/// Makes backups of two packets.
struct TwoPackets;

/// The bytes of a backup of two packets.
fn backup() -> Vec<u8> {
    let header = BackupHeader {
        cluster: "c".repeat(64),
        packet_count: 2,
        ..BackupHeader::default()
    };
    let mut writer = BackupWriter::new(Vec::new(), &header, &ClusterState::default()).unwrap();
    let mut packets = [1, 2].map(|seed| received_now(packet(seed, 1_000_000, "relay=a", 30)));
    packets.sort_by_key(|stored| *stored.packet.key());
    packets
        .iter()
        .for_each(|stored| writer.push(stored).unwrap());
    writer.finish().unwrap().0
}

impl Backups for TwoPackets {
    fn start(
        &self,
    ) -> Pin<Box<dyn Future<Output = Result<Option<BackupBytes>, ReadError>> + Send + '_>> {
        let bytes = backup().into_iter().map(|byte| Ok(vec![byte].into()));
        Box::pin(async { Ok(Some(stream::iter(bytes).boxed())) })
    }
}

/// The routes of a node with a fake cluster.
fn routers_of(config: &AdminConfig) -> (Arc<FakeReplica>, AdminRouters) {
    let replica = FakeReplica::new();
    let node = AdminNode {
        dht: None,
        certificate: Arc::new(FakeCertificate),
        replica: replica.clone(),
        registry: Registry::new(),
        build: BUILD,
        reload: Box::new(Misspelt),
        log: Box::new(Filter::default()),
        zones: Box::new(OneZone),
        backups: Box::new(TwoPackets),
    };
    let tokens = Arc::new(Tokens::open(&config.tokens_file).unwrap());
    (
        replica,
        quorate_admin::routers(node, &tokens, config).unwrap(),
    )
}

/// A node with a fake cluster, and its URL.
async fn node(config: &AdminConfig) -> (Arc<FakeReplica>, AdminUrl) {
    let (replica, routers) = routers_of(config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = routers
        .tcp
        .into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (replica, url.parse().unwrap())
}

/// A node with a fake cluster, and its socket, which needs no token.
async fn node_on_socket() -> (Arc<FakeReplica>, AdminUrl) {
    let (replica, routers) = routers_of(&AdminConfig::default());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let _dir = dir;
        axum::serve(listener, routers.socket).await
    });
    (replica, AdminUrl::of_socket(&path))
}

/// Runs the command of these words at a node that needs no token.
async fn run(url: &AdminUrl, words: &[&str]) -> (Captured, Outcome) {
    run_at(url, None, words).await
}

async fn zone(url: &AdminUrl, words: &[&str]) -> (Captured, Outcome) {
    run(url, &[&["zone"], words].concat()).await
}

async fn policy(url: &AdminUrl, words: &[&str]) -> (Captured, Outcome) {
    run(url, &[&["policy"], words].concat()).await
}

async fn member(url: &AdminUrl, words: &[&str]) -> (Captured, Outcome) {
    run(url, &[&["member"], words].concat()).await
}

#[tokio::test]
async fn a_nodes_status_is_printed() {
    let (_, url) = node_on_socket().await;
    let (mut session, _) = session(&url, None, true);
    let status: NodeStatus = session.call(&ApiCall::get(path::STATUS)).await.unwrap();
    assert_eq!(status.role, Role::Leader);
}

#[tokio::test]
async fn a_backup_is_saved_for_its_owner_only_and_replaces_nothing() {
    let (_, url) = node_on_socket().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.backup");
    let words = ["backup", "save", "-o", file.to_str().unwrap()];
    let (captured, outcome) = run(&url, &words).await;
    assert_eq!(outcome, Ok(()));
    assert!(
        captured.notes().contains("2 packets"),
        "{}",
        captured.notes()
    );
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let saved = std::fs::read(&file).unwrap();
    assert_eq!(
        quorate_backup::BackupReader::open(&saved[..])
            .unwrap()
            .count(),
        2
    );
    let (_, outcome) = run(&url, &words).await;
    let (text, code) = outcome.unwrap_err();
    assert!(
        text.contains("exists") && text.contains("--force"),
        "{text}"
    );
    assert_eq!(code, 1);
    let (_, outcome) = run(&url, &[&words[..], &["--force"]].concat()).await;
    assert_eq!(outcome, Ok(()));
}

#[tokio::test]
async fn exported_packets_can_be_imported_in_both_formats() {
    let (replica, url) = node_on_socket().await;
    let dir = tempfile::tempdir().unwrap();
    let key = |seed| *packet(seed, 1, "", 30).key();
    for format in ["json", "binary"] {
        let file = dir.path().join(format);
        let file = file.to_str().unwrap();
        let words = ["export", "-o", file, "--format", format];
        let (captured, outcome) = run(&url, &words).await;
        assert_eq!(outcome, Ok(()));
        assert!(captured.notes().contains("2 packets are exported"));
        let (captured, outcome) = run(&url, &["import", file, "--keep-received"]).await;
        assert_eq!(outcome, Ok(()));
        let notes = captured.notes();
        assert!(notes.contains("of 2 packets, 2 are new"), "{notes}");
        for seed in [1, 2] {
            let stored = replica.remove(key(seed));
            assert!(stored, "{format}");
        }
        // The first one is left out.
        let (_, outcome) = run(&url, &["import", file, "--skip", "1"]).await;
        assert_eq!(outcome, Ok(()));
        let first = key(1).min(key(2));
        assert_eq!(replica.stored_packet(&first).unwrap(), None);
        let (captured, outcome) = run(&url, &["export", "--after", &first.to_string()]).await;
        assert_eq!((captured.data().lines().count(), outcome), (1, Ok(())));
    }
}

#[tokio::test]
async fn a_broken_line_ends_an_import_with_where_to_continue() {
    let (_, url) = node_on_socket().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("packets");
    let (exported, _) = run(&url, &["export"]).await;
    std::fs::write(&file, exported.data() + "{\n").unwrap();
    let (captured, outcome) = run(&url, &["import", file.to_str().unwrap()]).await;
    let (text, code) = outcome.unwrap_err();
    assert!(text.contains("line 3 is not a packet"), "{text}");
    assert_eq!(code, 1);
    let notes = captured.notes();
    assert!(
        notes.contains("continue after them with --skip 2"),
        "{notes}"
    );
}

#[tokio::test]
async fn a_backup_that_ends_early_is_not_saved() {
    let body = backup();
    for size in [0, 5, 300, body.len() - 1] {
        let node = CannedNode::start([Answer {
            status: StatusCode::OK,
            content_type: BACKUP_CONTENT_TYPE,
            body: body[..size].to_vec(),
            location: String::new(),
        }])
        .await;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.backup");
        let words = ["backup", "save", "-o", file.to_str().unwrap()];
        let (_, outcome) = node.run(&words).await;
        let (text, _) = outcome.unwrap_err();
        assert!(text.contains("is not complete"), "{text}");
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn the_member_list_has_complete_json() {
    let (_, url) = node_on_socket().await;
    let (captured, outcome) = member(&url, &["list", "--json"]).await;
    assert_eq!(outcome, Ok(()));
    let list: Value = serde_json::from_str(&captured.data()).unwrap();
    let member = &list["members"][0];
    assert_eq!(member["node"], NODE.to_string());
    assert_eq!(member["name"], "fra-1");
    assert_eq!(member["role"], "voter");
    assert_eq!(member["address"], "fra-1.example:9000");
    assert_eq!(member["state"], "leader");
}

#[tokio::test]
async fn without_a_leader_the_list_is_printed_with_a_note() {
    let (replica, url) = node_on_socket().await;
    replica.operators.lose_leader();
    let (captured, outcome) = member(&url, &["list"]).await;
    assert_eq!(outcome, Ok(()));
    assert!(captured.data().contains(" fra-1 "), "{}", captured.data());
    let notes = captured.notes();
    assert!(
        notes.starts_with("quorate: no leader is known: "),
        "{notes}"
    );
}

#[tokio::test]
async fn a_join_token_is_alone_on_standard_output() {
    let (replica, url) = node_on_socket().await;
    let (captured, outcome) = member(&url, &["add", "--learner"]).await;
    assert_eq!(outcome, Ok(()));
    let data = captured.data();
    assert!(data.starts_with("quorate-join-1."), "{data}");
    assert_eq!(data.lines().count(), 1);
    let request = InviteRequest {
        learner: true,
        valid_secs: 3600,
        uses: 1,
    };
    assert_eq!(replica.operators.take_requests(), [request.into()]);
}

#[tokio::test]
async fn every_change_reaches_the_cluster() {
    let (replica, url) = node_on_socket().await;
    let key = || NODE.to_string();
    let other = PublicKey::from_bytes([9; 32]).to_string();
    let call = |force| ChangeRequest { force };
    let removal = |force, compromised| RemoveRequest { force, compromised };
    let with = ReplaceRequest {
        with: key(),
        force: true,
    };
    let to = MoveRequest {
        address: "ns2.example.org:7700".to_owned(),
    };
    for (words, change) in [
        (
            &["promote", "fra-1"][..],
            MemberChange::Promote(call(false)).of(key()),
        ),
        (
            &["demote", "fra-1", "--force"],
            MemberChange::Demote(call(true)).of(key()),
        ),
        (
            &["remove", "fra-1"],
            MemberChange::Remove(removal(false, false)).of(key()),
        ),
        (
            &["remove", "fra-1", "--force"],
            MemberChange::Remove(removal(true, false)).of(key()),
        ),
        (
            &["remove", "fra-1", "--compromised"],
            MemberChange::Remove(removal(false, true)).of(key()),
        ),
        (
            &["replace", &other, "fra-1", "--force"],
            MemberChange::Replace(with).of(&other),
        ),
        (
            &["move", "fra-1", "ns2.example.org:7700"],
            MemberChange::Move(to).of(key()),
        ),
    ] {
        let (captured, outcome) = member(&url, words).await;
        assert_eq!(outcome, Ok(()), "{words:?}");
        let requests = replica.operators.take_requests();
        assert_eq!(requests, [change.into()]);
        let notes = captured.notes();
        assert!(notes.contains(&shown()), "{notes}");
    }
}

#[tokio::test]
async fn a_change_waits_until_the_node_has_caught_up() {
    let (replica, url) = node_on_socket().await;
    replica.operators.set_lag(Some(5));
    replica.operators.warn("the cluster has 2 voters");
    let mut requests = replica.operators.request_count.subscribe();
    let (asked_thrice, (captured, outcome)) = tokio::join!(
        async {
            let thrice = requests.wait_for(|count| *count >= 3).await.is_ok();
            replica.operators.set_lag(None);
            thrice
        },
        member(&url, &["promote", "fra-1"]),
    );
    assert!(asked_thrice);
    assert_eq!(outcome, Ok(()));
    assert_eq!(
        captured.notes(),
        format!(
            "quorate: {node} is catching up, 5 entries behind\n\
             quorate: warning: the cluster has 2 voters\n\
             quorate: {node} is a voter\n",
            node = shown()
        )
    );
}

#[tokio::test]
async fn rejections_of_the_cluster_have_a_message_and_an_exit_code() {
    let (replica, url) = node_on_socket().await;
    for (problem_type, message, code) in [
        (ProblemType::NoLiveQuorum, "1 of 2 voters would be alive", 1),
        (ProblemType::UnknownNode, "no node is called \"b\"", 1),
        (ProblemType::Busy, "another change of the members", 5),
        (ProblemType::NoLeader, "no leader is known", 5),
    ] {
        let rejection = Problem::new(problem_type, message);
        replica.operators.reject(rejection);
        let (mut session, captured) = session(&url, None, true);
        session.retry_policy.retry_timeout = std::time::Duration::ZERO;
        let command = parse(&["member", "remove", "b", "--json"]).unwrap();
        let (text, exit) = outcome(command.run(|_| Ok(session)).await).unwrap_err();
        assert!(text.starts_with(message), "{text}");
        assert_eq!((exit, captured.data().as_str()), (code, ""));
    }
}

#[tokio::test]
async fn leadership_is_transferred() {
    let (replica, url) = node_on_socket().await;
    for (to, key) in [(None, None), (Some("fra-1"), Some(NODE.to_string()))] {
        let words = ["leader", "transfer"].into_iter().chain(to);
        let (captured, outcome) = run(&url, &words.collect::<Vec<_>>()).await;
        assert_eq!(outcome, Ok(()));
        assert_eq!(captured.notes(), format!("quorate: {} leads\n", shown()));
        assert_eq!(
            replica.operators.take_requests(),
            [TransferRequest { to: key }.into()]
        );
    }
}

#[tokio::test]
async fn packets_are_listed_page_by_page_and_verified() {
    let (replica, url) = node_on_socket().await;
    for seed in 1..=3 {
        replica.store(received_now(packet(
            seed,
            1_000_000,
            "relay=https://a.example",
            30,
        )));
    }
    let words = ["packet", "list", "--count", "2", "--json"];
    let (captured, outcome) = run(&url, &words).await;
    assert_eq!(outcome, Ok(()));
    let page: Value = serde_json::from_str(&captured.data()).unwrap();
    assert_eq!(page["packets"].as_array().unwrap().len(), 2);
    let next = page["next"].as_str().unwrap();

    let words = ["packet", "list", "--count", "2", "--after", next];
    let (captured, outcome) = run(&url, &words).await;
    assert_eq!(outcome, Ok(()));
    let text = captured.data();
    let last = &text.lines().nth(1).unwrap()[..52];
    assert_eq!((text.lines().count(), captured.notes().as_str()), (2, ""));

    let (captured, outcome) = run(&url, &["packet", "get", last]).await;
    assert_eq!(outcome, Ok(()));
    let text = captured.data();
    assert!(text.contains("TXT \"relay=https://a.example\""), "{text}");

    let (_, missing) = run(&url, &["packet", "get", &NODE.to_string()]).await;
    let (error, _) = missing.unwrap_err();
    assert!(!error.contains("No such packet"), "{error}");
}

#[tokio::test]
async fn runtime_settings_are_shown_and_changed() {
    let (_, url) = node_on_socket().await;
    let filter = "info,quorate_raft=debug";
    let (_, outcome) = run(&url, &["log-filter", filter]).await;
    assert_eq!(outcome, Ok(()));
    let (captured, outcome) = run(&url, &["log-filter"]).await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(captured.data(), "info,quorate_raft=debug\n");

    let (_, outcome) = run(&url, &["reload"]).await;
    let expected = "line 3: no setting has this name";
    assert_eq!(outcome, Err((expected.to_owned(), 1)));
}

#[tokio::test]
async fn the_scope_of_a_token_is_enforced() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let known = [Scope::Read, Scope::Operate].map(|scope| (scope, NewToken::generate().unwrap()));
    let lines = known.each_ref().map(|(scope, token)| {
        let name = scope.to_string().parse().unwrap();
        token.line(&name, *scope) + "\n"
    });
    std::fs::write(&file, lines.concat()).unwrap();
    let config = AdminConfig {
        tokens_file: file.path().to_owned(),
        ..AdminConfig::default()
    };
    let (_, url) = node(&config).await;
    let [reader, operator] = known.map(|(_, token)| {
        let token = Token::find(None, ("VARIABLE", Some(token.to_string().into())));
        token.unwrap()
    });
    for (token, word, code) in [
        (&None, "list", 4),
        (&reader, "list", 0),
        (&reader, "add", 4),
        (&operator, "add", 0),
    ] {
        let (captured, outcome) = run_at(&url, token.clone(), &["member", word]).await;
        let exit = outcome.as_ref().map_or_else(|(_, code)| *code, |()| 0);
        assert_eq!(exit, code, "{word}: {outcome:?} {}", captured.notes());
    }
    let (_, outcome) = run(&url, &["log-filter"]).await;
    let (error, code) = outcome.unwrap_err();
    assert!(code == 4 && error.contains("--token-file"), "{error}");
    assert!(error.contains("--admin unix:PATH"), "{error}");
}

#[tokio::test]
async fn a_listed_zone_can_be_imported_again() {
    let (replica, url) = node_on_socket().await;
    let texts = ["v=spf1 -all", "\"a\\\"b\" \"\\255\""];
    let set = [&["set", "a", "t", "60", "TXT"][..], &texts].concat();
    assert_eq!(zone(&url, &set).await.1, Ok(()));
    let https = ["set", "a", "@", "1h", "HTTPS", "1 . alpn=h2,h3 port=8443"];
    assert_eq!(zone(&url, &https).await.1, Ok(()));
    let before = replica.zone_state();
    let (listed, _) = zone(&url, &["list", "a."]).await;
    assert_eq!(listed.data().lines().count(), 3, "{}", listed.data());

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zone");
    let import = ["import", "a", file.to_str().unwrap()];
    std::fs::write(&file, "").unwrap();
    assert_eq!(zone(&url, &import).await.1, Ok(()));
    assert_ne!(replica.zone_state(), before);
    std::fs::write(&file, listed.data()).unwrap();
    assert_eq!(zone(&url, &import).await.1, Ok(()));
    let sets = |state: &ZoneState| {
        let zones = state.zones.values();
        zones.map(|zone| zone.sets.clone()).collect::<Vec<_>>()
    };
    assert_eq!(sets(&replica.zone_state()), sets(&before));

    let unserved = ["set", "b", "@", "60", "TXT", "x"];
    let (_, outcome) = zone(&url, &unserved).await;
    let (message, code) = outcome.unwrap_err();
    assert!(
        code == 1 && message.contains("that it serves: a."),
        "{message}"
    );
}

#[tokio::test]
async fn a_list_of_keys_can_be_removed_again() {
    let (replica, url) = node_on_socket().await;
    let keys = [1, 2].map(|byte| PublicKey::from_bytes([byte; 32]).to_string());
    let deny = ["deny", &keys[0], &keys[1]];
    assert_eq!(policy(&url, &deny).await.1, Ok(()));
    let (listed, _) = policy(&url, &["list", "denied"]).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, listed.data()).unwrap();
    assert_eq!(replica.publishing().denied.len(), 2);
    let undeny = ["undeny", "--file", file.path().to_str().unwrap()];
    assert_eq!(policy(&url, &undeny).await.1, Ok(()));
    assert_eq!(replica.publishing().denied.len(), 0);

    let add = ["token", "add", "ci"];
    let (captured, outcome) = policy(&url, &add).await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(captured.data().lines().count(), 1);
    let (_, outcome) = policy(&url, &add).await;
    let (message, code) = outcome.unwrap_err();
    assert!(
        code == 1 && message.contains("a token named `ci` exists"),
        "{message}"
    );
    let (message, code) = policy(&url, &["token", "remove", "ic"])
        .await
        .1
        .unwrap_err();
    assert!(
        code == 1 && message.contains("no token is named `ic`"),
        "{message}"
    );
}
