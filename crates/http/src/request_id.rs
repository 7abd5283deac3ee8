//! The id by which client, answer and log speak of one request.

use std::{
    hash::{BuildHasher, RandomState},
    io::Write,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use tracing::Instrument;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id of a client that is taken, in bytes: a UUID has 36.
const ID_SIZE_MAX: usize = 64;

/// How many hexadecimal digits an id of ours has.
const ID_LEN: usize = 16;

/// Answers with the id of the request: the client's if it is fit to be logged, else a new one.
pub(crate) async fn with_request_id(request: Request, next: Next) -> Response {
    let given = request.headers().get(X_REQUEST_ID);
    // Copied, or for as long as the answer is waited for, it would keep all that came with it.
    let copied = |id: &HeaderValue| HeaderValue::from_bytes(id.as_bytes()).ok();
    let id = given.filter(|id| is_sane(id)).and_then(copied);
    let id = id.unwrap_or_else(new_id);
    let span = tracing::debug_span!("request", id = id.to_str().unwrap_or_default());
    let mut response = next.run(request).instrument(span).await;
    response.headers_mut().insert(X_REQUEST_ID, id);
    response
}

fn is_sane(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(byte);
    (1..=ID_SIZE_MAX).contains(&id.len()) && id.iter().all(fits)
}

/// A count under a hash that is keyed by chance once per process: no two nodes give the same ids,
/// nobody can tell from two of them how many requests came between, and none costs a system call.
fn new_id() -> HeaderValue {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let id = KEY.hash_one(COUNT.fetch_add(1, Ordering::Relaxed));
    let mut digits = [0; ID_LEN];
    write!(&mut digits[..], "{id:016x}").expect("a hash has as many digits");
    HeaderValue::from_bytes(&digits).expect("digits are a field value")
}
