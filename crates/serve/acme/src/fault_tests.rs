//! Authorities that hang, lie or refuse.

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use data_encoding::BASE64URL_NOPAD;
use quorate_api::{Problem, ProblemType};
use quorate_replica::{
    CertificateOperator, Renewal, Role, SecretError, SecretKind, SecretStore, ZoneState,
};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::sleep,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    AcmeConfig,
    attempt::Worker,
    challenge::changes,
    documents::{CertificateDocument, ChallengeRecord, OrderDocument, Wanted},
    failure::FailureKind,
    fixture::{Cluster, Tls, wait_for},
};

/// A response: status, more header lines, and body. `None` to never answer.
type Response = Option<(u16, String, String)>;

/// An HTTPS server that answers each path as a test wants.
struct FakeAuthority {
    url: String,
    dir: TempDir,
    requests: Arc<Mutex<Vec<String>>>,
    /// What was sent to each path.
    bodies: Arc<Mutex<Vec<(String, String)>>>,
    _task: AbortOnDropHandle<()>,
}

impl FakeAuthority {
    async fn start(answer: impl Fn(&str, &str) -> Response + Send + Sync + 'static) -> Self {
        let tls = Tls::new();
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("root.pem"), &tls.root_pem).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(tls.certificate_pem.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(tls.key_pem.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let bodies = Arc::<Mutex<Vec<(String, String)>>>::default();
        let (base, seen, answer) = (url.clone(), requests.clone(), Arc::new(answer));
        let sent = bodies.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, base) = (acceptor.clone(), base.clone());
                let (seen, sent, answer) = (seen.clone(), sent.clone(), answer.clone());
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await.ok()?;
                    let mut request = Vec::new();
                    while !is_complete(&request) {
                        let mut chunk = [0; 8192];
                        let size = stream.read(&mut chunk).await.ok()?;
                        if size == 0 {
                            return None;
                        }
                        request.extend_from_slice(&chunk[..size]);
                    }
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let path = text.split(' ').nth(1)?.to_owned();
                    seen.lock().unwrap().push(path.clone());
                    let body = text.split_once("\r\n\r\n")?.1.to_owned();
                    sent.lock().unwrap().push((path.clone(), body));
                    let Some((status, headers, body)) = answer(&base, &path) else {
                        std::future::pending::<()>().await;
                        return None;
                    };
                    let is_head = text.starts_with("HEAD");
                    let size = body.len();
                    let head = format!(
                        "HTTP/1.1 {status} X\r\nReplay-Nonce: n\r\nConnection: close\r\n\
                         Content-Length: {size}\r\n{headers}\r\n"
                    );
                    stream.write_all(head.as_bytes()).await.ok()?;
                    if !is_head {
                        stream.write_all(body.as_bytes()).await.ok()?;
                    }
                    stream.shutdown().await.ok()
                });
            }
        });
        Self {
            url,
            dir,
            requests,
            bodies,
            _task: AbortOnDropHandle::new(task),
        }
    }

    fn config(&self) -> AcmeConfig {
        AcmeConfig {
            directory: format!("{}/dir", self.url),
            names: vec!["dns.example.org".to_owned()],
            root_file: self.dir.path().join("root.pem"),
            ..AcmeConfig::default()
        }
    }

    fn count(&self, path: &str) -> usize {
        self.requests
            .lock()
            .unwrap()
            .iter()
            .filter(|seen| *seen == path)
            .count()
    }
}

impl FakeAuthority {
    /// A part of the signed requests to this path: `protected` or `payload`.
    fn sent(&self, path: &str, part: &str) -> Vec<serde_json::Value> {
        let bodies = self.bodies.lock().unwrap();
        let bodies = bodies.iter().filter(|(to, _)| to == path);
        let sent = bodies.map(|(_, body)| {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let part = BASE64URL_NOPAD.decode(body[part].as_str().unwrap().as_bytes());
            serde_json::from_slice(&part.unwrap()).unwrap_or_default()
        });
        sent.collect()
    }
}

