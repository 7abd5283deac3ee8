//! Joining a cluster, as the node that nobody knows.

use crate::Identity;
use crate::{
    ClusterNames, Introduction, JoinAnswer, JoinRefusal, JoinRequest, JoinToken, Joined, Lane,
    LogState, NodeId,
};
use futures_util::{SinkExt, StreamExt};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::client::TlsStream;

use crate::{
    TransportConfig,
    connector::Connector,
    dial_error::DialError,
    frame::{FrameCodec, FrameError},
    greeting::{
        FrameReader, GREETING_SIZE_MAX, Greeting, Hello, JOIN_ANSWER_SIZE_MAX, greeting_frames,
    },
    join_error::{JoinError, Verdict},
};

/// Asks the members that `token` names to take in the node with this identity, whose log is empty:
/// one after the other, until one answers for the cluster. Others will reach the node at `address`, a
/// `host:port`.
///
/// Saying it again is harmless: who has been registered by this token is told so again.
///
/// # Errors
///
/// See [`JoinError`]. Each member was asked once; [`JoinError::may_pass`] tells whether to do it again.
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

/// The same over connections of this connector.
pub(crate) async fn join_by(
    connector: &Connector,
    node: NodeId,
    token: &JoinToken,
    name: String,
    address: String,
) -> Result<Joined, JoinError> {
    let mut verdicts = Vec::new();
    for (member, at) in &token.members {
        let request = JoinRequest::new(token, node, *member, name.clone(), address.clone());
        if !request.fits() {
            return Err(JoinError::Refused(JoinRefusal::Bounds));
        }
        let verdict = match ask(connector, *member, at, token, request).await {
            Ok(Greeting::Join(JoinAnswer::Joined(joined))) if joined.id == token.cluster => {
                return Ok(joined);
            }
            Ok(Greeting::Join(JoinAnswer::Refused(refusal))) => {
                return Err(JoinError::Refused(refusal));
            }
            Ok(Greeting::Forgotten) => return Err(JoinError::Forgotten),
            Ok(Greeting::Join(JoinAnswer::Unavailable(reason))) => Verdict::Unavailable(reason),
            Ok(Greeting::Refused(reason)) => Verdict::of(&DialError::Refused(reason)),
            Ok(Greeting::Join(JoinAnswer::Joined(_)) | Greeting::Welcome { .. }) => {
                Verdict::of(&DialError::Unasked)
            }
            Err(error) => Verdict::of(&error),
        };
        tracing::debug!(%member, address = at, ?verdict, "a member did not let this node join");
        verdicts.push((format!("{member} at {at}"), verdict));
    }
    Err(JoinError::of(verdicts))
}

async fn ask(
    connector: &Connector,
    member: NodeId,
    address: &str,
    token: &JoinToken,
    request: JoinRequest,
) -> Result<Greeting, DialError> {
    let introduction = Introduction {
        names: ClusterNames {
            id: Some(token.cluster),
            founding: None,
        },
        log: LogState::Empty,
    };
    let hello = Hello::new(introduction, Lane::Join);
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

/// Says what a joiner says, all at once: a member does not answer before.
async fn speak(
    stream: TlsStream<TcpStream>,
    hello: Hello,
    request: JoinRequest,
) -> Result<FrameReader<Greeting>, DialError> {
    let (reader, mut writer) = greeting_frames::<Greeting, Hello>(stream);
    let hello = writer.feed(hello).await;
    let mut writer = writer.map_encoder(|_| FrameCodec::new(GREETING_SIZE_MAX, None));
    let sent = hello.and(writer.send(request).await);
    match sent {
        // The answer, or the end, tells more than that it broke here.
        Ok(()) | Err(FrameError::Io(_)) => {}
        Err(error) => return Err(DialError::Greeting(error)),
    }
    Ok(reader.map_decoder(|_| FrameCodec::new(JOIN_ANSWER_SIZE_MAX, None)))
}
