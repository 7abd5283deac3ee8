//! Operations, each declared once: its route, who may ask for it, and what OpenAPI says of it.

use std::sync::Arc;

use axum::{response::Response, routing::MethodRouter};
use quorate_http::ProblemResponse;

use crate::shared::Shared;

/// What a handler gives.
pub(crate) type Answer = Result<Response, ProblemResponse>;

/// A path, and what it does by some method.
pub(crate) type Route = (&'static str, MethodRouter<Arc<Shared>>);

/// Declares the operations of a tag: the scope that a token needs, the method, the constant of
/// `quorate_api::path` and what `utoipa::path` takes beside these, before the handler itself. Where a
/// body can be long, its size in bytes follows the path; then what the leader is asked, whose problems it
/// can have, and other problems of its own. The doc comment is the summary and the description.
///
/// Makes `routes`, for the router, and `document`, for the OpenAPI document.
macro_rules! operations {
    (
        $tag:literal;
        $(
            $(#[doc = $doc:literal])+
            $scope:literal $method:ident $path:ident $(up to $size_max:ident)?
                $(asks $asked:ident)? $(or $problem:ident)* { $($declared:tt)* }
            async fn $handler:ident($shared:pat_param $(, $($arg:tt)+)?) $body:block
        )+
    ) => {
        $(
            $(#[doc = $doc])+
            #[utoipa::path(
                $method,
                path = quorate_api::path::$path,
                tag = $tag,
                security((), ("token" = [$scope])),
                $($declared)*
            )]
            async fn $handler(
                axum::extract::State($shared): axum::extract::State<
                    std::sync::Arc<$crate::shared::Shared>,
                >,
                $($($arg)+)?
            ) -> $crate::operations::Answer $body
        )+

        pub(crate) fn document() -> utoipa::openapi::OpenApi {
            #[derive(utoipa::OpenApi)]
            #[openapi(paths($($handler),+))]
            struct Document;

            let mut document = <Document as utoipa::OpenApi>::openapi();
            let paths = &mut document.paths.paths;
            $({
                let path = quorate_api::path::$path;
                let operation = paths.get_mut(path).and_then(|item| item.$method.as_mut());
                let operation = operation.expect("what is declared is in the document");
                let own: &[&[quorate_api::ProblemType]] = &[
                    &[$(quorate_api::ProblemType::$problem),*],
                    $(<$asked as quorate_api::Operation>::PROBLEMS)?
                ];
                let access = ($scope, stringify!($method));
                $crate::declaration::complete(operation, path, access, &own.concat());
            })+
            document
        }

        pub(crate) fn routes(gate: &$crate::gate::Gate) -> Vec<$crate::operations::Route> {
            vec![$({
                let size_max: &[usize] = &[$($size_max)?];
                let route = axum::routing::$method($handler);
                (quorate_api::path::$path, gate.route($scope, size_max.first().copied(), route))
            }),+]
        }
    };
}

pub(crate) use operations;
