//! The id by which client, answer and log speak of one request.

use std::{
    hash::{BuildHasher, RandomState},
    io::Write,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The field of requests and answers that holds it.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id of a client that is taken, in bytes: a UUID has 36.
const ID_SIZE_MAX: usize = 64;

/// How many hexadecimal digits an id of ours has.
const ID_LEN: usize = 16;

/// The id of a request: the client's if it is fit to be logged, else a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(X_REQUEST_ID).filter(|id| is_sane(id));
    // Copied, or for as long as the answer is waited for, it would keep all that came with it.
    let copied = given.and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok());
    copied.unwrap_or_else(new_id)
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
