//! The answers to unknown paths and methods.

use quorate_http::{ProblemResponse, ProblemType};

/// The answer to an unknown path.
pub(crate) async fn unknown_path() -> ProblemResponse {
    let detail = "unknown path: /v1/openapi.json lists all paths";
    ProblemResponse::new(ProblemType::UnknownPath, detail)
}

/// The answer to a method that a path does not have. The router adds the methods that it has.
pub(crate) async fn unknown_method() -> ProblemResponse {
    let detail =
        "this path does not support the method: the header field `Allow` lists those that it does";
    ProblemResponse::new(ProblemType::UnknownMethod, detail)
}
