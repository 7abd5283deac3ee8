//! Why a request was refused.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};
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

    /// Another version of the leader has answered.
    pub fn not_understood(error: &serde_json::Error) -> Self {
        let text = format!("this version does not understand the leader's answer: {error}");
        Self::new(ProblemType::Unavailable, text)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

macro_rules! problem_types {
    ($( $(#[$doc:meta])* $variant:ident: $status:literal, $retry:literal, $title:literal; )*) => {
        /// The problems there are, of all listeners. Each is named by a URI of its own, and has one status
        /// code and a line in `docs/PROBLEMS.md`.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr, VariantArray,
            strum::Display,
        )]
        #[serde(into = "&'static str", try_from = "Cow<str>")]
        #[strum(prefix = "urn:quorate:problem:", serialize_all = "kebab-case")]
        pub enum ProblemType {
            $( $(#[$doc])* $variant, )*
        }

        impl ProblemType {
            fn facts(self) -> (u16, bool, &'static str) {
                match self {
                    $( Self::$variant => ($status, $retry, $title), )*
                }
            }
        }
    };
}

problem_types! {
    /// The request is malformed, or asks for what cannot be.
    BadRequest: 400, false, "The request is malformed";
    /// It is no address that nodes can be reached at.
    BadAddress: 400, false, "The address is unusable";
    /// The path ends in no public key.
    BadKey: 400, false, "The path names no public key";
    /// The body is no packet that its key has signed.
    BadPacket: 400, false, "The body is no signed packet of the key";
    /// The packet is of a time that is yet to come.
    TooFarAhead: 400, false, "The packet's timestamp lies too far ahead";
    /// A conditional header cannot be understood.
    BadCondition: 400, false, "The condition is malformed";
    /// No token, one that is not known, or none where one is demanded.
    NotAuthorized: 401, false, "A token is needed";
    /// The token is none that may publish.
    WrongToken: 401, false, "The token is not known";
    /// The token is good for less.
    Scope: 403, false, "The token's scope does not suffice";
    /// The node that was asked is a learner, and may not ask the leader for that.
    NotVoter: 409, false, "The node that was asked does not vote";
    /// The key may not publish.
    ForbiddenKey: 403, false, "The key may not publish here";
    /// The key may not publish for a time.
    BlockedKey: 403, false, "The key may not publish here for a time";
    /// No member and no joining node is called so.
    UnknownNode: 404, false, "No such node";
    /// The node holds no packet of this key.
    UnknownPacket: 404, false, "No such packet";
    /// The node serves no zone of this name.
    UnknownZone: 404, false, "No such zone";
    /// No token for publishing is called so.
    UnknownToken: 404, false, "No such token";
    /// There is nothing at this path.
    UnknownPath: 404, false, "No such path";
    /// The path is there and this method is not.
    UnknownMethod: 405, false, "No such method";
    /// The client accepts nothing that is given here.
    NotAcceptable: 406, false, "No acceptable form";
    /// The body was too slow, or was not sent to its end.
    BodyLost: 408, true, "The body did not arrive";
    /// Several nodes are called so.
    AmbiguousNode: 409, false, "More than one node is called so";
    /// The change would leave the cluster without a majority of live voters. It can be forced.
    NoLiveQuorum: 409, false, "No live quorum would be left";
    /// Another change is under way.
    Busy: 409, true, "Another change is under way";
    /// There are as many open invites as there may be.
    InviteCount: 409, false, "Too many invites are open";
    /// Some node runs a version that does not know such changes.
    UnsupportedLevel: 409, false, "The cluster's feature level is too low";
    /// The node lacks entries that a voter must have.
    NotCaughtUp: 409, true, "The node has not caught up";
    /// There is a token for publishing of this name.
    TokenExists: 409, false, "A token is called so";
    /// The node is not what the change is for.
    UnsuitableNode: 409, false, "The node is not fit for the change";
    /// The cluster would have no voter.
    LastVoter: 409, false, "It is the last voter";
    /// A newer packet of the key is stored.
    Superseded: 409, false, "A newer packet is stored";
    /// What changed so long ago is not known any more, since a restart or a snapshot at the latest: list
    /// the packets, and go on from there.
    ChangesLost: 410, false, "Changes so old are not known any more";
    /// What is stored is not what the request asks for.
    ConditionFailed: 412, false, "The condition does not hold";
    /// The body is longer than any request needs.
    TooLong: 413, false, "The body is too long";
    /// The query in the address is longer than any request needs.
    UriTooLong: 414, false, "The address is too long";
    /// The body is not said to be JSON.
    MediaType: 415, false, "The body is not JSON";
    /// The body is not said to be a DNS message.
    NoDnsMessage: 415, false, "The body is no DNS message";
    /// The zone would not be what a zone can be, or some text is none of a zone file.
    RefusedZone: 422, false, "The zone cannot be changed so";
    /// Who may publish cannot be changed so, such as by one key too many.
    RefusedPolicy: 422, false, "The policy cannot be changed so";
    /// The configuration on disk cannot be used. The node keeps the one it has.
    RefusedReload: 422, false, "The new configuration is refused";
    /// The client asks more often than it may.
    RateLimited: 429, true, "Too many requests";
    /// The response cannot be given in the form that is asked for.
    Unpresentable: 500, false, "The response has no such form";
    /// The cluster has as many packets as it may have.
    Full: 503, true, "The capacity of the cluster is reached";
    /// No leader could be reached in time.
    NoLeader: 503, true, "No leader is known";
    /// So many voters are silent that no leader can be elected.
    MajorityLost: 503, false, "No majority of the voters is left";
    /// The node has as much to do as it takes on.
    Overloaded: 503, true, "Too many requests wait";
    /// The node cannot answer now.
    Unavailable: 503, true, "The node cannot answer now";
    /// Nobody knows whether the packet is stored.
    UnknownOutcome: 504, true, "The outcome is unknown";
}

impl ProblemType {
    /// All of them.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The URI that names it.
    pub fn uri(self) -> &'static str {
        self.into()
    }

    /// The HTTP status code.
    pub fn status(self) -> u16 {
        self.facts().0
    }

    /// Whether the same request may succeed when it is sent again.
    pub fn retry(self) -> bool {
        self.facts().1
    }

    /// What all problems of this type have in common.
    pub fn title(self) -> &'static str {
        self.facts().2
    }
}

impl TryFrom<Cow<'_, str>> for ProblemType {
    type Error = String;

    fn try_from(uri: Cow<'_, str>) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|known| known.uri() == uri);
        known
            .copied()
            .ok_or_else(|| format!("unknown type of problem `{uri}`"))
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
