//! The replicated state machine: what a log entry does to the packets.
//!
//! Every node applies the same entries in the same order and must come to the same packets, so
//! [`apply`] obeys three laws:
//! - **Total.** No entry makes it fail or panic; an invalid command gives [`Outcome::Rejected`]. Only the
//!   storage of packets can fail, and that is fatal to the node. One exception: a command above the feature
//!   level of this program stops the node before anything of it is applied.
//! - **Deterministic.** Time arrives only inside commands, stamped by the leader. Equal logs give
//!   equal packets, byte for byte.
//! - **Trusting.** Signatures were verified where the packet entered. Verifying again could make
//!   nodes of different versions disagree.
//!
//! # Feature levels
//! Each command has a [`Level`], which a node can decode even if it does not know the command. A cluster has
//! a level too, initially the first: `RaiseLevel` raises it when all members support the next. Until then
//! nothing above it is proposed, and all nodes reject it. So nodes of different versions can form one
//! cluster, and a node that is too old stops instead of skipping what others apply.
//! Until a version is tagged, new commands and formats belong to level 1, and an incompatible change of a
//! format gets another magic.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Command`] | a command in the log, with its encoding |
//! | [`EncodedPackets`] | packets in the encoding of a batch |
//! | [`Outcome`] | what applying it gave |
//! | [`PutBatch`] | the command that stores packets |
//! | [`StoredPackets`] | the storage of packets: memory in a node, a map in tests |
//! | [`StoredPacket`] | a packet and when the cluster last received it |
//! | [`ClusterState`] | the replicated state other than packets: [`Level`], [`Capacity`], [`ClusterId`], [`NodeRegistry`], [`ZoneState`], [`PublishState`], [`ClusterTime`], [`SecretState`] |
//! | [`ClusterTime`] | the time in the log, and its undone steps |
//! | [`NodeRegistry`] | registered nodes, removed nodes, and invites |
//! | [`Voucher`], [`Vouchers`] | proof of a registration for nodes that have not applied it yet |
//! | [`ZoneState`] | replicated DNS records |
//! | [`SecretState`] | the id of the cluster key, and the secrets that it has sealed |
//! | [`ZoneChange`] | a change of a zone |
//! | [`NamedSet::check_in`], [`check_together`], [`check_beside`] | which records a zone may have |
//! | [`Conditions`], [`BatchConditions`] | the conditions of storing a packet, and of the packets of a batch |
//! | [`PublishState`], [`PublishChange`] | the publish policy and deletions, and their changes |
//! | [`LogPosition`] | the position of an entry: term and index |

mod apply;
mod backup_record;
mod batch;
mod batch_conditions;
mod capacity;
mod cluster_id;
mod cluster_state;
mod cluster_time;
mod codec;
mod command;
mod command_encoding;
mod command_error;
mod condition;
mod cookie_secrets;
mod deletion;
mod encoded_packets;
#[cfg(test)]
mod fixture;
mod level;
mod node_id;
mod node_registry;
#[cfg(feature = "numbered-ids")]
mod numbered_id;
mod outcome;
mod position;
mod publish_change;
mod publish_state;
mod put_batch;
mod put_outcome;
mod record_set;
mod secret_state;
mod settings_change;
mod stored_packet;
mod time;
mod voucher;
mod wire_name;
mod zone_change;
mod zone_check;
mod zone_state;

pub use apply::apply;
pub use backup_record::{
    BACKUP_ERROR_SIZE_MAX, BACKUP_NAME_SIZE_MAX, BackupRecord, BackupResult, LastBackup,
    SavedBackup,
};
pub use batch::{BATCH_COUNT_MAX, BATCH_SIZE_MAX, Import, PutBatch};
pub use batch_conditions::BatchConditions;
pub use capacity::{Capacity, EVICTION_AGE_MIN, EVICTION_COUNT_MAX, Usage};
pub use cluster_id::ClusterId;
pub use cluster_state::{ClusterState, RESTORED_GRACE};
pub use cluster_time::{ClusterTime, STEP_COUNT_MAX, STEP_MIN, TICK_INTERVAL};
pub use command::{Command, EXPIRE_COUNT_MAX, Found, FoundingInvite, TIMESTAMP_AHEAD_MAX};
pub use command_error::CommandError;
pub use condition::{
    Condition, Conditions, TAG_SIGNATURE_SIZE, TooManyVersions, VERSION_COUNT_MAX, Version,
};
pub use cookie_secrets::{COOKIE_SECRET_AGE, COOKIE_SECRET_SIZE, CookieSecret, CookieSecrets};
pub use encoded_packets::EncodedPackets;
pub use level::{LEVEL_MAX, Level, UnsupportedLevel};
pub use node_id::NodeId;
pub use node_registry::{
    ADDRESS_SIZE_MAX, INVITE_COUNT_MAX, INVITE_USES_MAX, Invite, InviteId, Join, JoinRejection,
    NAME_SIZE_MAX, NodeRegistry, REGISTRATION_COUNT_MAX, REMOVED_COUNT_MAX, Registration,
};
pub use outcome::{Outcome, Rejection};
pub use position::{LogIndex, LogPosition, Term};
pub use publish_change::{CHANGED_KEY_COUNT_MAX, PublishChange, PublishRejection};
pub use publish_state::{
    DELETION_COUNT_MAX, Deletion, LISTED_KEY_COUNT_MAX, PUBLISH_TOKEN_COUNT_MAX,
    PUBLISHING_SIZE_MAX, PublishMode, PublishState, TOKEN_HASH_SIZE, TokenHash,
};
pub use put_outcome::PutOutcome;
pub use record_set::{NamedSet, RecordSet, RecordSets};
pub use secret_state::{
    KEY_ID_SIZE, KeyId, Renewal, SEALED_SIZE_MAX, SealedSecret, SecretKind, SecretRejection,
    SecretState, StoreSecret, StoredSecret, SwitchKey,
};
pub use settings_change::{COUNT_MAX_RANGE, RETENTION_SECS_RANGE, SIZE_MAX_RANGE, SettingsChange};
pub use stored_packet::{StoredPacket, StoredPackets};
pub use time::{UnixMillis, millis};
pub use voucher::{CHAIN_LEN_MAX, VOUCHER_COUNT_MAX, Voucher, Vouchers};
pub use wire_name::{WIRE_NAME_SIZE_MAX, WireName};
pub use zone_change::{CHANGE_SIZE_MAX, ZoneChange};
pub use zone_check::{
    RECORD_SET_SIZE_MAX, TTL_SECS_MAX, ZoneRejection, check_beside, check_owner, check_together,
    is_data_type,
};
pub use zone_state::{ReplicatedZone, ZONE_COUNT_MAX, ZONES_SIZE_MAX, ZoneState};
