//! The secret key of a node, and its file.

mod raw_key;
mod tls;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER_PERMISSIVE;
use ed25519_dalek::{SECRET_KEY_LENGTH, Signature, Signer, SigningKey};
use quorate_disk::{Disk, OpenMode, dir_of};
use quorate_packet::PublicKey;

pub use tls::{KeyRejection, client_config, peer_key, server_config, server_name};

/// More than any key file has, in bytes: another file at this path must not fill memory.
const IDENTITY_SIZE_MAX: u64 = 4096;

/// The permission bits of users who are neither the owner nor in the group.
const OTHERS: u32 = 0o007;

/// A node's Ed25519 key (RFC 8032).
/// The key file is text: lines that start with `#` are comments, and one line contains the 32 bytes of the
/// seed in hexadecimal.
#[derive(Clone)]
pub struct Identity(SigningKey);

impl Identity {
    /// Creates a new identity from the system's random bytes.
    pub fn generate() -> Result<Self, IdentityError> {
        let mut seed = [0; SECRET_KEY_LENGTH];
        getrandom::fill(&mut seed)
            .map_err(|error| IdentityError::Random(io::Error::other(error)))?;
        Ok(Self::from_seed(&seed))
    }

    /// The identity with this seed.
    pub fn from_seed(seed: &[u8; SECRET_KEY_LENGTH]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads the key file at `path`.
    /// Fails if every user of the machine can open the file. Its group may: Kubernetes volumes with an
    /// `fsGroup` give the group access in any case.
    pub fn load(disk: &dyn Disk, path: &Path) -> Result<Self, IdentityError> {
        let fail = |source| IdentityError::Read {
            path: path.to_owned(),
            source,
        };
        let file = disk.open(path, OpenMode::Read).map_err(fail)?;
        let mode = file.mode().map_err(fail)?;
        if mode & OTHERS != 0 {
            return Err(IdentityError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        let size = file.size().map_err(fail)?.min(IDENTITY_SIZE_MAX);
        let mut text = vec![0; size as usize];
        file.read_at(&mut text, 0).map_err(fail)?;
        let not_text = |error| fail(io::Error::new(io::ErrorKind::InvalidData, error));
        let text = String::from_utf8(text).map_err(not_text)?;
        parse(&text).map_err(|reason| IdentityError::Malformed {
            path: path.to_owned(),
            reason,
        })
    }

    /// Writes the key file at `path`, readable by its owner only.
    /// When this returns, the complete file is on disk; after a crash before that, there is none at `path`. An
    /// existing file is an error and stays unchanged: an identity is never overwritten.
    pub fn save(&self, disk: &dyn Disk, path: &Path) -> Result<(), IdentityError> {
        self.write(disk, path)
            .map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => IdentityError::Exists(path.to_owned()),
                _ => IdentityError::Write {
                    path: path.to_owned(),
                    source,
                },
            })
    }

    /// The public key: the node's id.
    pub fn public_key(&self) -> PublicKey {
        PublicKey::from_bytes(self.0.verifying_key().to_bytes())
    }

    /// Signs a message (RFC 8032).
    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        self.0.sign(message)
    }

    pub(crate) fn seed(&self) -> &[u8; SECRET_KEY_LENGTH] {
        self.0.as_bytes()
    }

    fn write(&self, disk: &dyn Disk, path: &Path) -> io::Result<()> {
        // Two processes that create an identity at the same time must not write to one file.
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let new = Path::new(&name);
        match disk.remove(new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.open(new, OpenMode::CreateSecret)?;
        file.write_at(self.encode().as_bytes(), 0)?;
        file.sync_data()?;
        let named = disk.rename_new(new, path);
        if named.is_err() {
            disk.remove(new)?;
        }
        named?;
        disk.sync_dir(&dir_of(path))
    }

    fn encode(&self) -> String {
        format!(
            "# The secret key of a Quorate node: keep it secret, and never copy it to another node.\n\
             # Public key: {}\n\
             {}\n",
            self.public_key(),
            HEXLOWER_PERMISSIVE.encode(self.seed())
        )
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.public_key())
    }
}

fn parse(text: &str) -> Result<Identity, &'static str> {
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let line = lines.next().ok_or("it contains no key")?;
    if lines.next().is_some() {
        return Err("it contains more than one line besides comments");
    }
    let seed = HEXLOWER_PERMISSIVE
        .decode(line.as_bytes())
        .map_err(|_| "its key is not hexadecimal")?;
    let seed = <[u8; SECRET_KEY_LENGTH]>::try_from(seed.as_slice())
        .map_err(|_| "its key does not have 64 hexadecimal digits")?;
    Ok(Identity::from_seed(&seed))
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The system returned no random bytes.
    #[error("no key can be created: the system returned no random bytes")]
    Random(#[source] io::Error),
    /// The file cannot be read.
    #[error("the key file {path} cannot be read", path = .path.display())]
    Read { path: PathBuf, source: io::Error },
    /// The file can be opened by every user.
    #[error(
        "the key file {path} can be read by every user of this machine (mode {mode:03o}): \
         if nobody has read it, run `chmod 600 {path}`",
        path = .path.display()
    )]
    Exposed { path: PathBuf, mode: u32 },
    /// The file contains no key.
    #[error(
        "the key file {path} is damaged: {reason}. Restore it, or join as a new node with \
         another, empty data directory",
        path = .path.display()
    )]
    Malformed {
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is a file already.
    #[error("the key file {path} exists: an identity is never overwritten", path = .0.display())]
    Exists(PathBuf),
    /// The file cannot be written.
    #[error("the key file {path} cannot be written", path = .path.display())]
    Write { path: PathBuf, source: io::Error },
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
