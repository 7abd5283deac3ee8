use axum::{Router, routing::get};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::fixture::{SHORT, within};

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

fn serve_at(path: &Path, config: HttpConfig) -> SocketServer {
    let metrics = ListenerMetrics::register(&quorate_metrics::Registry::new()).unwrap();
    let routes = Router::new().route("/", get(|| async { "hello" }));
    let listener = SocketListener::bind(path, None).unwrap();
    listener.serve(config, routes, ListenerName::AdminSocket, &metrics)
}

fn dir() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    (dir, path)
}

async fn exchange(path: &Path, sent: &str) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("the answer", stream.read_to_string(&mut answer))
        .await
        .unwrap();
    answer
}

#[tokio::test]
async fn requests_are_served_and_the_file_is_removed_at_a_shutdown() {
    let (_dir, path) = dir();
    let server = serve_at(&path, HttpConfig::default());
    let answer = exchange(&path, GET).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("hello"), "{answer}");
    within("the shutdown", server.shutdown()).await;
    assert!(!path.exists());
}

#[tokio::test]
async fn the_limits_of_http_hold() {
    let (_dir, path) = dir();
    let config = HttpConfig {
        header_read_timeout: SHORT,
        connection_count_max: 1,
        connection_count_per_client_max: 1,
        ..HttpConfig::default()
    };
    let server = serve_at(&path, config);
    let answer = exchange(&path, "GET / HTTP/1.1\r\nHost: localhost\r\nX:").await;
    assert!(!answer.contains(" 200 "), "a slow header ends: {answer}");
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let answer = exchange(&path, &long).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let mut idle = UnixStream::connect(&path).await.unwrap();
    let answer = exchange(&path, GET).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let evicted = within("it is evicted", idle.read_u8()).await;
    assert_eq!(evicted.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    server.shutdown().await;
}

#[tokio::test]
async fn only_the_owner_or_the_group_may_connect() {
    let (_dir, path) = dir();
    let own_group = fs::metadata(path.parent().unwrap()).unwrap().gid();
    for (group, mode) in [(None, 0o600), (Some(own_group), 0o660)] {
        let _listener = SocketListener::bind(&path, group).unwrap();
        let file = fs::metadata(&path).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, mode);
        assert_eq!(file.gid(), own_group);
    }
}

#[tokio::test]
async fn a_file_that_a_killed_process_left_is_replaced() {
    let (_dir, path) = dir();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let server = serve_at(&path, HttpConfig::default());
    assert!(exchange(&path, GET).await.starts_with("HTTP/1.1 200 "));
    server.shutdown().await;
}

#[tokio::test]
async fn the_socket_of_a_live_process_is_not_replaced() {
    let (_dir, path) = dir();
    let server = serve_at(&path, HttpConfig::default());
    let error = SocketListener::bind(&path, None).unwrap_err().to_string();
    assert!(error.contains("another process listens"), "{error}");
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    assert!(exchange(&path, GET).await.starts_with("HTTP/1.1 200 "));
    server.shutdown().await;
}

#[tokio::test]
async fn no_other_file_is_removed() {
    let (_dir, path) = dir();
    fs::write(&path, "mine").unwrap();
    let error = SocketListener::bind(&path, None).unwrap_err().to_string();
    assert!(error.contains("is not a socket"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
}

#[tokio::test]
async fn a_shutdown_leaves_the_socket_of_a_later_process() {
    let (_dir, path) = dir();
    let earlier = serve_at(&path, HttpConfig::default());
    fs::remove_file(&path).unwrap();
    let later = serve_at(&path, HttpConfig::default());
    within("the shutdown", earlier.shutdown()).await;
    assert!(exchange(&path, GET).await.starts_with("HTTP/1.1 200 "));
    later.shutdown().await;
}
