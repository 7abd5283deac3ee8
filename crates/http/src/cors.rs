//! Cross-origin resource sharing (Fetch standard, section 3.2).

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    middleware,
    response::Response,
};

/// Records are public and no request carries credentials, so every origin may use every answer.
const FIELDS: [(HeaderName, &str); 5] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (
        header::ACCESS_CONTROL_ALLOW_METHODS,
        "GET, HEAD, PUT, POST, OPTIONS",
    ),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        "Accept, Cache-Control, Content-Type, If-Match, If-Modified-Since, If-None-Match, \
         If-Unmodified-Since, X-Request-Id",
    ),
    (
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        "ETag, Retry-After, Quorate-Applied-Index, Quorate-Consistency, Quorate-Known-Leader, \
         X-Request-Id",
    ),
    // A day: what is allowed here does not change while a page is open.
    (header::ACCESS_CONTROL_MAX_AGE, "86400"),
];

/// Lets browsers use every answer of `router`, its 404 and 405 included.
///
/// Goes around the router that all routers were merged into. What a route says itself stays.
pub fn with_cors(router: Router) -> Router {
    router.layer(middleware::map_response(async |mut response: Response| {
        for (name, value) in FIELDS {
            let value = HeaderValue::from_static(value);
            response.headers_mut().entry(name).or_insert(value);
        }
        response
    }))
}
