//! Who may use a Unix socket.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::Path,
};

/// The bits of a file's mode that let its group use a socket.
const GROUP_MODE: u32 = 0o060;

/// A sentence that says as whom the socket at `path` can be used.
pub(super) fn advice(path: &Path) -> String {
    // The directory may be closed too, so that only that is visible.
    let visible = path
        .ancestors()
        .find_map(|path| Some((path, path.symlink_metadata().ok()?)));
    let Some((visible, file)) = visible else {
        return "run the command as the user of the node".to_owned();
    };
    let user = name_of(file.uid(), "/etc/passwd");
    let group = name_of(file.gid(), "/etc/group");
    let is_socket = file.file_type().is_socket();
    let for_group = is_socket && file.permissions().mode() & GROUP_MODE == GROUP_MODE;
    let what = if is_socket {
        "it".to_owned()
    } else {
        visible.display().to_string()
    };
    match for_group {
        true => format!(
            "{what} belongs to the user {user} and the group {group}: run the command as that user, as root, \
             or as a member of that group"
        ),
        false => format!(
            "{what} belongs to the user {user}: run the command as that user or as root, or set \
             admin.socket_group"
        ),
    }
}

/// The name of the user or group with this id in `file` (passwd(5), group(5)), or the id itself.
fn name_of(id: u32, file: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let id = id.to_string();
    let line = text
        .lines()
        .find(|line| line.split(':').nth(2) == Some(&id));
    let name = line.and_then(|line| line.split(':').next());
    name.map_or(id.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn the_user_and_the_group_of_a_socket_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let owner = dir.path().metadata().unwrap();
        let user = name_of(owner.uid(), "/etc/passwd");
        let group = name_of(owner.gid(), "/etc/group");
        let _listener = UnixListener::bind(&path).unwrap();
        for (mode, expected) in [
            (0o600, format!("it belongs to the user {user}: run")),
            (
                0o660,
                format!("it belongs to the user {user} and the group {group}: run"),
            ),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(advice(&path).starts_with(&expected), "{}", advice(&path));
        }
        let hidden = advice(&dir.path().join("closed/admin.sock"));
        assert!(
            hidden.starts_with(&dir.path().display().to_string()),
            "{hidden}"
        );
    }

    #[test]
    fn an_id_without_a_name_is_shown_itself() {
        assert_eq!(name_of(0, "/etc/passwd"), "root");
        assert_eq!(name_of(3_999_999_999, "/etc/passwd"), "3999999999");
    }
}
