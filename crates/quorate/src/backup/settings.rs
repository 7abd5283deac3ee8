//! The settings of scheduled backups.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use quorate_backup::{
    schedule::Schedule,
    target::{Credentials, S3Settings, Target},
};
use quorate_setting::{Findings, settings};

/// The beginning of a target with the S3 protocol.
const S3: &str = "s3://";

/// The variables that have the credentials, unless a file does. AWS's own programs read the same ones.
const ID_VARIABLE: &str = "AWS_ACCESS_KEY_ID";
const SECRET_VARIABLE: &str = "AWS_SECRET_ACCESS_KEY";

/// The bits of a file's mode for its group and for others.
const OTHERS_MODE: u32 = 0o077;

settings! {
    /// Scheduled backups. One voter makes each, and another one tries again if it fails. Set the same on
    /// all nodes.
    pub(crate) struct BackupSettings {
        /// Where backups are kept: the absolute path of a directory, best one that all nodes share, or
        /// "s3://bucket/prefix". If empty, there are no scheduled backups.
        target: String = String::new();
        /// The time from one backup to the next: a day.
        interval_secs: u64 = 86_400, in 1..=30 * 86_400,
            "below, backups never end; above, too much is lost with the cluster";
        /// How many backups are kept. Older ones of this cluster are removed after a new one was read back
        /// and verified.
        kept_count: usize = 14, in 1..=10_000,
            "without any there is no backup, and a store lists 10,000 files slowly";
        /// The region of the bucket.
        region: String = "us-east-1".into();
        /// The URL of a store other than AWS, such as "https://minio.example.org:9000". Over http://,
        /// everybody on the way can read the packets.
        endpoint: String = String::new();
        /// Whether the bucket is in the path of requests, not in the name of the host, as for most stores
        /// other than AWS.
        path_style: bool = false;
        /// The file with the keys of the store, which only its owner may read: the access key id on the
        /// first line, the secret access key on the second. If empty, AWS_ACCESS_KEY_ID and
        /// AWS_SECRET_ACCESS_KEY in the environment are used.
        credentials_file: PathBuf = PathBuf::new();
    }
}

impl BackupSettings {
    /// The schedule, if there is one.
    pub(crate) fn schedule(&self) -> Option<Schedule> {
        let interval = Duration::from_secs(self.interval_secs);
        (!self.target.is_empty()).then_some(Schedule { interval })
    }

    /// Reports a target or an endpoint that cannot be right.
    pub(crate) fn check_target(&self, findings: &mut Findings) {
        let is_s3 = self.bucket().is_some();
        if !self.target.is_empty() && !is_s3 && !Path::new(&self.target).is_absolute() {
            let reason = "it is neither an absolute path nor s3://BUCKET or s3://BUCKET/PREFIX";
            findings.error("backup.target", reason);
        }
        let is_url = ["https://", "http://"].iter().any(|scheme| {
            self.endpoint
                .strip_prefix(scheme)
                .is_some_and(|rest| !rest.is_empty())
        });
        if !self.endpoint.is_empty() && !is_url {
            let reason = "write a URL such as https://minio.example.org:9000";
            findings.error("backup.endpoint", reason);
        }
        if self.endpoint.starts_with("http://") {
            let reason = "everybody on the way can read the packets and change them: use https://";
            findings.warning("backup.endpoint", reason);
        }
    }

    /// The bucket and the prefix of the target.
    fn bucket(&self) -> Option<(&str, &str)> {
        let rest = self.target.strip_prefix(S3)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        (!bucket.is_empty()).then_some((bucket, prefix.trim_end_matches('/')))
    }

    /// The target. Fails if the directory or the credentials cannot be used. Sends nothing.
    pub(crate) fn target(&self) -> anyhow::Result<Target> {
        let Some((bucket, prefix)) = self.bucket() else {
            let dir = Path::new(&self.target);
            ensure!(
                dir.is_dir(),
                "backup.target: {} is not a directory: create it, for the user of the node",
                dir.display()
            );
            return Ok(Target::directory(dir));
        };
        // The store is reached through TLS with the provider of the program.
        quorate_ctl::install_tls_provider();
        let settings = S3Settings {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            region: self.region.clone(),
            endpoint: (!self.endpoint.is_empty()).then(|| self.endpoint.clone()),
            path_style: self.path_style,
            allow_http: self.endpoint.starts_with("http://"),
            credentials: self.credentials()?,
        };
        Target::s3(&settings).context("backup.target")
    }

    fn credentials(&self) -> anyhow::Result<Credentials> {
        if self.credentials_file.as_os_str().is_empty() {
            let variable = |name| {
                let value = std::env::var(name).ok().filter(|value| !value.is_empty());
                value.with_context(|| {
                    format!("{name} is not set: set it, or name a file in backup.credentials_file")
                })
            };
            return Ok(Credentials {
                access_key_id: variable(ID_VARIABLE)?,
                secret_access_key: variable(SECRET_VARIABLE)?,
            });
        }
        let shown = self.credentials_file.display();
        let read = || -> anyhow::Result<Credentials> {
            let mode = fs::metadata(&self.credentials_file)?.permissions().mode() & 0o777;
            if mode & OTHERS_MODE != 0 {
                bail!("it has mode {mode:03o}, so others can read or change it: run `chmod 600`");
            }
            let text = fs::read_to_string(&self.credentials_file)?;
            let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            match (lines.next(), lines.next(), lines.next()) {
                (Some(id), Some(secret), None) => Ok(Credentials {
                    access_key_id: id.to_owned(),
                    secret_access_key: secret.to_owned(),
                }),
                _ => bail!("it must have two lines: the access key id and the secret access key"),
            }
        };
        read().with_context(|| format!("backup.credentials_file: {shown}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(target: &str) -> BackupSettings {
        BackupSettings {
            target: target.to_owned(),
            ..BackupSettings::default()
        }
    }

    #[test]
    fn a_target_is_a_directory_or_a_bucket() {
        for (target, bucket) in [
            ("s3://b", Some(("b", ""))),
            ("s3://b/p/q/", Some(("b", "p/q"))),
            ("s3://", None),
            ("/backups", None),
        ] {
            assert_eq!(settings(target).bucket(), bucket, "{target}");
        }
        for (target, is_wrong) in [
            ("", false),
            ("/b", false),
            ("s3://b", false),
            ("b", true),
            ("s3://", true),
        ] {
            let mut findings = Findings::default();
            settings(target).check_target(&mut findings);
            assert_eq!(!findings.errors.is_empty(), is_wrong, "{target}");
        }
        assert!(settings("").schedule().is_none());
        let missing = settings("/no/such/directory").target().unwrap_err();
        assert!(
            missing.to_string().contains("is not a directory"),
            "{missing}"
        );
    }

    #[test]
    fn credentials_are_private_and_never_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut settings = settings("s3://b");
        settings.credentials_file = file.path().to_owned();
        fs::write(&file, "one line only\n").unwrap();
        let error = format!("{:#}", settings.target().unwrap_err());
        assert!(
            error.contains("two lines") && !error.contains("one line only"),
            "{error}"
        );
        fs::write(&file, "id\nsecret\n").unwrap();
        let target = settings.target().unwrap();
        assert!(!format!("{target:?}").contains("secret\""));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let error = format!("{:#}", settings.target().unwrap_err());
        assert!(error.contains("mode 640"), "{error}");
    }
}
