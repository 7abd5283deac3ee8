use std::{fs, io::Write, path::Path};

use super::*;

#[path = "check_tests.rs"]
mod check;

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn environment(variables: &[(&str, &str)]) -> Sources {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Sources {
        environment: variables.iter().map(owned).collect(),
        ..Sources::default()
    }
}

/// The errors of a file of version 1, with its path replaced by `FILE`.
fn problems(text: &str) -> Vec<String> {
    let file = file(&format!("version = 1\n{text}"));
    let path = file.path().to_owned();
    let result = load(Sources {
        file: Some(path.clone()),
        ..Sources::default()
    });
    let problems = result.expect_err("the file has an error").0;
    let text = |problem: &Problem| problem.to_string().replace(path.to_str().unwrap(), "FILE");
    problems.iter().map(text).collect()
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(problems(text), expected, "{text}");
}

#[test]
fn every_file_we_ship_loads_without_a_warning() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut count = 0;
    for dir in ["config", "deploy"] {
        for path in toml_files(&root.join(dir)) {
            let loaded = load(Sources {
                file: Some(path.clone()),
                ..Sources::default()
            });
            let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
            assert_eq!(loaded.warnings, [], "{}", path.display());
            count += 1;
        }
    }
    assert!(count >= 1, "config/ must contain the example");
}

fn toml_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path());
    let (dirs, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let is_toml = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    };
    files
        .into_iter()
        .filter(is_toml)
        .chain(dirs.iter().flat_map(|dir| toml_files(dir)))
        .collect()
}

/// Compares the documents in the repository with the settings of the program. To update them:
/// `UPDATE_GOLDEN=1 cargo test --workspace config`.
#[test]
fn the_documents_match_the_declarations() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (file, text) in [
        ("config/quorate.toml", example()),
        ("docs/CONFIGURATION.md", reference()),
    ] {
        let file = root.join(file);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&file, &text).unwrap();
        }
        let written = fs::read_to_string(&file).unwrap();
        assert_eq!(written, text, "{} is outdated", file.display());
    }
}

/// The example says that a setting after a # has its default value.
#[test]
fn settings_that_the_example_comments_out_show_their_defaults() {
    let text = example();
    let is_setting = |line: &str| {
        let key = line
            .strip_prefix("# ")
            .and_then(|line| line.split_once(" = "));
        key.is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    };
    let lines: Vec<_> = text
        .lines()
        .map(|line| match is_setting(line) {
            true => &line[2..],
            false => line,
        })
        .collect();
    let load = |text: &str| {
        let file = file(text);
        let sources = Sources {
            file: Some(file.path().into()),
            ..Sources::default()
        };
        load(sources).unwrap().config
    };
    let count = lines.iter().filter(|line| line.contains(" = ")).count();
    assert!(count > 37, "{count} settings are shown");
    assert_eq!(load(&lines.join("\n")), load(&text));
}

#[test]
fn the_defaults_alone_are_a_configuration() {
    let loaded = load(Sources::default()).unwrap();
    assert_eq!(loaded.config, ConfigV1::default());
    assert_eq!(loaded.source("http.listen"), Source::Default);
}

#[test]
fn the_later_layer_wins_and_is_named() {
    let file = file(
        "version = 1\ndata_dir = \"/file\"\n[http]\nlisten = \"127.0.0.1:1\"\n\
         [admin]\nlisten = \"127.0.0.1:2\"\n",
    );
    let loaded = load(Sources {
        file: Some(file.path().into()),
        flags: vec![("http.listen", "127.0.0.1:4".into())],
        ..environment(&[
            ("QUORATE_HTTP_LISTEN", "127.0.0.1:3"),
            ("QUORATE_DATA_DIR", "/environment"),
            ("PATH", "/bin"),
        ])
    })
    .unwrap();
    assert_eq!(loaded.config.http.listen[0].port(), 4);
    assert_eq!(loaded.config.data_dir, Path::new("/environment"));
    assert_eq!(loaded.config.admin.listen[0].port(), 2);
    assert_eq!(
        loaded.source("http.listen"),
        Source::Flag("--http-listen".into())
    );
    assert_eq!(
        loaded.source("data_dir"),
        Source::Variable("QUORATE_DATA_DIR".into())
    );
    let line = Some(6);
    assert_eq!(
        loaded.source("admin.listen"),
        Source::File {
            path: file.path().into(),
            line
        }
    );
    assert_eq!(loaded.source("put.deadline_ms"), Source::Default);
}

