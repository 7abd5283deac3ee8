//! The secret key of a node, and its file.

use std::{
    fmt,
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER_PERMISSIVE;
use ed25519_dalek::{SECRET_KEY_LENGTH, SigningKey};
use quorate_packet::PublicKey;

/// More than any key file has, in bytes: whatever else lies at the path is not read into memory.
const IDENTITY_SIZE_MAX: u64 = 4096;

/// The permission bits of users who are neither the owner nor in the group.
const OTHERS: u32 = 0o007;

/// A node's Ed25519 key (RFC 8032).
///
/// The key file is text: lines that begin with `#` say what it is and whose, and one line holds the
/// 32 bytes of the seed in hexadecimal.
#[derive(Clone)]
pub struct Identity(SigningKey);

impl Identity {
    /// Makes a new one from the system's randomness.
    pub fn generate() -> Result<Self, IdentityError> {
        let mut seed = [0; SECRET_KEY_LENGTH];
        getrandom::fill(&mut seed)
            .map_err(|error| IdentityError::Random(io::Error::other(error)))?;
        Ok(Self::from_seed(&seed))
    }

    /// The identity of this seed.
    pub fn from_seed(seed: &[u8; SECRET_KEY_LENGTH]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads the key file at `path`.
    ///
    /// A file that every user of the machine can open is refused. Its group may: volumes of
    /// Kubernetes with an `fsGroup` give it access whatever the mode was.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let fail = |source| IdentityError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(fail)?;
        let mode = file.metadata().map_err(fail)?.permissions().mode() & 0o777;
        if mode & OTHERS != 0 {
            return Err(IdentityError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        let mut text = String::new();
        file.take(IDENTITY_SIZE_MAX)
            .read_to_string(&mut text)
            .map_err(fail)?;
        parse(&text).map_err(|reason| IdentityError::Malformed {
            path: path.to_owned(),
            reason,
        })
    }

    /// Writes the key file at `path`, readable by its owner only.
    ///
    /// When this returns, the file is whole on disk; a crash before leaves none at `path`. A file
    /// that is there already stays as it is, and is an error: an identity is never overwritten.
    pub fn save(&self, path: &Path) -> Result<(), IdentityError> {
        self.write(path).map_err(|source| match source.kind() {
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

    pub(crate) fn seed(&self) -> &[u8; SECRET_KEY_LENGTH] {
        self.0.as_bytes()
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // Temporary files of this crate have mode 0600 from the start.
        let mut file = tempfile::Builder::new()
            .prefix(".node.key.")
            .tempfile_in(directory)?;
        file.write_all(self.encode().as_bytes())?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path)?;
        File::open(directory)?.sync_all()
    }

    fn encode(&self) -> String {
        format!(
            "# The secret key of a Quorate node: whoever has it is the node. Never copy it to another.\n\
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
    let line = lines.next().ok_or("it holds no key")?;
    if lines.next().is_some() {
        return Err("it holds more than one line beside comments");
    }
    let seed = HEXLOWER_PERMISSIVE
        .decode(line.as_bytes())
        .map_err(|_| "its key is not hexadecimal")?;
    let seed = <[u8; SECRET_KEY_LENGTH]>::try_from(seed.as_slice())
        .map_err(|_| "its key has not 64 hexadecimal digits")?;
    Ok(Identity::from_seed(&seed))
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The system has no random bytes to give.
    #[error("no key can be made: the system gives no random bytes")]
    Random(#[source] io::Error),
    /// The file cannot be read.
    #[error("the key file {path} cannot be read", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file can be opened by every user.
    #[error(
        "the key file {path} is open to every user of this machine (mode {mode:03o}): \
         if nobody has read it, run `chmod 600 {path}`",
        path = .path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds no key.
    #[error(
        "the key file {path} is damaged: {reason}. Restore it, or join as a new node with an \
         empty data directory",
        path = .path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is a file already.
    #[error("the key file {path} exists: an identity is never overwritten", path = .0.display())]
    Exists(PathBuf),
    /// The file cannot be written.
    #[error("the key file {path} cannot be written", path = .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
