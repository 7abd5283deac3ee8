//! The first words on a link.

use quorate_rpc::{Lane, message::WIRE_VERSION};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{ReadHalf, WriteHalf},
    net::TcpStream,
};
use tokio_rustls::TlsStream;
use tokio_util::codec::{FramedRead, FramedWrite};

use crate::{ClusterId, frame::FrameCodec};

/// The most that a greeting takes, in bytes. Of ours the longest is a rejection with its reason.
const GREETING_SIZE_MAX: usize = 512;

/// How a hello begins.
const MAGIC: [u8; 8] = *b"quorate\n";

/// The half of a connection where messages come from.
pub(crate) type FrameReader<T> = FramedRead<ReadHalf<TlsStream<TcpStream>>, FrameCodec<T>>;

/// The half of a connection where messages go to.
pub(crate) type FrameWriter<T> = FramedWrite<WriteHalf<TlsStream<TcpStream>>, FrameCodec<T>>;

/// Both halves of a connection on which no more than greetings is allowed yet.
pub(crate) fn greeting_frames<In: DeserializeOwned, Out: Serialize>(
    stream: impl Into<TlsStream<TcpStream>>,
) -> (FrameReader<In>, FrameWriter<Out>) {
    let (reader, writer) = tokio::io::split(stream.into());
    (
        FramedRead::new(reader, FrameCodec::new(GREETING_SIZE_MAX, None)),
        FramedWrite::new(writer, FrameCodec::new(GREETING_SIZE_MAX, None)),
    )
}

/// What the node that connected says first. Its layout is the same in every wire version, so that
/// nodes of different versions can tell each other so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) magic: [u8; 8],
    pub(crate) wire_version: u16,
    pub(crate) cluster: ClusterId,
    pub(crate) lane: u8,
}

impl Hello {
    pub(crate) fn new(cluster: ClusterId, lane: Lane) -> Self {
        Self {
            magic: MAGIC,
            wire_version: WIRE_VERSION,
            cluster,
            lane: lane as u8,
        }
    }

    /// Whether a node of `cluster` goes on, and on which lane.
    pub(crate) fn check(&self, cluster: ClusterId) -> Result<Lane, Rejection> {
        if self.magic != MAGIC {
            return Err(Rejection::Magic);
        }
        if self.wire_version != WIRE_VERSION {
            return Err(Rejection::WireVersion(self.wire_version));
        }
        if self.cluster != cluster {
            return Err(Rejection::Cluster);
        }
        Lane::from_repr(self.lane).ok_or(Rejection::Lane(self.lane))
    }
}

/// The answer to a [`Hello`], with the same layout in every wire version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Greeting {
    /// The link is open.
    Welcome,
    /// The link is refused for the reason told, in words: a node need not know every reason that
    /// other versions have.
    Refused(String),
}

/// Why a node is turned away that is admitted by its key. Said to that node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("this is no greeting of a Quorate node")]
    Magic,
    #[error(
        "it speaks wire version {WIRE_VERSION} and this node speaks {0}: run versions of Quorate \
         that share one"
    )]
    WireVersion(u16),
    #[error(
        "it belongs to another cluster: the name and the founding nodes must be the same in both \
         configurations"
    )]
    Cluster,
    #[error("it knows no lane {0}")]
    Lane(u8),
    #[error("it has as many links open as it allows")]
    LinkCount,
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    const HOME: ClusterId = ClusterId([7; 32]);

    #[test]
    fn a_hello_of_the_same_cluster_and_version_is_welcome() {
        for &lane in Lane::VARIANTS {
            assert_eq!(Hello::new(HOME, lane).check(HOME), Ok(lane));
        }
    }

    #[test]
    fn every_difference_is_a_rejection_of_its_own() {
        let hello = Hello::new(HOME, Lane::Append);
        let magic = Hello {
            magic: *b"etcd raf",
            ..hello
        };
        assert_eq!(magic.check(HOME), Err(Rejection::Magic));
        let version = Hello {
            wire_version: 9,
            ..hello
        };
        assert_eq!(version.check(HOME), Err(Rejection::WireVersion(9)));
        assert_eq!(hello.check(ClusterId([8; 32])), Err(Rejection::Cluster));
        for lane in [5, 255] {
            let hello = Hello { lane, ..hello };
            assert_eq!(hello.check(HOME), Err(Rejection::Lane(lane)));
        }
    }

    #[test]
    fn the_layout_of_greetings_stays() {
        let hello = Hello {
            wire_version: 1,
            ..Hello::new(HOME, Lane::Snapshot)
        };
        let expected = [b"quorate\n".as_slice(), &[1], &[7; 32], &[3]].concat();
        assert_eq!(postcard::to_stdvec(&hello).unwrap(), expected);
        let lanes = [
            Lane::Append,
            Lane::Control,
            Lane::Forward,
            Lane::Snapshot,
            Lane::Pull,
        ];
        let numbers = lanes.map(|lane| Hello::new(HOME, lane).lane);
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        let refused = Greeting::Refused("no".to_owned());
        assert_eq!(postcard::to_stdvec(&Greeting::Welcome).unwrap(), [0]);
        assert_eq!(postcard::to_stdvec(&refused).unwrap(), [1, 2, b'n', b'o']);
    }

    #[test]
    fn every_rejection_fits_a_greeting() {
        for rejection in [
            Rejection::Magic,
            Rejection::WireVersion(u16::MAX),
            Rejection::Cluster,
            Rejection::Lane(u8::MAX),
            Rejection::LinkCount,
        ] {
            let greeting = Greeting::Refused(rejection.to_string());
            assert!(postcard::to_stdvec(&greeting).unwrap().len() <= GREETING_SIZE_MAX);
        }
    }
}