#[test]
fn variables_are_read_by_the_type_of_their_setting() {
    let loaded = load(environment(&[
        ("QUORATE_CLUSTER_NODE_NAME", "42"),
        ("QUORATE_LIMIT_ENABLED", "false"),
        ("QUORATE_STORE_CACHE_SIZE", "16_777_216"),
        ("QUORATE_HTTP_TRUSTED_PROXIES", ""),
        (
            "QUORATE_DNS_ORIGINS",
            "[{ name = \"example.org\", a = [\"192.0.2.1\"] }]",
        ),
    ]))
    .unwrap();
    let config = &loaded.config;
    assert_eq!(config.cluster.node_name, "42");
    assert!(!config.limit.enabled);
    assert_eq!(config.store.cache_size, 16 * 1024 * 1024);
    assert!(config.http.trusted_proxies.is_empty());
    assert_eq!(config.dns.origins[0].name, "example.org");
}

#[test]
fn a_wrong_variable_is_named() {
    let problems = load(environment(&[
        ("QUORATE_CLUSTER_NODES", "a,b"),
        ("QUORATE_HTTP_LISEN", "127.0.0.1:1"),
        ("QUORATE_STORE_CACHE_SIZE", "1 GiB"),
        ("QUORATE_ADMIN_LISTEN", "localhost"),
        ("QUORATE_DNS_ORIGINS", "[{ nam = \"example.org\" }]"),
        ("QUORATE_VERSION", "1"),
        ("QUORATE_PORT_7700_TCP", "tcp://10.0.0.1:7700"),
    ]))
    .unwrap_err();
    let text = problems.to_string();
    for part in [
        "environment QUORATE_CLUSTER_NODES: this setting was removed: `quorate init --found`",
        "environment QUORATE_HTTP_LISEN: no setting has this name; similar names: \
         QUORATE_HTTP_CONNECTION_BYTES_PER_SEC, QUORATE_HTTP_CONNECTION_COUNT_MAX, \
         QUORATE_HTTP_CONNECTION_COUNT_PER_CLIENT_MAX, QUORATE_HTTP_LISTEN, \
         QUORATE_HTTP_PROXY_LISTEN, QUORATE_HTTP_PROXY_TLS_LISTEN, QUORATE_HTTP_TLS_LISTEN, \
         QUORATE_HTTP_TRUSTED_PROXIES",
        "environment QUORATE_STORE_CACHE_SIZE: store.cache_size: \"1 GiB\" cannot be read as a number",
        "environment QUORATE_ADMIN_LISTEN: admin.listen[0]: \"localhost\" is not an IP address and a port, such as",
        "environment QUORATE_DNS_ORIGINS: dns.origins[0].nam: unknown field `nam`",
        "environment QUORATE_VERSION: no setting has this name",
        "environment QUORATE_PORT_7700_TCP: no setting has this name; if Kubernetes",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn variables_of_build_tests_and_client_are_not_settings() {
    let loaded = load(environment(&[
        ("QUORATE_GIT_HASH", "0123456"),
        ("QUORATE_BIN", "target/debug/quorate"),
        ("QUORATE_ADMIN", "http://ns1.example.org:9100"),
        ("QUORATE_ADMIN_TOKEN", "quorate-admin-0123456"),
        ("QUORATE_ADMIN_TOKEN_FILE", "/etc/quorate/token"),
        ("QUORATE_RELAY", "https://relay.example.org/pkarr"),
        ("QUORATE_PUBLISH_TOKEN", "quorate-publish-0123456"),
        ("QUORATE_PUBLISH_TOKEN_FILE", "/etc/quorate/publish-token"),
    ]))
    .unwrap();
    assert_eq!(loaded.config, ConfigV1::default());
}

/// A value with a line break must not set a second setting.
#[test]
fn a_variable_sets_one_setting() {
    let value = "1\nadmin.listen = \"0.0.0.0:1\"";
    let problems = load(environment(&[("QUORATE_PUT_DEADLINE_MS", value)])).unwrap_err();
    assert!(
        problems.to_string().contains("put.deadline_ms"),
        "{problems}"
    );
}

#[test]
fn every_mistake_is_reported_with_its_line() {
    check(
        "[http]\nlistn = \"0.0.0.0:80\"\nconnection_count_max = \"many\"\n[htpp]\n[put]\ndeadline_ms = -1\n\
         [admin.listen]\nip = \"::1\"\n[cluster]\nnodes = [\n  \"nobody\",\n]\nname = \"a\"\n",
        &[
            "FILE:3: http.listn: unknown field `listn`, expected one of `listen`, \
             `tls_listen`, `proxy_listen`, `proxy_tls_listen`, `connection_count_max`, \
             `connection_count_per_client_max`, `connection_bytes_per_sec`, `trusted_proxies`",
            "FILE:4: http.connection_count_max: \"many\" is not a whole number",
            "FILE:5: htpp: unknown field `htpp`, expected one of `version`, `data_dir`, `cluster`, \
             `http`, `peer`, `admin`, `dns`, `tls`, `limit`, `watch`, `dht`, `packets`, `put`, `clock`, `raft`, \
             `store`, `log`, `backup`, `logging`",
            "FILE:7: put.deadline_ms: -1 is not a whole number",
            "FILE:8: admin.listen: a table is neither an address, such as \"127.0.0.1:8080\", nor a list of them",
            "FILE:11: cluster.nodes: this setting was removed: `quorate init --found` founds a cluster, and others join with a token",
            "FILE:14: cluster.name: this setting was removed: `quorate init --found` founds a cluster, and others join with a token",
        ],
    );
}

#[test]
fn invalid_toml_is_reported_with_its_line() {
    let [problem] = &problems("[http]\nlisten = 0.0.0.0:80\n")[..] else {
        panic!("one problem")
    };
    assert!(
        problem.starts_with("FILE:3: this is not TOML: "),
        "{problem}"
    );
    let [problem] = &problems("[http]\n[http]\n")[..] else {
        panic!("one problem")
    };
    assert!(problem.starts_with("FILE:3: "), "{problem}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let sources = Sources {
        file: Some("/nowhere/quorate.toml".into()),
        ..Sources::default()
    };
    let text = load(sources).unwrap_err().to_string();
    assert!(
        text.contains("/nowhere/quorate.toml: the file cannot be read: "),
        "{text}"
    );
}

#[test]
fn a_file_of_another_version_has_only_that_error() {
    for (text, reason) in [
        (
            "version = 2\n[new]\n",
            ":1: version: this program reads version 1, the file has 2",
        ),
        ("version = \"1\"\n", ":1: version: write the number 1"),
        (
            "",
            ": version: it is missing; the first line should be `version = 1`",
        ),
    ] {
        let file = file(text);
        let sources = Sources {
            file: Some(file.path().into()),
            ..Sources::default()
        };
        let problems = load(sources).unwrap_err();
        assert_eq!(problems.0.len(), 1);
        assert!(problems.to_string().ends_with(reason), "{problems}");
    }
}

#[test]
fn show_prints_every_setting_and_its_source() {
    let file = file(
        "version = 1\n[[dns.origins]]\nname = \"quorate.test\"\n\
         ns_addresses = { \"a.quorate.test\" = [\"::1\"] }\nns = [\"a.quorate.test\"]\n",
    );
    let path = file.path().to_str().unwrap();
    let loaded = load(Sources {
        file: Some(path.into()),
        flags: vec![("data_dir", "/data".into())],
        ..environment(&[("QUORATE_RAFT_HEARTBEAT_MS", "60")])
    })
    .unwrap();
    let shown = loaded.show();
    assert_eq!(shown.replace(path, "FILE"), include_str!("show_golden.txt"));
}

#[test]
fn the_output_of_show_can_be_loaded() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/quorate.toml");
    let loaded = load(Sources {
        file: Some(path),
        ..Sources::default()
    })
    .unwrap();
    let again = file(&loaded.show());
    let again = load(Sources {
        file: Some(again.path().into()),
        ..Sources::default()
    })
    .unwrap();
    assert_eq!(again.config, loaded.config);
}
