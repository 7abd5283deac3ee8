//! What every step of an order needs.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use instant_acme::Error;
use quorate_disk::{Disk, OpenMode};
use quorate_replica::{Role, SecretStore, WireName};

use crate::{
    AcmeConfig, AcmeMetrics,
    clock::Clock,
    documents::Wanted,
    failure::{Failure, FailureKind, with_sources},
    http_client::BoundedClient,
    names::{CertificateName, check_names},
};

/// The largest file with roots or a key.
const FILE_SIZE_MAX: u64 = 1024 * 1024;

/// The permissions of all users of the machine but the owner and the group.
const OTHERS: u32 = 0o007;

/// The settings and the surroundings.
pub(crate) struct Context {
    pub(crate) config: AcmeConfig,
    /// What a certificate is wanted for.
    pub(crate) wanted: Wanted,
    /// The names, or what is wrong with them.
    pub(crate) names: Result<Vec<CertificateName>, String>,
    pub(crate) store: Arc<dyn SecretStore>,
    pub(crate) metrics: AcmeMetrics,
    pub(crate) clock: Clock,
    pub(crate) limits: TimeLimits,
    disk: Arc<dyn Disk>,
}

/// How long things may take. Tests take less.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeLimits {
    /// An attempt as a whole. Authorities look several times for the records before they give up.
    pub(crate) attempt: Duration,
    /// A request, with its response. Public authorities answer within seconds.
    pub(crate) request: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            attempt: Duration::from_mins(10),
            request: Duration::from_secs(30),
        }
    }
}

impl Context {
    pub(crate) fn new(
        config: AcmeConfig,
        zones: &[WireName],
        store: Arc<dyn SecretStore>,
        disk: Arc<dyn Disk>,
        metrics: AcmeMetrics,
        clock: Clock,
        limits: TimeLimits,
    ) -> Self {
        let names = check_names(&config.names, &config.delegated, zones);
        let names = names.map_err(|errors| {
            let errors = errors.iter().map(ToString::to_string);
            errors.collect::<Vec<_>>().join("; ")
        });
        let wanted = Wanted {
            directory: config.directory.clone(),
            names: match &names {
                Ok(names) => names.iter().map(|name| name.name.clone()).collect(),
                Err(_) => config.names.clone(),
            },
            profile: config.profile.clone(),
            key_type: config.key_type,
        };
        Self {
            config,
            wanted,
            names,
            store,
            metrics,
            clock,
            limits,
            disk,
        }
    }

    /// Whether this node leads a cluster that accepts changes.
    pub(crate) fn leads(&self) -> bool {
        let status = self.store.status();
        status.role == Role::Leader
            && status.not_ready.is_none()
            && self.store.check_ready().is_ok()
    }

    /// A client for the authority.
    pub(crate) fn client(&self) -> Result<BoundedClient, Failure> {
        let file = &self.config.root_file;
        let fails = |reason: String| Failure::new(FailureKind::Config, reason);
        let roots = match file.as_os_str().is_empty() {
            true => None,
            false => Some(self.read(file, false)?),
        };
        let timeout = self.limits.request;
        let client = BoundedClient::new(&self.config.directory, roots.as_deref(), timeout);
        client.map_err(|reason| match roots {
            Some(_) => fails(format!(
                "{} or the directory is unusable: {reason}",
                file.display()
            )),
            None => fails(reason),
        })
    }

    /// Reads a file. One that is secret may not be open to all users of the machine.
    pub(crate) fn read(&self, path: &Path, is_secret: bool) -> Result<Vec<u8>, Failure> {
        let read = || -> Result<Vec<u8>, FileError> {
            let file = self.disk.open(path, OpenMode::Read)?;
            let mode = file.mode()?;
            if is_secret && mode & OTHERS != 0 {
                return Err(FileError::Exposed(path.to_owned(), mode));
            }
            let size = file.size()?;
            if size > FILE_SIZE_MAX {
                return Err(FileError::TooLarge);
            }
            let mut bytes = vec![0; size as usize];
            file.read_at(&mut bytes, 0)?;
            Ok(bytes)
        };
        read().map_err(|error| {
            let text = format!("{}: {error}", path.display());
            Failure::new(FailureKind::Config, text)
        })
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({:?})", self.wanted)
    }
}

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error(
        "every user of this machine may open it, for its mode is {mode:o}: run `chmod 640 {path}`",
        path = .0.display(), mode = .1
    )]
    Exposed(PathBuf, u32),
    #[error("it is larger than {FILE_SIZE_MAX} bytes, so it is not what it should be")]
    TooLarge,
}

/// The failure of a request. `kind` is for a refusal, and `what` says what was asked for.
pub(crate) fn failed_request(
    client: &BoundedClient,
    kind: FailureKind,
    what: &str,
    error: &Error,
) -> Failure {
    let last = client.last();
    let problem = match error {
        Error::Api(problem) => problem.r#type.as_deref().unwrap_or_default(),
        _ => "",
    };
    let problem = problem.rsplit(':').next().unwrap_or_default();
    let kind = match (error, problem) {
        (_, "rateLimited") => FailureKind::RateLimited,
        _ if last.status == 429 => FailureKind::RateLimited,
        (_, "badNonce" | "serverInternal") => FailureKind::Directory,
        _ if last.status >= 500 || last.status == 408 => FailureKind::Directory,
        (_, "accountDoesNotExist" | "externalAccountRequired") => FailureKind::Account,
        (Error::Api(_) | Error::KeyRejected | Error::Crypto | Error::Unsupported(_), _) => kind,
        _ => FailureKind::Directory,
    };
    let mut text = format!("{what} failed: {}", with_sources(error));
    if kind == FailureKind::Directory && last.status >= 400 {
        text = format!("{text} (HTTP status {})", last.status);
    }
    Failure {
        retry_after: last.retry_after.filter(|_| last.status >= 400),
        ends_account: problem == "accountDoesNotExist",
        doubts_account: problem == "unauthorized",
        ..Failure::new(kind, text)
    }
}
