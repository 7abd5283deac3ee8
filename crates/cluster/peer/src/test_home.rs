//! Who the nodes of tests are, and what they say.

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

/// What nodes of the home cluster say of their logs.
pub(crate) const STATED: LogSummary = LogSummary {
    term: Term(3),
    durable: Some(LogPosition {
        term: Term(2),
        index: LogIndex(7),
    }),
};

/// What one of them has lost.
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

/// How they welcome each other.
pub(crate) const WELCOME: Greeting = Greeting::Welcome {
    version: 1,
    stated: STATED,
};

/// What nodes of the home cluster say of themselves.
pub(crate) fn introduction() -> Introduction {
    Introduction {
        cluster: HOME,
        stated: STATED,
        vouchers: Vec::new(),
    }
}

/// What a service is given.
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
