//! Cross-origin resource sharing (Fetch standard, section 3.2).

use std::convert;

use axum::{
    Router,
    extract::Request,
    http::{HeaderName, HeaderValue, Method, header},
    response::Response,
};
use tower::Service;

/// What every answer says. Records are public and no request carries credentials that a browser has
/// by itself, so every origin may use every answer.
const OF_ANSWERS: [(HeaderName, HeaderValue); 2] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, value("*")),
    (
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        value(
            "ETag, Retry-After, Quorate-Applied-Index, Quorate-Consistency, \
             Quorate-Known-Leader, X-Request-Id",
        ),
    ),
];

/// What the answer to a preflight says beside it.
const OF_PREFLIGHTS: [(HeaderName, HeaderValue); 3] = [
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
    // A day: what is allowed here does not change while a page is open.
    (header::ACCESS_CONTROL_MAX_AGE, value("86400")),
];

const fn value(text: &'static str) -> HeaderValue {
    HeaderValue::from_static(text)
}

/// A router, and whether browsers may use what it answers.
#[derive(Debug, Clone)]
pub struct Routes {
    router: Router,
    is_shared: bool,
}

/// Lets browsers use every answer of `router`, its 404 and 405 included.
///
/// Goes around the router that all routers were merged into. What a route says itself stays. It is no
/// layer, which a router would box for each request.
pub fn with_cors(router: Router) -> Routes {
    Routes {
        router,
        is_shared: true,
    }
}

impl From<Router> for Routes {
    fn from(router: Router) -> Self {
        Self {
            router,
            is_shared: false,
        }
    }
}

impl Routes {
    /// What a request is answered.
    pub async fn answer(mut self, request: Request) -> Response {
        let told = match (self.is_shared, is_preflight(&request)) {
            (false, _) => convert::identity,
            (true, true) => granted,
            (true, false) => shared,
        };
        let Ok(response) = self.router.call(request).await;
        told(response)
    }
}

/// Whether a browser asks before the request that a page wants to make.
fn is_preflight(request: &Request) -> bool {
    let headers = request.headers();
    request.method() == Method::OPTIONS
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn granted(response: Response) -> Response {
    shared(with_fields(response, OF_PREFLIGHTS))
}

fn shared(response: Response) -> Response {
    with_fields(response, OF_ANSWERS)
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
    async fn every_answer_is_shared_and_only_preflights_are_granted() {
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
            assert!(OF_ANSWERS.iter().all(has), "{method} {path} {fields:?}");
            let granted = OF_PREFLIGHTS.each_ref().map(has);
            assert_eq!(granted, [is_preflight; 3], "{method} {path} {fields:?}");
        }
    }
}
