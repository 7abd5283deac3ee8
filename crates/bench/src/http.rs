//! As much of HTTP/1.1 as a load generator needs (RFC 9112): one request after the other over a
//! connection that stays open, answers with a known length.

use std::{net::SocketAddr, str};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The largest answer, in bytes: metrics are the longest that is read.
const ANSWER_SIZE_MAX: usize = 1024 * 1024;

/// Room for a usual answer, in bytes.
const BUFFER_SIZE: usize = 4 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// The system failed to carry it.
    #[error("the connection failed")]
    Io(#[from] std::io::Error),
    /// The server closed the connection before the answer was complete.
    #[error("the connection was closed before the answer was complete")]
    Closed,
    /// The answer is none that this reads.
    #[error("the answer is not understood")]
    Head(#[from] HeadError),
}

/// Why a head is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadError {
    /// It does not begin with a status line.
    #[error("it has no status line of HTTP/1.1")]
    StatusLine,
    /// It says nothing of the length of the body, or says it in chunks.
    #[error("the length of its body is not given")]
    Length,
    /// It is larger than any answer expected.
    #[error("it is larger than {ANSWER_SIZE_MAX} bytes")]
    TooLong,
}

/// What the head of an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Size of the head with the empty line, in bytes.
    size: usize,
    /// Size of the body, in bytes.
    body_size: usize,
    /// Whether the server closes the connection after this answer.
    closes: bool,
}

impl Head {
    /// Parses the head at the start of `bytes`; `None` if it is not complete yet.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, HeadError> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let mut lines = bytes[..end].split(|&byte| byte == b'\n');
        let status = lines
            .next()
            .and_then(parse_status)
            .ok_or(HeadError::StatusLine)?;
        let mut body_size = None;
        let mut closes = false;
        for line in lines {
            let Some(colon) = line.iter().position(|&byte| byte == b':') else {
                continue;
            };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"content-length") {
                body_size = str::from_utf8(value)
                    .ok()
                    .and_then(|value| value.parse().ok());
            } else if name.eq_ignore_ascii_case(b"connection") {
                closes |= value.eq_ignore_ascii_case(b"close");
            }
        }
        // These have no body whatever else they say (RFC 9112, section 6.3).
        let body_size = match status {
            204 | 304 => 0,
            _ => body_size.ok_or(HeadError::Length)?,
        };
        if body_size > ANSWER_SIZE_MAX {
            return Err(HeadError::TooLong);
        }
        Ok(Some(Self {
            status,
            size: end + 4,
            body_size,
            closes,
        }))
    }
}

/// `HTTP/1.1 204 No Content`.
fn parse_status(line: &[u8]) -> Option<u16> {
    let digits = line.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    str::from_utf8(digits).ok()?.parse().ok()
}

/// A connection that stays open between requests.
#[derive(Debug)]
pub(crate) struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    /// The last answer, as far as it is read.
    answer: Vec<u8>,
}

impl Connection {
    /// Opens it.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, HttpError> {
        let mut connection = Self {
            address,
            stream: None,
            answer: Vec::with_capacity(BUFFER_SIZE),
        };
        connection.stream().await?;
        Ok(connection)
    }

    /// Sends a request and reads its answer whole. After an error, or when the server closed the
    /// connection, the next exchange opens a new one.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<u16, HttpError> {
        // Taken, so that an exchange that fails or is given up leaves no half-read answer behind.
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(self.address).await?,
        };
        stream.write_all(request).await?;
        let head = self.read_answer(&mut stream).await?;
        if !head.closes {
            self.stream = Some(stream);
        }
        Ok(head.status)
    }

    /// The body of the last answer.
    pub(crate) fn body(&self) -> &[u8] {
        match Head::parse(&self.answer) {
            Ok(Some(head)) => &self.answer[head.size..],
            _ => &[],
        }
    }

    async fn stream(&mut self) -> Result<(), HttpError> {
        if self.stream.is_none() {
            self.stream = Some(connect(self.address).await?);
        }
        Ok(())
    }

    async fn read_answer(&mut self, stream: &mut TcpStream) -> Result<Head, HttpError> {
        self.answer.clear();
        loop {
            if stream.read_buf(&mut self.answer).await? == 0 {
                return Err(HttpError::Closed);
            }
            if let Some(head) = Head::parse(&self.answer)? {
                let size = head.size + head.body_size;
                while self.answer.len() < size {
                    if stream.read_buf(&mut self.answer).await? == 0 {
                        return Err(HttpError::Closed);
                    }
                }
                return Ok(head);
            }
            if self.answer.len() > ANSWER_SIZE_MAX {
                return Err(HeadError::TooLong.into());
            }
        }
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, HttpError> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// GETs a path over a connection of its own.
pub(crate) async fn fetch(address: SocketAddr, path: &str) -> Result<(u16, String), HttpError> {
    let mut connection = Connection::open(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let status = connection.exchange(request.as_bytes()).await?;
    Ok((
        status,
        String::from_utf8_lossy(connection.body()).into_owned(),
    ))
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
