//! Joining a cluster: what a node that nobody knows says first, and the answer.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use quorate_state::{
    ADDRESS_SIZE_MAX, ClusterId, InviteId, JoinRefusal, LogIndex, NAME_SIZE_MAX, Term,
};
use serde::{Deserialize, Serialize};

use crate::{JoinToken, NodeId};

/// What a proof is of, so that it is of nothing else.
const CONTEXT: &[u8] = b"quorate join 1";

/// What a node says first that nobody knows. It is bounded by the bounds of name and address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The invite that its token is of.
    pub invite: InviteId,
    /// What its operator calls it, or nothing.
    pub name: String,
    /// Where others reach it: a `host:port`.
    pub address: String,
    /// A signature with the key of the token, over both nodes' keys and the rest: whoever has seen
    /// it can do nothing with it.
    proof: Vec<u8>,
}

/// What is said to a node that has proved to have a token. Others get no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JoinAnswer {
    /// It is registered: the leader will reach it where it has said that it is.
    Joined(Joined),
    /// It is not.
    Refused(JoinRefusal),
    /// Nobody could register it now; it may ask again.
    Unavailable(String),
}

/// What a node learns of the cluster that it joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    pub id: ClusterId,
    /// What the member that answers has applied.
    pub index: LogIndex,
    /// The term in which it is.
    pub term: Term,
    /// All members and their addresses as of then.
    pub members: Vec<(NodeId, String)>,
}

impl JoinRequest {
    /// What `joiner` says to `member`.
    pub fn new(
        token: &JoinToken,
        joiner: NodeId,
        member: NodeId,
        name: String,
        address: String,
    ) -> Self {
        let mut request = Self {
            invite: token.invite,
            name,
            address,
            proof: Vec::new(),
        };
        let message = request.message(token.cluster, joiner, member);
        let key = SigningKey::from_bytes(&token.seed);
        request.proof = key.sign(&message).to_bytes().to_vec();
        request
    }

    /// Whether name and address fit into their bounds.
    pub fn fits(&self) -> bool {
        self.name.len() <= NAME_SIZE_MAX && self.address.len() <= ADDRESS_SIZE_MAX
    }

    /// Whether `joiner` has proved to `member` of this cluster that it has the secret of `key`.
    pub fn is_proved(
        &self,
        key: &[u8; 32],
        cluster: ClusterId,
        joiner: NodeId,
        member: NodeId,
    ) -> bool {
        let proof = Signature::from_slice(&self.proof);
        let (Ok(key), Ok(proof)) = (VerifyingKey::from_bytes(key), proof) else {
            return false;
        };
        let message = self.message(cluster, joiner, member);
        key.verify_strict(&message, &proof).is_ok()
    }

    /// What is signed: each part behind its size.
    fn message(&self, cluster: ClusterId, joiner: NodeId, member: NodeId) -> Vec<u8> {
        let parts: [&[u8]; 7] = [
            CONTEXT,
            &cluster.0,
            &self.invite.0,
            joiner.0.as_bytes(),
            member.0.as_bytes(),
            self.name.as_bytes(),
            self.address.as_bytes(),
        ];
        let mut message = Vec::new();
        for part in parts {
            message.extend_from_slice(&(part.len() as u64).to_be_bytes());
            message.extend_from_slice(part);
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use quorate_packet::PublicKey;

    use super::*;

    fn node(byte: u8) -> NodeId {
        NodeId(PublicKey::from_bytes([byte; 32]))
    }

    #[test]
    fn a_proof_is_of_one_joiner_at_one_member_of_one_cluster() {
        let token = JoinToken {
            cluster: ClusterId([1; 32]),
            invite: InviteId([2; 16]),
            seed: [3; 32],
            members: Vec::new(),
        };
        let [joiner, member] = [4, 5].map(node);
        let (name, address) = ("name".to_owned(), "here:7700".to_owned());
        let request = JoinRequest::new(&token, joiner, member, name, address);
        let key = JoinToken::public_key_of(&token.seed);
        let holds = |request: &JoinRequest, key: &[u8; 32], cluster, joiner, member| {
            request.is_proved(key, ClusterId([cluster; 32]), joiner, member)
        };
        assert!(holds(&request, &key, 1, joiner, member));
        assert!(!holds(&request, &key, 9, joiner, member));
        assert!(!holds(&request, &key, 1, member, member));
        assert!(!holds(&request, &key, 1, joiner, joiner));
        let mut other = token.clone();
        other.seed = [9; 32];
        assert!(!holds(
            &request,
            &JoinToken::public_key_of(&other.seed),
            1,
            joiner,
            member
        ));
        let changes: [fn(&mut JoinRequest); 4] = [
            |request| request.invite = InviteId([9; 16]),
            |request| request.name.push('s'),
            |request| request.address.insert(0, 't'),
            |request| request.proof.truncate(63),
        ];
        for change in changes {
            let mut changed = request.clone();
            change(&mut changed);
            assert!(!holds(&changed, &key, 1, joiner, member), "{changed:?}");
        }
    }
}
