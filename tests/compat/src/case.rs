//! The checks of every relay: requests, and the expected answers.

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

/// A sequence of requests about its own key.
pub(crate) struct Case {
    /// The required behaviour.
    pub(crate) claim: &'static str,
    pub(crate) source: &'static str,
    pub(crate) requirement: Requirement,
    /// Why Quorate differs, if it does on purpose.
    pub(crate) differs: Option<&'static str>,
    pub(crate) limits: Limits,
    pub(crate) steps: Vec<Step>,
}

/// Which of the relays receives the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limits {
    Off,
    /// The relay limits what a client may do.
    On,
}

/// A request, and the expected answer.
pub(crate) struct Step {
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) headers: Vec<(&'static str, Value)>,
    pub(crate) body: Body,
    pub(crate) protocol: Protocol,
    /// It is repeated until an answer has this status, this often at most.
    pub(crate) until: Option<(u16, usize)>,
    pub(crate) wants: Vec<Want>,
}

/// The requested path.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// The key of the case.
    Key,
    /// The same, with a query.
    KeyWith(&'static str),
    /// The path of keys, with this instead of a key.
    Segment(&'static str),
    /// The key at the root, whatever path the relay uses for keys.
    KeyAtRoot,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Protocol {
    Http1,
    /// HTTP/2 with prior knowledge (RFC 9113, section 3.3).
    Http2,
}

/// A packet of the case's key: how many microseconds after the case's second it is signed. The same
/// time gives the same bytes.
pub(crate) type Moment = u64;

/// The origin of the browsers' page.
pub(crate) const PAGE_ORIGIN: &str = "https://page.example";

/// The body of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Body {
    Empty,
    Packet(Moment),
    /// A packet whose payload has this many bytes.
    PacketOfSize(Moment, usize),
    /// A packet with a flipped bit in its signature.
    Damaged(Moment),
    /// A packet that another key has signed.
    OfAnotherKey(Moment),
    /// A packet with a valid signature of bytes that are not a DNS message.
    NoDns(Moment),
    /// The first bytes of a packet.
    Cut(Moment, usize),
}

/// The value of a header field.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value {
    Text(&'static str),
    /// The microseconds of a packet.
    Micros(Moment),
    /// The second of a packet, as an HTTP date.
    Date(Moment),
    /// The entity tag of the previous answer.
    LastTag,
}

/// A condition that an answer must meet.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Want {
    Status(&'static [u16]),
    /// A field exists and contains this text, in any case.
    Has(&'static str, &'static str),
    HasNot(&'static str),
    /// Every page may read it, or the origin of the page.
    OpenToPages,
    /// A page may send this field.
    Allows(&'static str),
    /// A field contains the second of a packet.
    HasDate(&'static str, Moment),
    /// A field is the number of bytes of a packet.
    HasLength(&'static str, Moment),
    /// `Cache-Control` allows caching for at most this long, in seconds.
    FreshFor(u64),
    BodyOf(Moment),
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

    /// Quorate differs, for this reason.
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

/// A PUT to the key.
pub(crate) fn put(body: Body) -> Step {
    Step {
        body,
        ..Step::new(Method::PUT, Target::Key)
    }
}

/// A PUT of a packet that the relay must accept.
pub(crate) fn stored(moment: Moment) -> Step {
    put(Body::Packet(moment)).status(&[200, 204])
}

/// A GET of the key.
pub(crate) fn get() -> Step {
    Step::new(Method::GET, Target::Key)
}

/// Any other request about the key.
pub(crate) fn ask(method: Method) -> Step {
    Step::new(method, Target::Key)
}
