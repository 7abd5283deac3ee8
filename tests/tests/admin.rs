//! The two ways to the admin API: the addresses, where a token is needed, and the socket.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use quorate_tests::{Cluster, Node, voters};
use reqwest::{Certificate, Client, StatusCode, header};

use crate::encrypted;

async fn status_of(request: reqwest::RequestBuilder) -> StatusCode {
    request.send().await.expect("it answers").status()
}

/// nginx's `proxy_pass http://127.0.0.1:9100` sends that address as `Host`; HAProxy sends the
/// client's.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_on_the_machine_of_a_node_operates_nothing() {
    let cluster = Cluster::start(voters(1)).await;
    let node = cluster.node(1);
    for host in [node.addresses().admin.to_string(), "203.0.113.5".to_owned()] {
        for path in ["/v1/status", "/v1/members", "/v1/openapi.json"] {
            let request = node.admin_tcp(path).header(header::HOST, &host);
            assert_eq!(status_of(request).await, StatusCode::UNAUTHORIZED, "{path}");
        }
        let url = format!("http://{}/v1/members/invites", node.addresses().admin);
        let invite = node.client().post(url).header(header::HOST, &host);
        let invite = invite.header(header::CONTENT_TYPE, "application/json");
        assert_eq!(status_of(invite).await, StatusCode::UNAUTHORIZED);
        let health = node.admin_tcp("/readyz").header(header::HOST, &host);
        assert_eq!(status_of(health).await, StatusCode::OK);
    }
    let metrics = node.admin_tcp("/metrics");
    assert_eq!(status_of(metrics).await, StatusCode::OK);
    let foreign = node
        .admin_tcp("/metrics")
        .header(header::HOST, "203.0.113.5");
    assert_eq!(status_of(foreign).await, StatusCode::UNAUTHORIZED);
    let url = format!("http://{}", node.addresses().admin);
    let error = node.run(&["status", "--admin", &url]).await;
    assert_eq!(error.code, 4, "{}", error.stderr);
    assert!(
        error.stderr.contains("--admin unix:PATH"),
        "{}",
        error.stderr
    );
}

fn socket(node: &Node) -> PathBuf {
    node.data_dir().join("admin.sock")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_only_for_the_user_of_the_node_and_ends_with_it() {
    let cluster = Cluster::start(voters(1)).await;
    let node = cluster.node(1);
    let mode = fs::metadata(socket(&node))
        .expect("it listens")
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    node.operate(&["status"]).await;
    node.terminate().await;
    assert!(!socket(&node).exists());

    // A killed process leaves it, and the next one replaces it.
    node.start();
    node.wait_ready().await;
    node.kill();
    assert!(socket(&node).exists());
    node.start();
    node.wait_ready().await;
    node.operate(&["status"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_finds_the_socket_of_a_configuration_file() {
    let cluster = Cluster::start(voters(1)).await;
    let node = cluster.node(1);
    let file = node.data_dir().with_file_name("config.toml");
    let file = file.to_str().expect("it is a name of ours");
    let run = |variable: Option<&str>| {
        let mut command = quorate_tests::binary::command();
        command.args(["status", "--json", "--config", file]);
        command.env_remove("QUORATE_ADMIN");
        command.envs(variable.map(|value| ("QUORATE_ADMIN", value)));
        command.output().expect("quorate can be started")
    };
    let found = run(None);
    let status = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(status.contains(node.id()), "{found:?}");
    // An explicit address never falls back.
    let absent = run(Some("unix:/no/such/socket"));
    assert_eq!(absent.status.code(), Some(3));
    let error = String::from_utf8_lossy(&absent.stderr).into_owned();
    assert!(error.contains("unix:/no/such/socket"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_may_use_the_socket_and_a_file_in_its_place_is_kept() {
    let cluster = Cluster::prepare(&voters(1));
    let node = cluster.node(1);
    let group = fs::metadata(cluster.dir()).expect("it exists");
    let group = std::os::unix::fs::MetadataExt::gid(&group);
    let config = node.config();
    let listen = format!("listen = \"{}\"", node.addresses().admin);
    let with = |line: &str| config.replace(&listen, &format!("{listen}\n{line}"));
    node.configure(&with(&format!("socket_group = \"{group}\"")));
    fs::write(socket(&node), "mine").expect("the directory can be written");
    let log = node.expect_start_fails().await;
    assert!(log.contains("is not a socket"), "{log}");
    fs::remove_file(socket(&node)).expect("it is there");
    node.start();
    node.wait_ready().await;
    let mode = fs::metadata(socket(&node))
        .expect("it listens")
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o660);
    node.terminate().await;

    node.configure(&with(&format!("socket = \"/{}\"", "s".repeat(107))));
    let log = node.expect_start_fails().await;
    assert!(
        log.contains("admin.socket") && log.contains("at most 107"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_addresses_speak_https_if_configured() {
    let certificate = encrypted::Certificate::new();
    let cluster = Cluster::prepare(&voters(1).with_config(&certificate.settings()));
    let node = cluster.node(1);
    let listen = format!("listen = \"{}\"", node.addresses().admin);
    let config = node.config();
    node.configure(&config.replace(&listen, &format!("{listen}\ntls = true")));
    node.start();
    node.wait_ready().await;
    let pem = fs::read(certificate.file()).expect("it was written");
    let root = Certificate::from_pem(&pem).expect("it is a certificate");
    let client = Client::builder().tls_certs_only([root]).build();
    let url = format!("https://{}/readyz", node.addresses().admin);
    let request = client.expect("a client can be built").get(url);
    assert_eq!(status_of(request).await, StatusCode::OK);
    assert!(
        node.admin_tcp("/readyz").send().await.is_err(),
        "no plain HTTP"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_are_json_if_configured_and_a_misspelt_level_is_an_error() {
    let cluster = Cluster::prepare(&voters(1).with_config("\n[logging]\nformat = \"json\"\n"));
    let node = cluster.node(1);
    node.start();
    node.wait_ready().await;
    node.terminate().await;
    let log = node.log();
    assert!(log.lines().count() > 1, "{log}");
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("it is JSON");
        assert!(
            line["level"].is_string() && line["fields"]["message"].is_string(),
            "{line}"
        );
    }
    node.configure(
        &node
            .config()
            .replace("format = \"json\"", "filter = \"inof\""),
    );
    let log = node.expect_start_fails().await;
    assert!(
        log.contains("logging.filter: `inof` is neither a level"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_name_and_a_misplaced_scrape_are_failures() {
    let cluster = Cluster::start(voters(1)).await;
    let node = cluster.node(1);
    let error = node
        .expect_rejected(&["zone", "unset", "quorate.test", "wwww"])
        .await;
    assert!(error.contains("has no such replicated records"), "{error}");
    let scrape = node.send(node.client().get(node.url("/metrics"))).await;
    assert_eq!(scrape.status, 404);
    assert!(scrape.text().contains("unknown-path"), "{}", scrape.text());
}
