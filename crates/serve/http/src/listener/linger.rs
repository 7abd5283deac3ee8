//! Last words.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

/// How long the other end may be silent before it is taken to have read the last words.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the other end may go on sending.
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);

/// How much of what the other end still sends is read and dropped, in bytes: more than the system
/// keeps for a connection on both sides, so that an ordinary client gets to the end of its writing.
const LINGER_SIZE_MAX: usize = 16 * 1024 * 1024;

/// Ends a connection without taking back what was written last.
///
/// A connection that is closed on unread bytes is reset, and what the other end has not read by then
/// is lost (RFC 9112, section 9.6). So this end stops writing, and reads and drops what comes until
/// the other end has closed too, falls silent, or has had its time or its bytes.
pub async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let drained = async {
        stream.shutdown().await?;
        let mut unread = vec![0; 16 * 1024];
        let mut discarded = 0;
        while discarded < LINGER_SIZE_MAX {
            match timeout(SILENCE_TIMEOUT, stream.read(&mut unread)).await?? {
                0 => break,
                size => discarded += size,
            }
        }
        Ok::<_, io::Error>(())
    };
    // Whether the other end heard it or not, the connection is closed.
    let _ = timeout(LINGER_TIMEOUT, drained).await;
}
