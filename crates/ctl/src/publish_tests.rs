use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::HeaderMap,
    routing::put as put_route,
};
use clap::Parser;
use tokio::sync::mpsc;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: PublishArgs,
}

fn args(words: &[&str]) -> PublishArgs {
    Cli::parse_from(["publish", "--key", "unused"].iter().chain(words)).args
}

fn records(words: &[&str]) -> anyhow::Result<Vec<Record>> {
    let args = args(words);
    record::parse(&args.txt, &args.records)
}

fn packet(words: &[&str]) -> SignedPacket {
    sign(&Keypair::random(), &records(words).unwrap(), 30).unwrap()
}

/// Serves `app` on a free port of loopback, at /pkarr.
async fn serve(app: Router) -> RelayUrl {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = format!("http://{}/pkarr", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    relay.parse().unwrap()
}

#[tokio::test]
async fn publish_sends_a_packet_of_the_key() {
    let (sender, mut received) = mpsc::channel(1);
    let store = |State(sender): State<mpsc::Sender<_>>, Path(key): Path<String>, body: Bytes| async move {
        sender.send((key, body)).await.unwrap();
        StatusCode::NO_CONTENT
    };
    let relay = serve(
        Router::new()
            .route("/pkarr/{key}", put_route(store))
            .with_state(sender),
    )
    .await;

    let packet = packet(&[
        "--txt",
        "_iroh=relay=https://a.example",
        "@",
        "a",
        "192.0.2.1",
    ]);
    put(&relay, &packet, None).await.unwrap();

    let (key, body) = received.recv().await.unwrap();
    assert_eq!(SignedPacket::parse(key.parse().unwrap(), body), Ok(packet));
}

#[tokio::test]
async fn a_rejection_is_explained_with_the_reason_of_the_relay() {
    let refuse = |Path(key): Path<String>, headers: HeaderMap| async move {
        let _ = (key, headers);
        (
            StatusCode::TOO_MANY_REQUESTS,
            [("retry-after", "7")],
            "slow\x1b[2J down\n",
        )
    };
    let relay = serve(Router::new().route("/pkarr/{key}", put_route(refuse))).await;
    let error = put(&relay, &packet(&["_iroh", "TXT", "a=b"]), None)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("retry in 7 s"), "{error}");
    assert!(
        error.ends_with("answered 429 Too Many Requests: slow\u{fffd}[2J down"),
        "{error}"
    );
}

/// Answers like a relay where publishing needs a token.
#[tokio::test]
async fn publish_sends_the_token_and_explains_a_missing_one() {
    let demand = |headers: HeaderMap| async move {
        let status = match headers.get("authorization").map(|value| value.as_bytes()) {
            Some(b"Bearer quorate-publish-a") => StatusCode::NO_CONTENT,
            Some(_) => StatusCode::FORBIDDEN,
            None => StatusCode::UNAUTHORIZED,
        };
        let problem = r#"{"type":"/problems/a","title":"A","status":4,"detail":"ask for one"}"#;
        (
            status,
            [("content-type", "application/problem+json")],
            problem,
        )
    };
    let relay = serve(Router::new().route("/pkarr/{key}", put_route(demand))).await;
    let packet = packet(&["_iroh", "TXT", "a=b"]);
    let token = |text: &str| {
        let found = Token::find(None, ("VARIABLE", Some(text.into())));
        found.unwrap().unwrap()
    };
    let good = token("quorate-publish-a");
    put(&relay, &packet, Some(&good)).await.unwrap();

    let error = put(&relay, &packet, None).await.unwrap_err().to_string();
    assert!(error.contains("--token-file FILE"), "{error}");
    assert!(error.ends_with("401 Unauthorized: ask for one"), "{error}");
    let wrong = put(&relay, &packet, Some(&token("another"))).await;
    let error = wrong.unwrap_err().to_string();
    assert!(error.contains("do not allow this key"), "{error}");
}

#[tokio::test]
async fn an_unreachable_relay_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay: RelayUrl = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(listener);
    let error = put(&relay, &packet(&["_iroh", "TXT", "a=b"]), None)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&format!("the relay {relay} cannot be reached")),
        "{error}"
    );
}

#[test]
fn records_are_read_as_they_are_typed() {
    let records = records(&[
        "--txt",
        "_iroh=relay=https://a.example",
        "_iroh",
        "txt",
        "addr=192.0.2.1:1 x",
        "@",
        "A",
        "192.0.2.1",
        "www.",
        "AAAA",
        "::1",
        "Alias",
        "CNAME",
        "example.org.",
    ]);
    let texts: Vec<String> = records.unwrap().iter().map(Record::to_string).collect();
    assert_eq!(
        texts,
        [
            "_iroh TXT \"relay=https://a.example\"",
            "_iroh TXT \"addr=192.0.2.1:1 x\"",
            "@ A 192.0.2.1",
            "www AAAA ::1",
            "alias CNAME example.org.",
        ]
    );
}

