//! The file with a publisher's secret key: 64 hexadecimal digits, as the pkarr tools write it.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use anyhow::{Context, ensure};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use pkarr::Keypair;

/// The most bytes of the file that are read: the digits and some white space.
const KEY_FILE_SIZE_MAX: u64 = 256;

/// The bits of a file's mode for its group and for others.
const OTHERS_MODE: u32 = 0o077;

/// Reads the key, or creates one if there is no file. Returns whether it is new.
pub fn open(path: &Path) -> anyhow::Result<(Keypair, bool)> {
    match File::open(path) {
        Ok(file) => Ok((read(file, path)?, false)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok((make(path)?, true)),
        Err(error) => {
            Err(error).with_context(|| format!("the key file {} cannot be opened", path.display()))
        }
    }
}

fn read(file: File, path: &Path) -> anyhow::Result<Keypair> {
    check_private(&file, path)?;
    let wrong = || {
        format!(
            "{} is not a key file: a key file contains 64 hexadecimal digits",
            path.display()
        )
    };
    let mut text = String::new();
    file.take(KEY_FILE_SIZE_MAX)
        .read_to_string(&mut text)
        .with_context(wrong)?;
    let bytes = HEXLOWER_PERMISSIVE
        .decode(text.trim().as_bytes())
        .with_context(wrong)?;
    let secret: [u8; 32] = bytes.as_slice().try_into().with_context(wrong)?;
    Ok(Keypair::from_secret_key(&secret))
}

/// Fails if others than the owner may use the file, as ssh does.
fn check_private(file: &File, path: &Path) -> anyhow::Result<()> {
    let path = path.display();
    let file = file.metadata();
    let file = file.with_context(|| format!("the mode of {path} cannot be read"))?;
    let mode = file.permissions().mode() & 0o777;
    ensure!(
        !file.is_file() || mode & OTHERS_MODE == 0,
        "the key file {path} has mode {mode:03o}, so others can read or change it: run `chmod 600 {path}`; \
         if somebody may have read it, publish with a new key"
    );
    Ok(())
}

/// Creates the file, readable only by its owner. Fails if it exists.
fn make(path: &Path) -> anyhow::Result<Keypair> {
    let keypair = Keypair::random();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let text = HEXLOWER.encode(&keypair.secret_key()) + "\n";
    options
        .open(path)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .with_context(|| format!("the key file {} cannot be created", path.display()))?;
    Ok(keypair)
}
