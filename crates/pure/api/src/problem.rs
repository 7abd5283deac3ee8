//! Why a request was refused.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, SchemaFormat, schema::Type},
};

/// The media type of a [`Problem`].
pub const PROBLEM_CONTENT_TYPE: &str = "application/problem+json";

/// Why a request was refused: a problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Which of the problems it is.
    #[serde(rename = "type")]
    pub problem_type: ProblemType,
    /// What all problems of this type have in common.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What is wrong this time, and what to do about it.
    pub detail: String,
    /// Whether the same request may succeed when it is sent again.
    pub retry: bool,
}

impl Problem {
    /// A problem of this type, in words for this time.
    pub fn new(problem_type: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            problem_type,
            title: problem_type.title().to_owned(),
            status: problem_type.status(),
            detail: detail.into(),
            retry: problem_type.retry(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

macro_rules! problem_types {
    ($( $(#[$doc:meta])* $variant:ident: $status:literal, $slug:literal, $retry:literal, $title:literal; )*) => {
        /// The problems there are, of all listeners. Each has one status code, and a line in
        /// `docs/PROBLEMS.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ProblemType {
            $( $(#[$doc])* $variant, )*
        }

        impl ProblemType {
            /// All of them.
            pub const ALL: &[Self] = &[$( Self::$variant, )*];

            /// The URI that names it.
            pub fn uri(self) -> &'static str {
                match self {
                    $( Self::$variant => concat!("urn:quorate:problem:", $slug), )*
                }
            }

            /// The HTTP status code.
            pub fn status(self) -> u16 {
                match self {
                    $( Self::$variant => $status, )*
                }
            }

            /// What all problems of this type have in common.
            pub fn title(self) -> &'static str {
                match self {
                    $( Self::$variant => $title, )*
                }
            }

            /// Whether the same request may succeed when it is sent again.
            pub fn retry(self) -> bool {
                match self {
                    $( Self::$variant => $retry, )*
                }
            }
        }
    };
}

problem_types! {
    /// The request is malformed, or asks for what cannot be.
    BadRequest: 400, "bad-request", false, "The request is malformed";
    /// It is no address that nodes can be reached at.
    BadAddress: 400, "bad-address", false, "The address is unusable";
    /// The path ends in no public key.
    BadKey: 400, "bad-key", false, "The path names no public key";
    /// The body is no packet that its key has signed.
    BadPacket: 400, "bad-packet", false, "The body is no signed packet of the key";
    /// The packet is of a time that is yet to come.
    TooFarAhead: 400, "too-far-ahead", false, "The packet's timestamp lies too far ahead";
    /// A conditional header cannot be understood.
    BadCondition: 400, "bad-condition", false, "The condition is malformed";
    /// No token, one that is not known, or none where one is demanded.
    NotAuthorized: 401, "not-authorized", false, "A token is needed";
    /// The token is none that may publish.
    WrongToken: 401, "wrong-token", false, "The token is not known";
    /// The token is good for less.
    Scope: 403, "scope", false, "The token's scope does not suffice";
    /// The key may not publish.
    ForbiddenKey: 403, "forbidden-key", false, "The key may not publish here";
    /// The key may not publish for a time.
    BlockedKey: 403, "blocked-key", false, "The key may not publish here for a time";
    /// No member and no joining node is called so.
    UnknownNode: 404, "unknown-node", false, "No such node";
    /// The node holds no packet of this key.
    UnknownPacket: 404, "unknown-packet", false, "No such packet";
    /// The node serves no zone of this name.
    UnknownZone: 404, "unknown-zone", false, "No such zone";
    /// No token for publishing is called so.
    UnknownToken: 404, "unknown-token", false, "No such token";
    /// There is nothing at this path.
    UnknownPath: 404, "unknown-path", false, "No such path";
    /// The path is there and this method is not.
    UnknownMethod: 405, "unknown-method", false, "No such method";
    /// The client accepts nothing that is given here.
    NotAcceptable: 406, "not-acceptable", false, "No acceptable form";
    /// The body was too slow, or was not sent to its end.
    BodyLost: 408, "body-lost", true, "The body did not arrive";
    /// Several nodes are called so.
    AmbiguousNode: 409, "ambiguous-node", false, "More than one node is called so";
    /// The change would leave the cluster without a majority of live voters. It can be forced.
    NoLiveQuorum: 409, "no-live-quorum", false, "No live quorum would be left";
    /// Another change is under way.
    Busy: 409, "busy", true, "Another change is under way";
    /// There are as many open invites as there may be.
    InviteCount: 409, "invite-count", false, "Too many invites are open";
    /// Some node runs a version that does not know such changes.
    UnsupportedLevel: 409, "unsupported-level", false, "The cluster's feature level is too low";
    /// The node lacks entries that a voter must have.
    NotCaughtUp: 409, "not-caught-up", true, "The node has not caught up";
    /// There is a token for publishing of this name.
    TokenExists: 409, "token-exists", false, "A token is called so";
    /// The node is not what the change is for.
    UnfitNode: 409, "unfit-node", false, "The node is not fit for the change";
    /// The cluster would have no voter.
    LastVoter: 409, "last-voter", false, "It is the last voter";
    /// A newer packet of the key is stored.
    Superseded: 409, "superseded", false, "A newer packet is stored";
    /// What changed so long ago is not known any more, since a restart or a snapshot at the latest: list
    /// the packets, and go on from there.
    ChangesLost: 410, "changes-lost", false, "Changes so old are not known any more";
    /// What is stored is not what the request asks for.
    ConditionFailed: 412, "condition-failed", false, "The condition does not hold";
    /// The body is longer than any request needs.
    TooLong: 413, "too-long", false, "The body is too long";
    /// The query in the address is longer than any request needs.
    UriTooLong: 414, "uri-too-long", false, "The address is too long";
    /// The body is not said to be JSON.
    MediaType: 415, "media-type", false, "The body is not JSON";
    /// The body is not said to be a DNS message.
    NoDnsMessage: 415, "no-dns-message", false, "The body is no DNS message";
    /// The zone would not be what a zone can be, or some text is none of a zone file.
    RefusedZone: 422, "refused-zone", false, "The zone cannot be changed so";
    /// Who may publish cannot be changed so, such as by one key too many.
    RefusedPolicy: 422, "refused-policy", false, "The policy cannot be changed so";
    /// The configuration on disk cannot be used. The node keeps the one it has.
    RefusedReload: 422, "refused-reload", false, "The new configuration is refused";
    /// The client asks more often than it may.
    RateLimited: 429, "rate-limited", true, "Too many requests";
    /// The response cannot be given in the form that is asked for.
    Unpresentable: 500, "unpresentable", false, "The response has no such form";
    /// The cluster has as many packets as it may have.
    Full: 503, "full", true, "The capacity of the cluster is reached";
    /// No leader could be reached in time.
    NoLeader: 503, "no-leader", true, "No leader is known";
    /// The node has as much to do as it takes on.
    Overloaded: 503, "overloaded", true, "Too many requests wait";
    /// The node cannot answer now.
    Unavailable: 503, "unavailable", true, "The node cannot answer now";
    /// Nobody knows whether the packet is stored.
    UnknownOutcome: 504, "unknown-outcome", true, "The outcome is unknown";
}

impl fmt::Display for ProblemType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri())
    }
}

impl Serialize for ProblemType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.uri())
    }
}

impl<'de> Deserialize<'de> for ProblemType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let uri = Cow::<str>::deserialize(deserializer)?;
        let known = Self::ALL.iter().find(|known| known.uri() == uri);
        known
            .copied()
            .ok_or_else(|| D::Error::custom(format_args!("unknown type of problem `{uri}`")))
    }
}

impl PartialSchema for ProblemType {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::Custom("uri".to_owned())))
            .description(Some("Which of the problems it is."))
            .enum_values(Some(Self::ALL.iter().map(|known| known.uri())))
            .into()
    }
}

impl ToSchema for ProblemType {}
