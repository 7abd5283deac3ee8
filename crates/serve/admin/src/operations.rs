//! Declares each operation once: its route, the scope that it needs, and its OpenAPI description.

use std::sync::Arc;

use axum::{response::Response, routing::MethodRouter};
use quorate_http::ProblemResponse;

use crate::shared::Shared;

/// The result of a handler.
pub(crate) type Answer = Result<Response, ProblemResponse>;

/// A path and its handler for a method.
pub(crate) type Route = (&'static str, MethodRouter<Arc<Shared>>);

/// Declares the operations of a tag. An operation is declared by its doc comment (summary and
/// description), its scope, its method, and its path (a constant of `quorate_api::path`). Optional
/// parts follow: `up to` the most bytes of a long body, `asks` the request to the leader (whose
/// problems it can have), and `or` other problems. Then come further arguments of `utoipa::path`,
/// and the handler.
///
/// Generates `routes` for the router, and `document` for the OpenAPI document.
macro_rules! operations {
    (
        $tag:literal;
        $(
            $(#[doc = $doc:literal])+
            $scope:literal $method:ident $path:ident $(up to $size_max:ident)?
                $(sends $operation:ident)? $(or $problem:ident)* { $($declared:tt)* }
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
                let operation = operation.expect("every declared operation is in the document");
                let own: &[&[quorate_api::ProblemType]] = &[
                    &[$(quorate_api::ProblemType::$problem),*],
                    $(<$operation as quorate_api::AdminOperation>::PROBLEMS)?
                ];
                let access = ($scope, stringify!($method));
                $crate::declaration::document_operation(operation, path, access, &own.concat());
            })+
            document
        }

        pub(crate) fn routes(authorizer: &$crate::authorize::Authorizer) -> Vec<$crate::operations::Route> {
            vec![$({
                let size_max: &[usize] = &[$($size_max)?];
                let route = axum::routing::$method($handler);
                (quorate_api::path::$path, authorizer.route($scope, size_max.first().copied(), route))
            }),+]
        }
    };
}

pub(crate) use operations;
