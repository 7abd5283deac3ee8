use std::{fs, os::unix::fs::PermissionsExt};

use quorate_tests::s3::{BUCKET, S3Server};

use super::*;

fn name(number: u32) -> String {
    format!("{NAME_PREFIX}{number:08}{NAME_SUFFIX}")
}

async fn holds_backups(target: &Target) {
    let dir = tempfile::tempdir().unwrap();
    let (source, back) = (dir.path().join("source"), dir.path().join("back"));
    // More than one part of an upload.
    let content: Vec<u8> = (0..20_000_000_u32).map(|at| (at % 251) as u8).collect();
    fs::write(&source, &content).unwrap();
    for number in [3, 1, 2] {
        target.upload(&name(number), &source).await.unwrap();
    }
    assert_eq!(target.list().await.unwrap(), [1, 2, 3].map(name));
    target.download(&name(2), &back).await.unwrap();
    assert!(fs::read(&back).unwrap() == content, "other bytes came back");
    assert_eq!(
        fs::metadata(&back).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let pruned = target.prune("quorate-", &name(3), 2).await.unwrap();
    assert_eq!(pruned, [name(1)]);
    let others = target.prune("quorate-other", &name(3), 0).await.unwrap();
    assert_eq!(others, [""; 0]);
    assert_eq!(target.list().await.unwrap(), [2, 3].map(name));
    let missing = dir.path().join("missing");
    target.upload(&name(4), &missing).await.unwrap_err();
    assert_eq!(target.list().await.unwrap(), [2, 3].map(name));
}

#[tokio::test]
async fn a_directory_holds_backups_and_keeps_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::directory(dir.path());
    holds_backups(&target).await;
    let mode = fs::metadata(dir.path().join(name(2)))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let left = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 2, "an unfinished file is left");
}

#[tokio::test]
async fn files_of_others_are_neither_listed_nor_removed() {
    let dir = tempfile::tempdir().unwrap();
    for other in ["notes.txt", "quorate-1.tar", "quorate-1.backup.unfinished"] {
        fs::write(dir.path().join(other), "x").unwrap();
    }
    let target = Target::directory(dir.path());
    let pruned = target
        .prune("quorate-a", "quorate-b.backup", 0)
        .await
        .unwrap();
    assert_eq!(pruned, [""; 0]);
    for other in ["notes.txt", "quorate-/../notes.txt.backup", ""] {
        target.remove(other).await.unwrap_err();
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
}

#[tokio::test]
async fn the_backup_that_was_just_verified_and_later_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    let source = tempfile::NamedTempFile::new().unwrap();
    let target = Target::directory(dir.path());
    for number in [1, 2, 3, 8, 9] {
        target.upload(&name(number), source.path()).await.unwrap();
    }
    for (number, stays) in [(2, false), (4, true)] {
        let unfinished = format!("{}.unfinished", name(number));
        fs::write(dir.path().join(&unfinished), "x").unwrap();
        target.prune("quorate-", &name(3), 2).await.unwrap();
        assert_eq!(dir.path().join(unfinished).exists(), stays, "{number}");
    }
    assert_eq!(target.list().await.unwrap(), [2, 3, 8, 9].map(name));
    target.prune("quorate-", &name(3), 0).await.unwrap();
    assert_eq!(target.list().await.unwrap(), [3, 8, 9].map(name));
}

#[test]
fn credentials_are_not_printed() {
    let credentials = Credentials {
        access_key_id: "AKIAX".to_owned(),
        secret_access_key: "hush".to_owned(),
    };
    let printed = format!("{credentials:?}");
    assert!(
        !printed.contains("AKIAX") && !printed.contains("hush"),
        "{printed}"
    );
}

async fn s3_server() -> S3Server {
    // reqwest builds no client without a provider, not even for plain HTTP.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    S3Server::start().await
}

fn s3_target(server: &S3Server, bucket: &str, prefix: &str) -> Target {
    let credentials = Credentials {
        access_key_id: "id".to_owned(),
        secret_access_key: "secret".to_owned(),
    };
    let settings = S3Settings {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: Some(server.url().to_owned()),
        path_style: true,
        allow_http: true,
        credentials,
    };
    Target::s3(&settings).unwrap()
}

#[tokio::test]
async fn a_real_s3_store_holds_backups_and_keeps_the_newest() {
    let server = s3_server().await;
    holds_backups(&s3_target(&server, BUCKET, "nodes/backups")).await;
    holds_backups(&s3_target(&server, BUCKET, "")).await;
}

#[tokio::test]
async fn a_store_that_refuses_is_an_error_that_names_the_file() {
    let server = s3_server().await;
    let target = s3_target(&server, "missing", "");
    let source = tempfile::NamedTempFile::new().unwrap();
    let error = target.upload(&name(1), source.path()).await.unwrap_err();
    assert!(error.to_string().contains(&name(1)), "{error}");
    target.list().await.unwrap_err();
}
