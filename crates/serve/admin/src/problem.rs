//! The answers where there is nothing to be asked.

use quorate_http::{ProblemResponse, ProblemType};

/// The answer where there is nothing.
pub(crate) async fn unknown_path() -> ProblemResponse {
    let said = "there is nothing at this path: /v1/openapi.json lists what there is";
    ProblemResponse::new(ProblemType::UnknownPath, said)
}

/// The answer to a method that a path does not have; those it has, the router adds.
pub(crate) async fn unknown_method() -> ProblemResponse {
    let said = "this path has other methods: the header `Allow` lists them";
    ProblemResponse::new(ProblemType::UnknownMethod, said)
}
