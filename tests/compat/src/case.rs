//! The cases: requests, and the expected properties of their answers.

use hyper::Method;

/// How strongly a source requires something, in the words of RFC 2119. If a specification just
/// states what a relay does, that is a `must`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requirement {
    Must,
    Should,
    /// The table shows it, but no relay fails because of it.
    May,
}

/// Requests that follow each other, about a key of their own.
pub(crate) struct Case {
    /// What a relay that follows the source does.
    pub(crate) claim: &'static str,
    pub(crate) source: &'static str,
    pub(crate) requirement: Requirement,
    /// The reason if Quorate differs on purpose.
    pub(crate) differs: Option<&'static str>,
    pub(crate) limits: Limits,
    pub(crate) steps: Vec<Step>,
}

/// Whether the relay under test has limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limits {
    Off,
    /// The relay limits what a client may do.
    On,
}

/// A request, and the expected properties of its answer.
pub(crate) struct Step {
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) headers: Vec<(&'static str, Value)>,
    pub(crate) body: Body,
    pub(crate) protocol: Protocol,
    /// It is sent until an answer has this status, at most this many times.
    pub(crate) until: Option<(u16, usize)>,
    pub(crate) wants: Vec<Want>,
}

/// The path of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// The key of the case.
    Key,
    /// The key of the case, with a query string.
    KeyWith(&'static str),
    /// The path of keys, with this in place of a key.
    Segment(&'static str),
    /// The key at the root, even if the relay has a path prefix.
    KeyAtRoot,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Protocol {
    Http1,
    /// HTTP/2 with prior knowledge (RFC 9113, section 3.3).
    Http2,
}

/// Identifies a packet of the case's key: its timestamp is this many microseconds after the case's
/// second. The same offset gives the same bytes.
pub(crate) type Offset = u64;

/// The origin of the page in requests of browsers.
pub(crate) const PAGE_ORIGIN: &str = "https://page.example";

/// The body of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Body {
    Empty,
    Packet(Offset),
    /// A packet whose payload has this many bytes.
    PacketOfSize(Offset, usize),
    /// A packet with a flipped bit in its signature.
    Damaged(Offset),
    /// A packet that another key has signed.
    OfAnotherKey(Offset),
    /// A valid signature over bytes that are not a DNS message.
    NoDns(Offset),
    /// The first bytes of a packet.
    Cut(Offset, usize),
}

/// The value of a header field.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value {
    Text(&'static str),
    /// The timestamp of a packet, in microseconds.
    Micros(Offset),
    /// The timestamp of a packet, as an HTTP date.
    Date(Offset),
    /// The entity tag in the previous answer.
    LastTag,
}

/// An expected property of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Want {
    Status(&'static [u16]),
    /// A header field contains this text, in upper or lower case.
    Has(&'static str, &'static str),
    HasNot(&'static str),
    /// CORS lets every page read it, or the page that sent the request.
    OpenToPages,
    /// CORS lets a page send this header field.
    Allows(&'static str),
    /// A header field is the timestamp of a packet, as an HTTP date.
    HasDate(&'static str, Offset),
    /// A header field is the number of bytes of a packet.
    HasLength(&'static str, Offset),
    /// `Cache-Control` lets caches keep it for at most this many seconds.
    FreshFor(u64),
    BodyOf(Offset),
    NoBody,
}

impl Case {
    pub(crate) fn must(
        claim: &'static str,
        source: &'static str,
        steps: impl Into<Vec<Step>>,
    ) -> Self {
        Self {
            claim,
            source,
            requirement: Requirement::Must,
            differs: None,
            limits: Limits::Off,
            steps: steps.into(),
        }
    }

    pub(crate) fn should(
        claim: &'static str,
        source: &'static str,
        steps: impl Into<Vec<Step>>,
    ) -> Self {
        Self {
            requirement: Requirement::Should,
            ..Self::must(claim, source, steps)
        }
    }

    pub(crate) fn may(
        claim: &'static str,
        source: &'static str,
        steps: impl Into<Vec<Step>>,
    ) -> Self {
        Self {
            requirement: Requirement::May,
            ..Self::must(claim, source, steps)
        }
    }

    /// Marks that Quorate differs on purpose, for this reason.
    pub(crate) fn but(self, reason: &'static str) -> Self {
        Self {
            differs: Some(reason),
            ..self
        }
    }

    pub(crate) fn limited(self) -> Self {
        Self {
            limits: Limits::On,
            ..self
        }
    }
}

impl Step {
    fn new(method: Method, target: Target) -> Self {
        Self {
            method,
            target,
            headers: Vec::new(),
            body: Body::Empty,
            protocol: Protocol::Http1,
            until: None,
            wants: Vec::new(),
        }
    }

    pub(crate) fn at(self, target: Target) -> Self {
        Self { target, ..self }
    }

    pub(crate) fn with(mut self, name: &'static str, value: Value) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn over(self, protocol: Protocol) -> Self {
        Self { protocol, ..self }
    }

    pub(crate) fn until(self, status: u16, times_max: usize) -> Self {
        Self {
            until: Some((status, times_max)),
            ..self
        }
    }

    pub(crate) fn wants(mut self, want: Want) -> Self {
        self.wants.push(want);
        self
    }

    pub(crate) fn status(self, statuses: &'static [u16]) -> Self {
        self.wants(Want::Status(statuses))
    }

    pub(crate) fn has(self, name: &'static str, part: &'static str) -> Self {
        self.wants(Want::Has(name, part))
    }
}

/// PUTs this body to the key.
pub(crate) fn put(body: Body) -> Step {
    Step {
        body,
        ..Step::new(Method::PUT, Target::Key)
    }
}

/// PUTs a packet that the relay must accept.
pub(crate) fn stored(offset: Offset) -> Step {
    put(Body::Packet(offset)).status(&[200, 204])
}

/// GETs the key.
pub(crate) fn get() -> Step {
    Step::new(Method::GET, Target::Key)
}

/// A request with another method to the key.
pub(crate) fn request(method: Method) -> Step {
    Step::new(method, Target::Key)
}
