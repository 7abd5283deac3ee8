//! The nodes of tests, and their messages.

use crate::Identity;
use crate::{
    ClusterId, DataLoss, Frame, Introduction, LinkError, LogSummary, NodeId,
    greeting::Greeting,
    message::{Request, Response},
};
use futures_util::{StreamExt, stream::BoxStream};
use quorate_state::{LogIndex, LogPosition, Term};

pub(crate) const HOME: ClusterId = ClusterId([7; 32]);

pub(crate) const ALICE: u8 = 1;
pub(crate) const BOB: u8 = 2;
pub(crate) const MALLORY: u8 = 3;

pub(crate) fn identity(name: u8) -> Identity {
    Identity::from_seed(&[name; 32])
}

pub(crate) fn id(name: u8) -> NodeId {
    NodeId(identity(name).public_key())
}

/// The log summary of the nodes of the home cluster.
pub(crate) const STATED: LogSummary = LogSummary {
    term: Term(3),
    durable: Some(LogPosition {
        term: Term(2),
        index: LogIndex(7),
    }),
};

/// The loss of one of them.
pub(crate) const LOSS: DataLoss = DataLoss {
    acknowledged: Some((
        Term(3),
        LogPosition {
            term: Term(2),
            index: LogIndex(9),
        },
    )),
    stated: STATED.durable,
};

/// Their greeting to each other.
pub(crate) const WELCOME: Greeting = Greeting::Welcome {
    version: 1,
    stated: STATED,
};

/// The introduction of nodes of the home cluster.
pub(crate) fn introduction() -> Introduction {
    Introduction {
        cluster: HOME,
        stated: STATED,
        vouchers: Vec::new(),
    }
}

/// The requests that a service gets.
pub(crate) type Requests = BoxStream<'static, Result<Frame<Request>, LinkError>>;

/// The requests until the link ends.
pub(crate) fn read(requests: Requests) -> BoxStream<'static, Frame<Request>> {
    requests
        .take_while(|request| std::future::ready(request.is_ok()))
        .filter_map(|request| std::future::ready(request.ok()))
        .boxed()
}

pub(crate) fn echo(request: Frame<Request>) -> Frame<Response> {
    let Request::Propose(text) = request.message else {
        panic!("no test sends {request:?}")
    };
    Frame {
        id: request.id,
        message: Response::Failed(String::from_utf8(text.to_vec()).unwrap()),
        metadata: request.metadata,
    }
}
