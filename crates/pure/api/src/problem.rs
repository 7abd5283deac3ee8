//! Problems: why a request failed.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, SchemaFormat, schema::Type},
};

/// The media type of a [`Problem`].
pub const PROBLEM_CONTENT_TYPE: &str = "application/problem+json";

/// Why a request failed: a problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The type of the problem.
    #[serde(rename = "type")]
    pub problem_type: ProblemType,
    /// A short summary, the same for all problems of this type.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What is wrong with this request, and what to do about it.
    pub detail: String,
    /// Whether the same request may succeed when it is sent again.
    pub retry: bool,
}

impl Problem {
    /// A problem of this type with a detail about this request.
    pub fn new(problem_type: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            problem_type,
            title: problem_type.title().to_owned(),
            status: problem_type.status(),
            detail: detail.into(),
            retry: problem_type.retry(),
        }
    }

    /// The leader runs another version, and its answer cannot be decoded.
    pub fn unreadable_answer(error: &serde_json::Error) -> Self {
        let text = format!(
            "this node's version cannot read the answer of the leader ({error}): finish the upgrade \
             of all nodes"
        );
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
        /// The types of problems, for all listeners. Each has its own URI, one status code, and a
        /// line in `docs/PROBLEMS.md`.
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
            fn properties(self) -> (u16, bool, &'static str) {
                match self {
                    $( Self::$variant => ($status, $retry, $title), )*
                }
            }
        }
    };
}

problem_types! {
    /// The request is malformed, or asks for something impossible.
    BadRequest: 400, false, "The request is malformed";
    /// Nodes cannot be reached at this address.
    BadAddress: 400, false, "The address is unusable";
    /// The path does not end in a public key.
    BadKey: 400, false, "The path does not name a public key";
    /// The body is not a packet that its key has signed.
    BadPacket: 400, false, "The body is not a signed packet of the key";
    /// The packet's timestamp is in the future.
    TooFarAhead: 400, false, "The packet's timestamp is too far in the future";
    /// A conditional header cannot be parsed.
    BadCondition: 400, false, "The condition is malformed";
    /// A token is required, and the request has none or an unknown one.
    NotAuthorized: 401, false, "A token is needed";
    /// The token does not permit publishing.
    WrongToken: 401, false, "The token is not known";
    /// The token does not permit this request.
    Scope: 403, false, "The token's scope is not sufficient";
    /// The request is on the admin socket, and names another host or was made by a web page.
    Foreign: 403, false, "The request comes from elsewhere";
    /// The node that received the request is a learner, and may not forward it to the leader.
    NotVoter: 409, false, "The node that received the request does not vote";
    /// The key may not publish.
    ForbiddenKey: 403, false, "The key may not publish here";
    /// The key may not publish until its block ends.
    BlockedKey: 403, false, "The key may not publish here for some time";
    /// No member and no joining node has this name or key.
    UnknownNode: 404, false, "No such node";
    /// The node holds no packet of this key.
    UnknownPacket: 404, false, "No such packet";
    /// The node serves no zone with this name.
    UnknownZone: 404, false, "No such zone";
    /// The zone has no such records.
    UnknownRecord: 404, false, "No such records";
    /// No token for publishing has this name.
    UnknownToken: 404, false, "No such token";
    /// There is nothing at this path.
    UnknownPath: 404, false, "No such path";
    /// The path exists, but not with this method.
    UnknownMethod: 405, false, "No such method";
    /// The node cannot answer in a media type that the client accepts.
    NotAcceptable: 406, false, "No acceptable media type";
    /// The body was too slow, or was not sent to its end.
    BodyLost: 408, true, "The body did not arrive";
    /// Several nodes have this name, or this prefix of their keys.
    AmbiguousNode: 409, false, "More than one node has this name";
    /// The change would leave the cluster without a majority of live voters. It can be forced.
    NoLiveQuorum: 409, false, "No live quorum would be left";
    /// Another change is in progress.
    Busy: 409, true, "Another change is in progress";
    /// The maximum number of invites is open.
    InviteCount: 409, false, "Too many invites are open";
    /// A node runs a version that does not support this change.
    UnsupportedLevel: 409, false, "The cluster's feature level is too low";
    /// The node lacks entries that a voter must have.
    NotCaughtUp: 409, true, "The node has not caught up";
    /// A token for publishing with this name exists.
    TokenExists: 409, false, "A token with this name exists";
    /// The change is not possible for a node in this role or state.
    UnsuitableNode: 409, false, "The node is not suitable for the change";
    /// A change of a setting would delete stored packets. It can be confirmed.
    WouldDelete: 409, false, "Packets would be deleted";
    /// The cluster would have no voter left.
    LastVoter: 409, false, "It is the last voter";
    /// The node does not use the DHT.
    DhtOff: 409, false, "The bridge to the DHT is off";
    /// The cluster orders no certificate.
    CertificateOff: 409, false, "No certificate is ordered";
    /// A newer packet of the key is stored.
    Superseded: 409, false, "A newer packet is stored";
    /// The node no longer knows changes this old: it forgets all of them at a restart or when it
    /// receives a snapshot. List the packets, and continue from there.
    ChangesLost: 410, false, "Changes this old are no longer known";
    /// The stored packet does not match the condition of the request.
    ConditionFailed: 412, false, "The condition is not met";
    /// The body is longer than any request needs.
    TooLong: 413, false, "The body is too long";
    /// The query in the address is longer than any request needs.
    UriTooLong: 414, false, "The address is too long";
    /// The request's `Content-Type` is not JSON.
    MediaType: 415, false, "The body is not JSON";
    /// The request's `Content-Type` is not a DNS message.
    NoDnsMessage: 415, false, "The body is not a DNS message";
    /// The zone would be invalid, or a text is not valid in a zone file.
    RefusedZone: 422, false, "This change of the zone is not possible";
    /// The policy would be invalid, for example with one key too many.
    RefusedPolicy: 422, false, "This change of the policy is not possible";
    /// A setting of the cluster is unknown, or its value is out of its range.
    RefusedSettings: 422, false, "This change of the settings is not possible";
    /// The configuration on disk cannot be used. The node keeps its current one.
    RefusedReload: 422, false, "The new configuration is rejected";
    /// The header of the request has more fields than any request needs.
    HeaderTooLarge: 431, false, "The header has too many fields";
    /// The client sends more requests than it may.
    RateLimited: 429, true, "Too many requests";
    /// The response cannot be written in the media type that the client asks for.
    Unpresentable: 500, false, "The response cannot be given in this media type";
    /// The cluster has the maximum number of packets.
    Full: 503, true, "The capacity of the cluster is reached";
    /// No leader could be reached in time.
    NoLeader: 503, true, "No leader is known";
    /// Too few voters answer to elect a leader.
    MajorityLost: 503, false, "No majority of the voters is left";
    /// The node has the maximum number of requests in progress.
    Overloaded: 503, true, "Too many requests are waiting";
    /// The node cannot answer now.
    Unavailable: 503, true, "The node cannot answer now";
    /// The change is committed, but the node does not answer from it in time.
    NotServed: 504, true, "The change is committed and not served yet";
    /// It is not known whether the packet is stored.
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
        self.properties().0
    }

    /// Whether the same request may succeed when it is sent again.
    pub fn retry(self) -> bool {
        self.properties().1
    }

    /// A short summary, the same for all problems of this type.
    pub fn title(self) -> &'static str {
        self.properties().2
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
            .description(Some("The type of the problem."))
            .enum_values(Some(Self::ALL.iter().map(|known| known.uri())))
            .into()
    }
}

impl ToSchema for ProblemType {}
