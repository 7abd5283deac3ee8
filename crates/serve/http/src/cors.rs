//! Cross-origin resource sharing (Fetch standard, section 3.2).

use std::convert;

use axum::{
    Router,
    extract::Request,
    http::{HeaderName, HeaderValue, Method, header},
    response::Response,
};
use tower::Service;

/// The fields of every answer. Records are public, and browsers add no credentials to requests on
/// their own, so every origin may use every answer.
const ANSWER_FIELDS: [(HeaderName, HeaderValue); 2] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, value("*")),
    (
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        value(
            "ETag, Retry-After, Quorate-Applied-Index, Quorate-Consistency, \
             Quorate-Known-Leader, Quorate-Source, X-Request-Id",
        ),
    ),
];

/// The additional fields of the answer to a preflight.
const PREFLIGHT_FIELDS: [(HeaderName, HeaderValue); 3] = [
    (
        header::ACCESS_CONTROL_ALLOW_METHODS,
        value("GET, HEAD, PUT, POST, OPTIONS"),
    ),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        value(
            "Accept, Authorization, Cache-Control, Content-Type, If-Match, If-Modified-Since, \
             If-None-Match, If-Unmodified-Since, Last-Event-ID, X-Request-Id",
        ),
    ),
    // A day: these permissions do not change while a page is open.
    (header::ACCESS_CONTROL_MAX_AGE, value("86400")),
];

const fn value(text: &'static str) -> HeaderValue {
    HeaderValue::from_static(text)
}

/// A router, and whether browsers may use its answers from other origins.
#[derive(Debug, Clone)]
pub struct Routes {
    router: Router,
    has_cors: bool,
}

/// Lets browsers use every answer of `router`, including its 404 and 405.
///
/// Use it on the router that all others were merged into. Fields that a route has set stay. It is
/// not a tower layer, because a router would box that for each request.
pub fn with_cors(router: Router) -> Routes {
    Routes {
        router,
        has_cors: true,
    }
}

impl From<Router> for Routes {
    fn from(router: Router) -> Self {
        Self {
            router,
            has_cors: false,
        }
    }
}

impl Routes {
    /// Answers a request.
    pub async fn answer(mut self, request: Request) -> Response {
        let add_fields = match (self.has_cors, is_preflight(&request)) {
            (false, _) => convert::identity,
            (true, true) => with_preflight_fields,
            (true, false) => with_answer_fields,
        };
        let Ok(response) = self.router.call(request).await;
        add_fields(response)
    }
}

/// Whether a browser asks for permission before a request of a web page.
fn is_preflight(request: &Request) -> bool {
    let headers = request.headers();
    request.method() == Method::OPTIONS
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn with_preflight_fields(response: Response) -> Response {
    with_answer_fields(with_fields(response, PREFLIGHT_FIELDS))
}

fn with_answer_fields(response: Response) -> Response {
    with_fields(response, ANSWER_FIELDS)
}

fn with_fields<const N: usize>(
    mut response: Response,
    fields: [(HeaderName, HeaderValue); N],
) -> Response {
    for (name, value) in fields {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::StatusCode, routing::get};

    use super::*;

    async fn ask(method: Method, path: &str, fields: &[&str]) -> Response {
        let router = Router::new().route("/", get(async || StatusCode::TOO_MANY_REQUESTS));
        let mut request = Request::builder().method(method).uri(path);
        for field in fields {
            request = request.header(*field, "PUT");
        }
        let request = request.body(Body::empty()).unwrap();
        with_cors(router).answer(request).await
    }

    #[tokio::test]
    async fn every_answer_has_cors_fields_and_only_preflights_have_more() {
        let asks = header::ACCESS_CONTROL_REQUEST_METHOD.as_str();
        for (method, path, fields, is_preflight) in [
            (Method::GET, "/", vec![], false),
            (Method::GET, "/", vec![asks], false),
            (Method::GET, "/nothing", vec![], false),
            (Method::PUT, "/", vec![], false),
            (Method::OPTIONS, "/", vec!["origin"], false),
            (Method::OPTIONS, "/", vec!["origin", asks], true),
        ] {
            let answer = ask(method.clone(), path, &fields).await;
            let has = |(name, _): &(HeaderName, HeaderValue)| answer.headers().contains_key(name);
            assert!(ANSWER_FIELDS.iter().all(has), "{method} {path} {fields:?}");
            let preflight = PREFLIGHT_FIELDS.each_ref().map(has);
            assert_eq!(preflight, [is_preflight; 3], "{method} {path} {fields:?}");
        }
    }
}
