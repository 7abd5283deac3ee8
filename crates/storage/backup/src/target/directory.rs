//! Backups in a directory.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::error::TargetError;

/// What the name of an unfinished file ends with. It is not the name of a backup, so nobody restores it.
const UNFINISHED: &str = ".unfinished";

#[derive(Debug)]
pub(super) struct Directory(pub(super) PathBuf);

impl Directory {
    pub(super) async fn upload(&self, name: &str, from: &Path) -> Result<(), TargetError> {
        let (dir, from) = (self.0.clone(), from.to_owned());
        let (to, unfinished) = (dir.join(name), dir.join(format!("{name}{UNFINISHED}")));
        blocking(self.0.join(name), move || {
            let written = copy(&from, &unfinished)
                .and_then(|()| fs::rename(&unfinished, &to))
                // The name too must survive a power cut.
                .and_then(|()| File::open(&dir)?.sync_all());
            if written.is_err() {
                let _ = fs::remove_file(&unfinished);
            }
            written
        })
        .await
    }

    pub(super) async fn download(&self, name: &str, to: &Path) -> Result<(), TargetError> {
        let (from, to) = (self.0.join(name), to.to_owned());
        blocking(from.clone(), move || copy(&from, &to)).await
    }

    pub(super) async fn list(&self) -> Result<Vec<String>, TargetError> {
        let dir = self.0.clone();
        blocking(dir.clone(), move || {
            let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
            names.filter_map(io::Result::transpose).collect()
        })
        .await
    }

    /// Removes unfinished files whose names start with `prefix` and are before `newest`.
    pub(super) async fn remove_unfinished(
        &self,
        prefix: &str,
        newest: &str,
    ) -> Result<(), TargetError> {
        for name in self.list().await? {
            let backup = name.strip_suffix(UNFINISHED);
            if backup.is_some_and(|backup| backup.starts_with(prefix) && backup < newest) {
                self.remove(&name).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn remove(&self, name: &str) -> Result<(), TargetError> {
        let path = self.0.join(name);
        blocking(path.clone(), move || fs::remove_file(path)).await
    }
}

/// Copies a file durably. An unfinished one of an earlier attempt is replaced.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    match fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut source, &mut file)?;
    file.sync_all()
}

async fn blocking<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, TargetError> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.unwrap_or_else(|error| Err(io::Error::other(error)));
    done.map_err(|source| TargetError::File { path, source })
}
