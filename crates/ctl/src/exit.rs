//! The exit codes of commands.

use reqwest::StatusCode;

use crate::admin::AdminError;

const FAILED: u8 = 1;
const UNREACHABLE: u8 = 3;
const NOT_AUTHORIZED: u8 = 4;
const TRY_AGAIN: u8 = 5;

/// The exit codes of the commands that use the admin API, and what they mean.
pub const EXIT_CODES: [(u8, &str); 6] = [
    (0, "done"),
    (FAILED, "rejected or failed; standard error has the reason"),
    (2, "invalid arguments"),
    (UNREACHABLE, "no node answered at the admin URL"),
    (
        NOT_AUTHORIZED,
        "not authorized: no token, a wrong token, its scope is too small, or no permission for the socket",
    ),
    (
        TRY_AGAIN,
        "not now: no leader, another change in progress, or a timeout; retry",
    ),
];

/// The exit code for an error of the admin API; `None` for other errors.
pub fn exit_code(error: &anyhow::Error) -> Option<u8> {
    let error = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<AdminError>());
    error.map(AdminError::exit)
}

impl AdminError {
    /// Its exit code.
    fn exit(&self) -> u8 {
        match self {
            Self::Unreachable { .. } | Self::BrokeOff { .. } => UNREACHABLE,
            Self::Denied { .. } => NOT_AUTHORIZED,
            Self::NotDone { .. } => TRY_AGAIN,
            Self::Rejected { problem, .. } if problem.retry => TRY_AGAIN,
            Self::Foreign { status, .. } if *status == StatusCode::SERVICE_UNAVAILABLE => TRY_AGAIN,
            Self::Rejected { status, .. } | Self::Foreign { status, .. } => match *status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => NOT_AUTHORIZED,
                _ => FAILED,
            },
        }
    }
}

/// The end of the help of each of these commands.
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
    }
}
