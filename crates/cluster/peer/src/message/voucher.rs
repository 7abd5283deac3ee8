//! Signs vouchers, and checks chains of them.

use ed25519_dalek::{Signature, VerifyingKey};
use quorate_state::{CHAIN_LEN_MAX, ClusterId, LogIndex, Voucher};

use crate::{Identity, NodeId};

/// The prefix of the signed bytes, so that a signature of something else is never a voucher.
const CONTEXT: &[u8] = b"quorate voucher 1";

/// Signs, as the leader, that the entry at `index` has registered `member` in this cluster.
pub fn vouch(leader: &Identity, cluster: ClusterId, member: NodeId, index: LogIndex) -> Voucher {
    let signature = leader.sign(&message(cluster, member, index));
    Voucher {
        member,
        index,
        signer: NodeId(leader.public_key()),
        r: *signature.r_bytes(),
        s: *signature.s_bytes(),
    }
}

/// Whether `chain` proves to a node that `peer` was registered in its cluster after the entry that
/// it has `applied`: each voucher is about the signer of the one before, up to a signer that the
/// node lists. A voucher of an entry that the node has applied proves nothing: its own registry
/// decides then.
pub fn is_vouched_for(
    peer: NodeId,
    chain: &[Voucher],
    cluster: ClusterId,
    applied: LogIndex,
    lists: impl Fn(NodeId) -> bool,
) -> bool {
    let (mut member, mut before) = (peer, LogIndex(u64::MAX));
    for (place, voucher) in chain.iter().take(CHAIN_LEN_MAX).enumerate() {
        if voucher.member != member || !(applied < voucher.index && voucher.index < before) {
            return false;
        }
        if lists(voucher.signer) {
            // From the trusted end: a chain that a stranger made then costs one check.
            let mut signed = chain[..=place].iter().rev();
            return signed.all(|voucher| is_genuine(voucher, cluster));
        }
        (member, before) = (voucher.signer, voucher.index);
    }
    false
}

fn is_genuine(voucher: &Voucher, cluster: ClusterId) -> bool {
    let message = message(cluster, voucher.member, voucher.index);
    let signature = Signature::from_components(voucher.r, voucher.s);
    let key = VerifyingKey::from_bytes(voucher.signer.0.as_bytes());
    key.is_ok_and(|key| key.verify_strict(&message, &signature).is_ok())
}

/// The signed bytes. Each part has a fixed size.
fn message(cluster: ClusterId, member: NodeId, index: LogIndex) -> Vec<u8> {
    let index = index.0.to_be_bytes();
    [CONTEXT, &cluster.0, member.0.as_bytes(), &index].concat()
}

#[cfg(test)]
mod tests {
    use crate::test_home::{HOME, id, identity};

    use super::*;

    const OLD: u8 = 10;

    /// Member, entry, signer.
    type Link = (u8, u64, u8);

    /// A voucher of each of these members, by its signer, at its index.
    fn chain(of: &[Link]) -> Vec<Voucher> {
        let voucher = |(member, index, signer): &Link| {
            vouch(&identity(*signer), HOME, id(*member), LogIndex(*index))
        };
        of.iter().map(voucher).collect()
    }

    /// Whether a node that lists node `OLD` and has applied entry 10 accepts node 1 as a member.
    fn is_accepted(chain: &[Voucher]) -> bool {
        is_vouched_for(id(1), chain, HOME, LogIndex(10), |peer| peer == id(OLD))
    }

    #[test]
    fn a_chain_is_walked_to_a_signer_that_is_listed() {
        assert!(is_accepted(&chain(&[(1, 11, OLD)])));
        let longer = chain(&[(1, 40, 2), (2, 30, 3), (3, 20, OLD)]);
        assert!(is_accepted(&longer));
        let behind = chain(&[(1, 40, OLD), (OLD, 30, 2)]);
        assert!(
            is_accepted(&behind),
            "vouchers after the listed one are ignored"
        );
    }

    #[test]
    fn what_proves_nothing_is_not_accepted() {
        let cases: [(&str, &[Link]); 7] = [
            ("no voucher", &[]),
            ("one by itself", &[(1, 11, 1)]),
            ("one by a stranger", &[(1, 11, 2)]),
            ("an entry that was applied", &[(1, 10, OLD)]),
            (
                "a signer who was registered later",
                &[(1, 20, 2), (2, 30, OLD)],
            ),
            ("a gap", &[(1, 40, 2), (3, 20, OLD)]),
            ("another's", &[(2, 20, OLD)]),
        ];
        for (what, of) in cases {
            assert!(!is_accepted(&chain(of)), "{what}");
        }
    }

    #[test]
    fn a_voucher_is_of_one_node_one_entry_and_one_cluster() {
        let genuine = vouch(&identity(OLD), HOME, id(1), LogIndex(11));
        let elsewhere = vouch(&identity(OLD), ClusterId([9; 32]), id(1), LogIndex(11));
        assert!(!is_accepted(&[elsewhere]));
        let changes: [fn(&mut Voucher); 3] = [
            |voucher| voucher.index = LogIndex(12),
            |voucher| voucher.r[0] ^= 1,
            |voucher| voucher.s[0] ^= 1,
        ];
        for change in changes {
            let mut changed = genuine;
            change(&mut changed);
            assert!(!is_accepted(&[changed]), "{changed:?}");
        }
        assert!(is_accepted(&[genuine]));
    }

    #[test]
    fn a_chain_has_a_bound() {
        let of = |len: u8| {
            let mut of: Vec<_> = (1..=len).map(|n| (n, 300 - u64::from(n), n + 1)).collect();
            of.last_mut().expect("it is not empty").2 = 200;
            chain(&of)
        };
        let lists = |peer| peer == id(200);
        let accepts = |chain: &[Voucher]| is_vouched_for(id(1), chain, HOME, LogIndex(10), lists);
        assert!(accepts(&of(CHAIN_LEN_MAX as u8)));
        assert!(!accepts(&of(CHAIN_LEN_MAX as u8 + 1)));
    }
}
