//! A file with a join token, which one node writes and others read.

use std::{fs, io, path::Path};

use anyhow::Context;
use quorate_disk::{Disk, LinuxDisk, OpenMode, dir_of, remove_if_present};
use quorate_peer::JoinToken;

/// The token in `file`, or `None` if it does not exist. Fails if it does not contain a token.
pub(super) fn read(file: &Path) -> anyhow::Result<Option<JoinToken>> {
    let unusable = || format!("{} cannot be used", file.display());
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text.parse().with_context(unusable)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(unusable),
    }
}

/// Writes the token to `file`, durably and atomically, unless the file exists.
pub(super) fn share(file: &Path, token: &JoinToken) -> anyhow::Result<()> {
    let new = file.with_added_extension(format!("{}.new", token.cluster));
    let linked = link(file, &new, token);
    // In any case the token must not stay in the temporary file.
    let removed = remove_if_present(&LinuxDisk, &new);
    let shared = linked
        .and(removed)
        .and_then(|()| LinuxDisk.sync_dir(&dir_of(file)));
    shared.with_context(|| format!("{} cannot be written", file.display()))
}

fn link(file: &Path, new: &Path, token: &JoinToken) -> io::Result<()> {
    remove_if_present(&LinuxDisk, new)?;
    let written = LinuxDisk.open(new, OpenMode::CreateSecret)?;
    written.write_at(format!("{token}\n").as_bytes(), 0)?;
    written.sync_data()?;
    // A hard link, because network file systems have no rename that keeps an existing file.
    match fs::hard_link(new, file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}
