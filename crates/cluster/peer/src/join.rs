//! Joining a cluster: the joiner's side.

use futures_util::{SinkExt, StreamExt};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::client::TlsStream;

use crate::{
    Identity, Introduction, JoinAnswer, JoinRejection, JoinRequest, JoinToken, Joined, LogSummary,
    NodeId, StreamKind, TransportConfig, chain,
    connector::Connector,
    dial_error::DialError,
    frame::{FrameCodec, FrameError},
    greeting::{FrameReader, GREETING_SIZE_MAX, Greeting, Hello, greeting_frames},
};

/// Why a node has not joined. Texts about members name each of them, with the result of the request.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The token is invalid.
    #[error("the token contains no member: create another one with `quorate member add`")]
    NoMember,
    /// The cluster rejected the node.
    #[error("the cluster rejected this node")]
    Rejected(#[source] JoinRejection),
    /// The key is that of a node that lost its data.
    #[error(
        "this node's key belongs to a member whose log was not empty: it must not come back without its votes. Start with a new data directory, which gets a new key, and then run `quorate member replace OLD NEW`"
    )]
    DataLost,
    /// Every member closed the connection without an answer.
    #[error(
        "no member takes the token: it is unknown there, has expired or was used, or those members \
         are no longer of the cluster. Have another one made, by `quorate member add` ({0})"
    )]
    NotTaken(String),
    /// A member accepted the token, but the node could not be registered now.
    #[error("the cluster cannot register this node now: retry ({0})")]
    Unavailable(String),
    /// A member could not be reached, and no other accepted the token.
    #[error(
        "no member that the token names lets this node in: see that they run, and that this machine \
         reaches them ({0})"
    )]
    Unreachable(String),
}

/// Asks the members in `token` to register the node with this identity and an empty log: one after the
/// other, until one answers for the cluster. Others will reach the node at `address`, a `host:port`.
///
/// A retry is safe: a node that was already registered with this token gets the same answer.
///
/// # Errors
/// See [`JoinError`]. Each member was asked once; [`JoinError::may_pass`] says whether to retry.
pub async fn join(
    identity: &Identity,
    token: &JoinToken,
    name: String,
    address: String,
    config: TransportConfig,
) -> Result<Joined, JoinError> {
    let connector = Connector::new(identity.clone(), config);
    let node = NodeId(identity.public_key());
    join_by(&connector, node, token, name, address).await
}

/// The same with this connector.
pub(crate) async fn join_by(
    connector: &Connector,
    node: NodeId,
    token: &JoinToken,
    name: String,
    address: String,
) -> Result<Joined, JoinError> {
    let (mut best, mut reasons) = (None, Vec::new());
    for (member, at) in &token.members {
        let request = JoinRequest::new(token, node, *member, name.clone(), address.clone());
        if !request.fits() {
            return Err(JoinError::Rejected(JoinRejection::Bounds));
        }
        let (verdict, reason) = match ask(connector, *member, at, token, request).await {
            Ok(Greeting::Join(JoinAnswer::Joined(joined))) if joined.id == token.cluster => {
                return Ok(joined);
            }
            Ok(Greeting::Join(JoinAnswer::Rejected(rejection))) => {
                return Err(JoinError::Rejected(rejection));
            }
            Ok(Greeting::DataLost(_)) => return Err(JoinError::DataLost),
            Ok(Greeting::Join(JoinAnswer::Unavailable(reason))) => (Reception::Unavailable, reason),
            Ok(Greeting::Rejected(reason)) => Reception::of(&DialError::Rejected(reason)),
            Ok(
                Greeting::Join(JoinAnswer::Joined(_))
                | Greeting::Welcome { .. }
                | Greeting::Removed(_),
            ) => Reception::of(&DialError::Unasked),
            Err(error) => Reception::of(&error),
        };
        tracing::debug!(%member, address = at, ?verdict, reason, "a member did not let this node join");
        best = best.max(Some(verdict));
        reasons.push(format!("{member} at {at}: {reason}"));
    }
    Err(JoinError::of(best, &reasons))
}

async fn ask(
    connector: &Connector,
    member: NodeId,
    address: &str,
    token: &JoinToken,
    request: JoinRequest,
) -> Result<Greeting, DialError> {
    let introduction = Introduction {
        cluster: token.cluster,
        stated: LogSummary::default(),
        vouchers: Vec::new(),
    };
    let hello = Hello::new(introduction, StreamKind::Join);
    let speak = |stream| speak(stream, hello, request);
    let mut reader = connector.reach(member, address, speak).await?;
    let answer = timeout(connector.config.join_timeout, reader.next());
    match answer.await.map_err(|_| DialError::TimedOut)? {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(FrameError::Io(error))) => Err(DialError::tls(error)),
        Some(Err(error)) => Err(DialError::Greeting(error)),
        None => Err(DialError::NotAdmitted),
    }
}

/// Sends all messages of a joiner: a member does not answer before.
async fn speak(
    stream: TlsStream<TcpStream>,
    hello: Hello,
    request: JoinRequest,
) -> Result<FrameReader<Greeting>, DialError> {
    let (reader, mut writer) = greeting_frames::<Greeting, Hello>(stream, GREETING_SIZE_MAX);
    let hello = writer.feed(hello).await;
    let mut writer = writer.map_encoder(|_| FrameCodec::new(GREETING_SIZE_MAX, None));
    let sent = hello.and(writer.send(request).await);
    match sent {
        // The answer, or the end of the connection, says more than this error.
        Ok(()) | Err(FrameError::Io(_)) => {}
        Err(error) => return Err(DialError::Greeting(error)),
    }
    Ok(reader)
}

/// The result of asking one member; greater is more promising.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reception {
    /// It closed the connection without an answer.
    NotTaken,
    /// It was not reached, or is incompatible with this node.
    Unreachable,
    /// It knows the token, or is slow.
    Unavailable,
}

impl Reception {
    fn of(error: &DialError) -> (Self, String) {
        match error {
            DialError::NotAdmitted => (
                Self::NotTaken,
                "it knows neither the node nor the token".to_owned(),
            ),
            DialError::TimedOut => (Self::Unavailable, chain(error)),
            _ => (Self::Unreachable, chain(error)),
        }
    }
}

impl JoinError {
    /// The error if these members were asked and none accepted the node.
    fn of(verdict: Option<Reception>, reasons: &[String]) -> Self {
        let reasons = reasons.join("; ");
        match verdict {
            None => Self::NoMember,
            Some(Reception::NotTaken) => Self::NotTaken(reasons),
            Some(Reception::Unreachable) => Self::Unreachable(reasons),
            Some(Reception::Unavailable) => Self::Unavailable(reasons),
        }
    }

    /// Whether a retry may succeed. A token that no member accepts may be so new that they have not applied
    /// it: a few more rounds decide.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Unreachable(_))
    }
}
