//! Closes a connection without losing the last bytes.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

/// How long the peer may be silent before it counts as having read the last bytes.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the peer may continue to send.
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);

/// How many bytes that the peer still sends are read and dropped: more than the buffers of both
/// systems hold, so that an ordinary client can finish sending.
const LINGER_SIZE_MAX: usize = 16 * 1024 * 1024;

/// Closes a connection so that the peer can read what was written last.
///
/// If a connection is closed while bytes are unread, it is reset, and the peer loses what it has
/// not read yet (RFC 9112, section 9.6). So this side stops writing, and reads and drops what
/// arrives until the peer closes too, is silent, or has used up its time or its bytes.
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
    // The connection is closed in any case.
    let _ = timeout(LINGER_TIMEOUT, drained).await;
}
