//! What the exit code of a command tells a script.

use reqwest::StatusCode;

use crate::admin::AdminError;

/// How a command ended that asked a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Failed = 1,
    /// No node answered.
    Unreachable = 3,
    /// The node answered that this client may not.
    NotAuthorized = 4,
    /// Not now, or not yet.
    TryAgain = 5,
}

/// The exit codes of the commands that ask a node through its admin API, and what they mean.
pub const EXIT_CODES: [(u8, &str); 6] = [
    (0, "done"),
    (1, "refused, or failed; standard error says why"),
    (2, "the arguments make no sense"),
    (3, "no node answered at the admin URL"),
    (
        4,
        "not authorized: no token, a wrong one, or its scope is too small",
    ),
    (
        5,
        "not now: no leader, another change under way, or time is up; try again",
    ),
];

/// The exit code of a command that failed, if it failed at the admin API of a node.
pub fn exit_code(error: &anyhow::Error) -> Option<u8> {
    let error = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<AdminError>());
    error.map(|error| error.exit() as u8)
}

impl AdminError {
    /// What to tell the shell.
    fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } | Self::BrokeOff { .. } => Exit::Unreachable,
            Self::NotDone { .. } => Exit::TryAgain,
            Self::Refused { problem, .. } if problem.retry => Exit::TryAgain,
            Self::Refused { status, .. } | Self::Foreign { status, .. } => match *status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::NotAuthorized,
                StatusCode::SERVICE_UNAVAILABLE => Exit::TryAgain,
                _ => Exit::Failed,
            },
        }
    }
}

/// What the help of each of these commands ends with.
pub(crate) fn help() -> String {
    let line = |(code, meaning)| format!("\n  {code}  {meaning}");
    let lines: String = EXIT_CODES.map(line).concat();
    format!("Exit codes:{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_documented_once() {
        let codes = EXIT_CODES.map(|(code, _)| code);
        assert_eq!(codes, [0, 1, 2, 3, 4, 5]);
        for exit in [
            Exit::Failed,
            Exit::Unreachable,
            Exit::NotAuthorized,
            Exit::TryAgain,
        ] {
            assert!(codes.contains(&(exit as u8)), "{exit:?}");
        }
    }
}
