//! The group whose members may use the Unix socket.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The file with the groups of the machine (group(5)).
const GROUP_FILE: &str = "/etc/group";

/// Returns the id of the group with this name or number, or `None` if `group` is empty.
///
/// # Errors
/// The machine has no such group, or its list of groups cannot be read.
pub fn socket_group(group: &str) -> Result<Option<u32>, GroupError> {
    find(group, GROUP_FILE.as_ref())
}

fn find(group: &str, file: &Path) -> Result<Option<u32>, GroupError> {
    if group.is_empty() {
        return Ok(None);
    }
    if let Ok(id) = group.parse() {
        return Ok(Some(id));
    }
    let groups = fs::read_to_string(file).map_err(|source| GroupError::Unreadable {
        file: file.to_owned(),
        source,
    })?;
    let id = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(group);
        is_it.then(|| fields.nth(1)?.parse().ok())?
    });
    id.map(Some).ok_or_else(|| GroupError::Unknown {
        group: group.to_owned(),
        file: file.to_owned(),
    })
}

/// Why a group cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The list of groups cannot be read.
    #[error("the groups in {} cannot be read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// There is no group with this name.
    #[error(
        "{group:?} is no group in {}: add it, or write the number of a group that is known elsewhere",
        file.display()
    )]
    Unknown {
        /// The name.
        group: String,
        /// The file.
        file: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_name_or_number() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let groups = "root:x:0:\nadmins:x:1007:alice,bob\n# a line without fields\n";
        fs::write(file.path(), groups).unwrap();
        for (group, id) in [
            ("", None),
            ("admins", Some(1007)),
            ("root", Some(0)),
            ("12", Some(12)),
        ] {
            assert_eq!(find(group, file.path()).unwrap(), id, "{group}");
        }
        let error = find("admin", file.path()).unwrap_err().to_string();
        assert!(error.starts_with("\"admin\" is no group in "), "{error}");
        let error = find("admin", "/no/such/file".as_ref()).unwrap_err();
        assert!(error.to_string().contains("/no/such/file"), "{error}");
    }
}