#[test]
fn invalid_records_are_explained() {
    let long = "a.".repeat(120);
    for (words, reason) in [
        (&[][..], "there is no record to publish"),
        (&["_iroh", "TXT"], "what begins at \"_iroh\" has fewer"),
        (
            &["_iroh", "relay=x", "TXT"],
            "\"relay=x\" after the name \"_iroh\" is not a type",
        ),
        (&["@", "A", "::1"], "\"::1\" is not a valid value for @ A"),
        (
            &["@", "CNAME", "a..b"],
            "\"a..b\" is not a valid value for @ CNAME",
        ),
        (&["a..b", "A", "192.0.2.1"], "\"a..b\" is not a name"),
        (
            &[&long, "A", "192.0.2.1"],
            "is not a name of at most 200 characters",
        ),
        (&["--txt", "_iroh"], "write NAME=VALUE"),
    ] {
        let error = records(words).unwrap_err().to_string();
        assert!(error.contains(reason), "{words:?}: {error}");
    }
}

#[test]
fn too_many_records_are_rejected_before_anything_is_sent() {
    let text = "x".repeat(250);
    let txt = format!("_iroh={text}");
    let many = records(&["--txt", &txt, "--txt", &txt, "--txt", &txt, "--txt", &txt]).unwrap();
    let error = sign(&Keypair::random(), &many, 30).unwrap_err().to_string();
    assert!(error.contains("a packet of 1000 bytes"), "{error}");
}

#[test]
fn a_key_file_is_created_once_and_private() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("me.key");
    let (created, is_new) = key_file::open(&path).unwrap();
    assert!(is_new);
    let (read, is_new) = key_file::open(&path).unwrap();
    assert!(!is_new);
    assert_eq!(created.secret_key(), read.secret_key());
    assert_eq!(
        Keypair::from_secret_key_file(&path).unwrap().secret_key(),
        created.secret_key()
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}

#[test]
fn a_file_that_is_not_a_key_file_is_named_and_left_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("me.key");
    for text in [
        "",
        "hello",
        "é".repeat(32).as_str(),
        "00".repeat(31).as_str(),
    ] {
        std::fs::write(&path, text).unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, private).unwrap();
        let error = format!("{:#}", key_file::open(&path).err().unwrap());
        assert!(error.contains("me.key is not a key file"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn the_printed_name_is_the_published_one() {
    let records = records(&["_iroh", "TXT", "a=b", "@", "A", "192.0.2.1"]).unwrap();
    let key = PublicKey::from_bytes([7; 32]);
    assert_eq!(
        records[0].name_at(&key, "quorate.test."),
        format!("_iroh.{key}.quorate.test")
    );
    assert_eq!(
        records[1].name_at(&key, "quorate.test"),
        format!("{key}.quorate.test")
    );
}

/// A node with the default settings listens for DNS at 5300, `quorate dev` at 5301 and later.
#[test]
fn the_printed_dig_command_has_the_right_port_and_zone() {
    let records = records(&["_iroh", "TXT", "a=b"]).unwrap();
    let key = PublicKey::from_bytes([7; 32]);
    let dev = ["--relay", "http://127.0.0.1:8082/pkarr"];
    let elsewhere = ["--relay", "https://relay.example.org/pkarr"];
    for (words, expected) in [
        (
            vec![],
            format!(
                "dig @127.0.0.1 -p 5300 _iroh.{key}.ZONE TXT   (ZONE is a zone of the server: "
            ),
        ),
        (
            vec!["--origin", "dns.example.org"],
            format!("dig @127.0.0.1 -p 5300 _iroh.{key}.dns.example.org TXT"),
        ),
        (
            dev.to_vec(),
            format!("dig @127.0.0.1 -p 5302 _iroh.{key}.quorate.test TXT"),
        ),
        (
            elsewhere.to_vec(),
            format!(
                "dig @relay.example.org _iroh.{key}.ZONE TXT   (ZONE is a zone of the server: "
            ),
        ),
        (
            [&elsewhere[..], &["--dns", "192.0.2.1:53", "--origin", "a."]].concat(),
            format!("dig @192.0.2.1 -p 53 _iroh.{key}.a TXT"),
        ),
    ] {
        let printed = dig(&args(&words), &records[0], &key);
        match printed.contains('(') {
            true => assert!(printed.starts_with(&expected), "{printed}"),
            false => assert_eq!(printed, expected),
        }
    }
}

#[test]
fn the_default_relay_is_that_of_serve() {
    assert_eq!(args(&[]).relay.to_string(), "http://127.0.0.1:8080/pkarr");
}

/// As ssh does.
#[test]
fn a_key_file_that_others_can_read_is_rejected() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("me.key");
    key_file::open(&path).unwrap();
    for (mode, is_accepted) in [
        (0o600, true),
        (0o400, true),
        (0o640, false),
        (0o604, false),
        (0o644, false),
        (0o620, false),
    ] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let opened = key_file::open(&path);
        assert_eq!(opened.is_ok(), is_accepted, "{mode:o}");
        if let Err(error) = opened {
            let error = error.to_string();
            assert!(error.contains(&format!("mode {mode:03o}")), "{error}");
            assert!(error.contains("chmod 600 "), "{error}");
        }
    }
}