fn is_complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let size = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= size.map_or(0, |size| size.trim().parse().unwrap())
}

fn ok(body: impl Into<String>) -> Response {
    Some((200, String::new(), body.into()))
}

/// A problem document (RFC 8555, section 6.7).
fn refusal(status: u16, problem: &str) -> Response {
    let body = format!(r#"{{"type": "urn:ietf:params:acme:error:{problem}", "detail": "no"}}"#);
    Some((status, String::new(), body))
}

/// What an honest authority answers until the order, which has nothing to prove.
fn honest(base: &str, path: &str) -> Response {
    let order = |status: &str| {
        serde_json::json!({
            "status": status,
            "authorizations": [],
            "finalize": format!("{base}/finalize"),
            "certificate": format!("{base}/certificate"),
        })
        .to_string()
    };
    match path {
        "/dir" => ok(serde_json::json!({
            "newNonce": format!("{base}/nonce"),
            "newAccount": format!("{base}/account"),
            "newOrder": format!("{base}/new-order"),
            "keyChange": format!("{base}/key-change"),
        })
        .to_string()),
        "/nonce" => ok(""),
        "/account" => Some((
            201,
            format!("Location: {base}/account/1\r\n"),
            "{}".to_owned(),
        )),
        "/new-order" => Some((201, format!("Location: {base}/order/1\r\n"), order("ready"))),
        "/finalize" | "/order/1" => ok(order("valid")),
        _ => Some((404, String::new(), String::new())),
    }
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.limits.request = Duration::from_millis(500);
    cluster
}

/// The failure of the first attempt.
async fn failure(
    answer: impl Fn(&str, &str) -> Response + Send + Sync + 'static,
) -> (FailureKind, String) {
    let cluster = cluster();
    let authority = FakeAuthority::start(answer).await;
    let _node = cluster.node(authority.config());
    let order = cluster.next_failure(0).await;
    let failure = order.attempts.last_failure.unwrap();
    let label: &str = failure.kind.into();
    assert_eq!(cluster.metric("failures_total", label), 1);
    (failure.kind, failure.text)
}

#[tokio::test]
async fn an_authority_that_does_not_answer_is_given_up_in_time() {
    let (kind, text) = failure(|_, _| None).await;
    assert_eq!(kind, FailureKind::Directory);
    assert!(
        text.contains("127.0.0.1 did not answer within 0.5 s"),
        "{text}"
    );
}

#[tokio::test]
async fn an_authority_that_is_not_there_is_reported() {
    let cluster = cluster();
    let authority = FakeAuthority::start(honest).await;
    let mut config = authority.config();
    drop(authority._task);
    let _node = cluster.node(config.clone());
    let failure = cluster.next_failure(0).await.attempts.last_failure.unwrap();
    assert_eq!(failure.kind, FailureKind::Directory, "{}", failure.text);
    config.root_file = "/nowhere/root.pem".into();
    let _other = cluster.node(config);
    cluster.clock.advance(Duration::from_mins(2));
    let failure = cluster.next_failure(1).await.attempts.last_failure.unwrap();
    assert!(!failure.text.is_empty());
}

/// The library would panic at the last of these.
#[tokio::test]
async fn an_answer_that_is_no_directory_is_reported() {
    for body in [
        "<html>",
        "{}",
        r#"{"newNonce": 1}"#,
        r#"{"newNonce": "http://ca.test/n", "newAccount": "https://a", "newOrder": "https://a"}"#,
        r#"{"newNonce": "not a url\u0000", "newAccount": "https://a", "newOrder": "https://a"}"#,
    ] {
        let (kind, text) = failure(move |_, _| ok(body)).await;
        assert_eq!(kind, FailureKind::Directory, "{body}");
        assert!(text.contains("the directory"), "{text}");
    }
}

/// The library ignores the status of the directory, and would panic at the URL in this one.
#[tokio::test]
async fn a_directory_with_an_error_status_is_none() {
    for status in [404, 503] {
        let body =
            r#"{"newNonce": "not a url", "newAccount": "https://a", "newOrder": "https://a"}"#;
        let (kind, text) =
            failure(move |_, _| Some((status, String::new(), body.to_owned()))).await;
        assert_eq!(kind, FailureKind::Directory, "{status}");
        assert!(text.contains(&format!("HTTP status {status}")), "{text}");
    }
}

/// The library would add it to the time, and panic.
#[tokio::test]
async fn a_wait_without_end_is_bounded() {
    let cluster = cluster();
    let authority = FakeAuthority::start(|base, path| match path {
        "/finalize" => {
            let (status, _, body) = honest(base, path)?;
            Some((status, String::new(), body.replace("valid", "processing")))
        }
        "/order/1" => {
            let (status, _, body) = honest(base, path)?;
            let headers = format!("Retry-After: {}\r\n", u64::MAX);
            Some((status, headers, body.replace("valid", "invalid")))
        }
        _ => honest(base, path),
    })
    .await;
    let _node = cluster.node(authority.config());
    let failure = cluster.next_failure(0).await.attempts.last_failure.unwrap();
    assert_eq!(failure.kind, FailureKind::Order);
    assert!(failure.text.contains("invalid"), "{}", failure.text);
}

#[tokio::test]
async fn a_panic_is_a_failure() {
    let cluster = cluster();
    let context = cluster.context(AcmeConfig::default());
    let worker = Worker::new(&context);
    let panicking = async {
        sleep(Duration::from_millis(1)).await;
        panic!("a fault");
    };
    let stop = worker.guarded::<()>(panicking).await.unwrap_err();
    assert!(
        stop.to_string().contains("a fault of this program"),
        "{stop}"
    );
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let (kind, text) = failure(|_, _| ok("x".repeat(1024 * 1024 + 1))).await;
    assert_eq!(kind, FailureKind::Directory);
    assert!(text.contains("length limit exceeded"), "{text}");
}

#[tokio::test]
async fn a_server_error_is_one_of_the_directory_and_keeps_the_order() {
    let (kind, text) = failure(|_, _| Some((500, String::new(), "oops".to_owned()))).await;
    assert_eq!(kind, FailureKind::Directory);
    assert!(text.contains("HTTP status 500"), "{text}");

    let cluster = cluster();
    let authority = FakeAuthority::start(|base, path| match path {
        "/finalize" => Some((503, "Retry-After: 7\r\n".to_owned(), "{}".to_owned())),
        _ => honest(base, path),
    })
    .await;
    let _node = cluster.node(authority.config());
    let order = cluster.next_failure(0).await;
    assert!(order.pending.is_some(), "{order:?}");
    assert_eq!(
        order.attempts.last_failure.unwrap().kind,
        FailureKind::Directory
    );
}

#[tokio::test]
async fn the_time_that_a_limit_names_is_waited_for_over_changes_of_the_leader() {
    let cluster = cluster();
    let authority = FakeAuthority::start(|base, path| match path {
        "/new-order" => Some((
            429,
            "Retry-After: 86400\r\n".to_owned(),
            r#"{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many"}"#
                .to_owned(),
        )),
        _ => honest(base, path),
    })
    .await;
    let node = cluster.node(authority.config());
    let order = cluster.next_failure(0).await;
    let failure = order.attempts.last_failure.clone().unwrap();
    assert_eq!(
        (failure.kind, order.attempts.failure_count),
        (FailureKind::RateLimited, 1)
    );
    assert!(failure.text.contains("too many"), "{}", failure.text);
    assert_eq!(
        order.attempts.next_attempt_ms.unwrap() - failure.at_ms,
        86_400_000
    );
    drop(node);
    let node = cluster.node(authority.config());
    cluster.clock.advance(Duration::from_hours(23));
    sleep(Duration::from_millis(2500)).await;
    assert_eq!(authority.count("/new-order"), 1);
    cluster.clock.advance(Duration::from_hours(1));
    cluster.next_failure(1).await;
    assert_eq!(authority.count("/new-order"), 2);
    assert_eq!(authority.count("/account"), 1, "the account is kept");
    assert_eq!(node.status().failure_count, 2);
}

#[tokio::test]
async fn a_certificate_for_another_key_is_not_stored() {
    let key = KeyPair::generate().unwrap();
    let names = vec!["dns.example.org".to_owned()];
    let wrong = CertificateParams::new(names)
        .unwrap()
        .self_signed(&key)
        .unwrap()
        .pem();
    let cluster = cluster();
    let authority = FakeAuthority::start(move |base, path| match path {
        "/certificate" => ok(wrong.clone()),
        _ => honest(base, path),
    })
    .await;
    let _node = cluster.node(authority.config());
    let order = cluster.next_failure(0).await;
    let failure = order.attempts.last_failure.clone().unwrap();
    assert_eq!(failure.kind, FailureKind::Certificate);
    assert!(failure.text.contains("another key"), "{}", failure.text);
    assert_eq!((order.pending, cluster.certificate()), (None, None));
}

#[tokio::test]
async fn an_account_that_the_authority_forgot_is_replaced() {
    let cluster = cluster();
    let authority = FakeAuthority::start(|base, path| match path {
        "/new-order" => refusal(400, "accountDoesNotExist"),
        _ => honest(base, path),
    })
    .await;
    let _node = cluster.node(authority.config());
    let order = cluster.next_failure(0).await;
    assert_eq!(
        order.attempts.last_failure.unwrap().kind,
        FailureKind::Account
    );
    cluster.clock.advance(Duration::from_mins(2));
    cluster.next_failure(1).await;
    assert_eq!(authority.count("/account"), 2);
}

/// "Unauthorized" has other causes, such as a policy of the authority.
#[tokio::test]
async fn an_account_that_the_authority_accepts_is_kept() {
    let cluster = cluster();
    let authority = FakeAuthority::start(|base, path| match path {
        "/new-order" => refusal(403, "unauthorized"),
        "/account/1" => ok(r#"{"status": "valid"}"#),
        _ => honest(base, path),
    })
    .await;
    let _node = cluster.node(authority.config());
    let failure = cluster.next_failure(0).await.attempts.last_failure.unwrap();
    assert_eq!(failure.kind, FailureKind::Order, "{}", failure.text);
    cluster.clock.advance(Duration::from_mins(2));
    cluster.next_failure(1).await;
    assert_eq!(authority.count("/account"), 1);
}

#[tokio::test]
async fn an_account_whose_status_says_that_it_ended_is_replaced() {
    let cluster = cluster();
    let authority = FakeAuthority::start(|base, path| match path {
        "/new-order" => refusal(403, "unauthorized"),
        "/account/1" => ok(r#"{"status": "revoked"}"#),
        _ => honest(base, path),
    })
    .await;
    let _node = cluster.node(authority.config());
    cluster.next_failure(0).await;
    cluster.clock.advance(Duration::from_mins(2));
    cluster.next_failure(1).await;
    assert_eq!(authority.count("/account"), 2);
}

/// There is no certificate yet, so that a demand looks like the one before it.
#[tokio::test]
async fn each_demand_is_tried_at_once() {
    let cluster = cluster();
    let authority = FakeAuthority::start(|base, path| match path {
        "/new-order" => refusal(403, "rejectedIdentifier"),
        _ => honest(base, path),
    })
    .await;
    let _node = cluster.node(authority.config());
    for count in 0..3 {
        cluster.next_failure(count).await;
        let kinds = [SecretKind::Certificate, SecretKind::AcmeOrder];
        cluster.replica.secrets.demand(&kinds, Renewal::Requested);
    }
    cluster.next_failure(3).await;
}

/// It suggests when to renew, but does not know which certificate an order replaces.
#[tokio::test]
async fn an_authority_that_ignores_what_an_order_replaces_gets_no_second_one() {
    let cluster = cluster();
    let authority = FakeAuthority::start(|base, path| match path {
        "/dir" => {
            let (status, headers, body) = honest(base, path)?;
            let info = format!(r#"{{"renewalInfo": "{base}/info", "#);
            Some((status, headers, body.replacen('{', &info, 1)))
        }
        _ => honest(base, path),
    })
    .await;
    let wanted = cluster.context(authority.config()).wanted;
    cluster.store(certificate(&cluster, wanted, 0)).await;
    let _node = cluster.node(authority.config());
    let order = cluster.next_failure(0).await;
    let sent = authority.sent("/new-order", "payload");
    assert_eq!((sent.len(), &sent[0]["replaces"]), (1, &"aa.bb".into()));
    let pending = order.pending.expect("its order goes on");
    assert_eq!(pending.url, format!("{}/order/1", authority.url));
}

/// A certificate that is not from an authority, and is renewed at this time.
fn certificate(cluster: &Cluster, issued_for: Wanted, renew_at_ms: u64) -> CertificateDocument {
    let now = cluster.clock.clock().now().0;
    let day_ms = 24 * 3600 * 1000;
    CertificateDocument {
        chain_pem: String::new(),
        key_pem: String::new(),
        issued_for,
        not_before_ms: now - 5 * day_ms,
        not_after_ms: now + 5 * day_ms,
        renew_at_ms,
        ari_id: Some("aa.bb".to_owned()),
        window: None,
    }
}

#[tokio::test]
async fn records_that_the_zone_keeps_are_a_failure_that_is_tried_again_later() {
    let cluster = cluster();
    let authority = FakeAuthority::start(honest).await;
    let wanted = cluster.context(authority.config()).wanted;
    cluster.store(certificate(&cluster, wanted, u64::MAX)).await;
    let owner = "_acme-challenge.dns.example.org.";
    let records = vec![ChallengeRecord {
        zone: "example.org.".to_owned(),
        owner: owner.to_owned(),
        values: vec!["value".to_owned()],
    }];
    let change = changes(&ZoneState::default(), &records, true).remove(0);
    let state = change.changed(&ZoneState::default()).unwrap().unwrap();
    cluster.replica.set_zone_state(state);
    let order = OrderDocument {
        records,
        ..OrderDocument::default()
    };
    cluster.store(order).await;
    let operators = &cluster.replica.operators;
    operators.reject(Problem::new(ProblemType::RefusedZone, "the zone is full"));

    let _node = cluster.node(authority.config());
    let failure = cluster.next_failure(0).await.attempts.last_failure.unwrap();
    assert_eq!(failure.kind, FailureKind::Zone, "{}", failure.text);
    let request_count = operators.take_requests().len();
    sleep(Duration::from_millis(2500)).await;
    assert_eq!(operators.take_requests().len(), 0, "after {request_count}");

    operators.reject(None);
    cluster.clock.advance(Duration::from_mins(2));
    let is_over = || (cluster.order().attempts.failure_count == 0).then_some(());
    wait_for(|| format!("the end of {:?}", cluster.order()), is_over).await;
    assert_eq!(cluster.order().records, []);
    assert_eq!(cluster.texts("example.org", owner), [""; 0]);
}

/// A damaged secret would be reported each second.
#[tokio::test]
async fn a_state_of_orders_that_cannot_be_decoded_is_replaced_at_once() {
    let cluster = cluster();
    let authority = FakeAuthority::start(honest).await;
    let wanted = cluster.context(authority.config()).wanted;
    cluster.store(certificate(&cluster, wanted, u64::MAX)).await;
    let (kind, damaged) = (SecretKind::AcmeOrder, b"{".to_vec());
    let stored = cluster.replica.store_secret(kind, damaged, None).await;
    stored.unwrap();
    let _node = cluster.node(authority.config());
    let order = || cluster.document::<OrderDocument>();
    let order = wait_for(|| "the state of orders".to_owned(), order).await;
    assert_eq!(order, OrderDocument::default());
}

/// The key of the account was to be changed, and the authority refused, so that there is another account.
#[tokio::test]
async fn an_account_with_a_known_key_is_deactivated_once_the_authority_can_do_it() {
    let cluster = cluster();
    let status = Arc::new(AtomicU16::new(503));
    let answered = status.clone();
    let authority = FakeAuthority::start(move |base, path| match path {
        "/key-change" => refusal(400, "malformed"),
        "/account/1" => match answered.load(Ordering::SeqCst) {
            200 => ok("{}"),
            503 => Some((503, String::new(), String::new())),
            status => refusal(status, "rateLimited"),
        },
        _ => honest(base, path),
    })
    .await;
    let _node = cluster.node(authority.config());
    cluster.next_failure(0).await;
    let account = cluster.account();
    cluster
        .replica
        .secrets
        .demand(&[SecretKind::AcmeAccount], Renewal::Compromised);
    for (failure_count, not_now) in [(1, 503), (2, 429)] {
        status.store(not_now, Ordering::SeqCst);
        cluster.clock.advance(Duration::from_hours(7));
        cluster.next_failure(failure_count).await;
        let retired = cluster.account().retired;
        assert_eq!(retired.as_ref(), Some(&account.credentials), "{not_now}");
        let orders = authority.count("/certificate");
        assert_eq!(orders, 1 + failure_count as usize, "it holds up no order");
    }
    status.store(200, Ordering::SeqCst);
    cluster.clock.advance(Duration::from_hours(7));
    cluster.next_failure(3).await;
    assert_eq!(cluster.account().retired, None);
    assert_eq!(
        authority.sent("/account/1", "payload")[2]["status"],
        "deactivated"
    );
}

/// A leader created an account and could not store it.
#[tokio::test]
async fn a_leader_that_cannot_store_its_account_costs_none() {
    let cluster = cluster();
    let replica = cluster.replica.clone();
    let authority = FakeAuthority::start(move |base, path| {
        if path == "/account" {
            replica.secrets.fail_stores(SecretError::NotLeader);
        }
        honest(base, path)
    })
    .await;
    for _ in 0..2 {
        let mut config = authority.config();
        config.contact = vec!["mailto:a@example.org".to_owned()];
        cluster.replica.secrets.fail_stores(None);
        let before = authority.count("/account");
        let _node = cluster.node(config);
        let created = || (authority.count("/account") > before).then_some(());
        wait_for(|| "an account".to_owned(), created).await;
        sleep(Duration::from_millis(300)).await;
    }
    let keys = authority.sent("/account", "protected");
    assert!(keys.len() >= 2 && keys[0]["jwk"].is_object(), "{keys:?}");
    assert!(
        keys.iter().all(|key| key["jwk"] == keys[0]["jwk"]),
        "{keys:?}"
    );
}

#[tokio::test]
async fn an_order_that_never_ends_is_given_up_in_time() {
    let mut cluster = cluster();
    cluster.limits.attempt = Duration::from_secs(1);
    let authority = FakeAuthority::start(|base, path| match path {
        "/finalize" | "/order/1" => {
            let (status, headers, body) = honest(base, path)?;
            Some((status, headers, body.replace("valid", "processing")))
        }
        _ => honest(base, path),
    })
    .await;
    let _node = cluster.node(authority.config());
    let order = cluster.next_failure(0).await;
    let failure = order.attempts.last_failure.unwrap();
    assert_eq!(
        (failure.kind, failure.text.as_str()),
        (FailureKind::Order, "the attempt did not end within 1 s")
    );
    assert!(order.pending.is_some(), "it may still become valid");
}

#[tokio::test]
async fn followers_ask_nobody_and_wrong_names_are_not_ordered() {
    let cluster = cluster();
    cluster.set_role(Role::Follower);
    let authority = FakeAuthority::start(honest).await;
    let node = cluster.node(authority.config());
    sleep(Duration::from_millis(1500)).await;
    drop(node);
    cluster.set_role(Role::Leader);
    let mut config = authority.config();
    config.names = vec!["dns.example.com".to_owned()];
    let _node = cluster.node(config);
    let failure = cluster.next_failure(0).await.attempts.last_failure.unwrap();
    assert_eq!(failure.kind, FailureKind::Config);
    assert!(failure.text.contains("dns.example.com"), "{}", failure.text);
    assert_eq!(*authority.requests.lock().unwrap(), [""; 0]);
}
