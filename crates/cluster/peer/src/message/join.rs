//! Joining a cluster: the request of an unknown node, and the answer.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use quorate_state::{
    ADDRESS_SIZE_MAX, ClusterId, InviteId, JoinRejection, LogIndex, NAME_SIZE_MAX, Term,
};
use serde::{Deserialize, Serialize};

use crate::{JoinToken, NodeId};

/// The context of a proof, so that it proves nothing else.
const CONTEXT: &[u8] = b"quorate join 1";

/// The request of an unknown node. Its size is limited by those of name and address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The invite of its token.
    pub invite: InviteId,
    /// Its name, or empty.
    pub name: String,
    /// Its address, a `host:port`.
    pub address: String,
    /// A signature with the token's key over both nodes' keys and the rest, so that nobody else can use it.
    proof: Vec<u8>,
}

/// The answer to a node that has proven a token. Others get no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JoinAnswer {
    /// It is registered: the leader will connect to its address.
    Joined(Joined),
    /// It is rejected.
    Rejected(JoinRejection),
    /// It could not be registered now and may retry.
    Unavailable(String),
}

/// What a joining node learns about the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    pub id: ClusterId,
    /// The applied index of the answering member.
    pub index: LogIndex,
    /// Its term.
    pub term: Term,
    /// All members and their addresses at that index.
    pub members: Vec<(NodeId, String)>,
}

impl JoinRequest {
    /// The request of `joiner` to `member`.
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

    /// Whether name and address are within their limits.
    pub fn fits(&self) -> bool {
        self.name.len() <= NAME_SIZE_MAX && self.address.len() <= ADDRESS_SIZE_MAX
    }

    /// Whether this proves to `member` of this cluster that `joiner` has the secret of `key`.
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

    /// The signed bytes: each part after its size.
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
