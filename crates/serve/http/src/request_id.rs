//! The id of a request, which is the same in the request, the answer and the log.

use std::{
    hash::{BuildHasher, RandomState},
    io::Write,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header field with the id.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is accepted from a client, in bytes. A UUID has 36.
const ID_SIZE_MAX: usize = 64;

/// How many hexadecimal digits a new id has.
const ID_LEN: usize = 16;

/// The id of a request: the client's if it is safe to log, else a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(X_REQUEST_ID).filter(|id| is_safe(id));
    // Copied, because otherwise it would keep the read buffer in memory until the answer is sent.
    let copied = given.and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok());
    copied.unwrap_or_else(new_id)
}

fn is_safe(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(byte);
    (1..=ID_SIZE_MAX).contains(&id.len()) && id.iter().all(is_allowed)
}

/// A hash of a counter, with a key that is random for each process. So ids differ between nodes,
/// two ids do not reveal how many requests came between them, and a new id costs no system call.
fn new_id() -> HeaderValue {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let id = KEY.hash_one(COUNT.fetch_add(1, Ordering::Relaxed));
    let mut digits = [0; ID_LEN];
    write!(&mut digits[..], "{id:016x}").expect("a hash has 16 digits");
    HeaderValue::from_bytes(&digits).expect("digits are valid in a field value")
}
