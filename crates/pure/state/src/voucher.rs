//! Vouchers: proof that a key was registered, for nodes that have not applied the registration yet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{LogIndex, NodeId};

/// The most vouchers. One is dropped when every member's checkpoint has its entry, so they add up only while
/// a member is away: as many as nodes can be registered meanwhile.
pub const VOUCHER_COUNT_MAX: usize = 1000;

/// The most vouchers in a chain: as many replacements, each made by the one before, while a member is away.
/// The receiver checks a chain before it knows who sent it.
pub const CHAIN_LEN_MAX: usize = 64;

/// A leader's statement that the cluster has registered a node: an Ed25519 signature (RFC 8032) with the
/// leader's node key. It contains no secret, and proves nothing about any other registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voucher {
    /// The registered node.
    pub member: NodeId,
    /// The entry that registered it.
    pub index: LogIndex,
    /// The leader that signed.
    pub signer: NodeId,
    /// The first half of the signature.
    pub r: [u8; 32],
    /// Its second half.
    pub s: [u8; 32],
}

/// The replicated vouchers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vouchers {
    /// Vouchers by the entry of the registration.
    pub kept: BTreeMap<LogIndex, Voucher>,
    /// Registrations up to this entry no longer need a voucher.
    pub dropped: LogIndex,
}

impl Vouchers {
    /// Adds a voucher, replacing the oldest if there are too many.
    pub(crate) fn insert(&mut self, voucher: Voucher) {
        self.kept.insert(voucher.index, voucher);
        if self.kept.len() > VOUCHER_COUNT_MAX
            && let Some((oldest, _)) = self.kept.pop_first()
        {
            self.dropped = self.dropped.max(oldest);
        }
    }

    /// Drops the vouchers of registrations up to this entry.
    pub(crate) fn drop_upto(&mut self, index: LogIndex) {
        self.kept = self.kept.split_off(&index.next());
        self.dropped = self.dropped.max(index);
    }

    /// Whether a registration by this entry has a voucher or needs none.
    pub(crate) fn covers(&self, index: LogIndex) -> bool {
        index <= self.dropped || self.kept.contains_key(&index)
    }

    /// The voucher of `node`, that of its signer, and so on. Each is of an earlier entry than the one before,
    /// so that a key registered twice cannot form a loop.
    pub fn chain(&self, node: NodeId) -> Vec<Voucher> {
        let (mut chain, mut member, mut before) = (Vec::new(), node, LogIndex(u64::MAX));
        let earlier = |member, before| {
            let mut earlier = self.kept.range(..before).rev();
            earlier.find(|(_, voucher)| voucher.member == member)
        };
        while chain.len() < CHAIN_LEN_MAX
            && let Some((index, voucher)) = earlier(member, before)
        {
            chain.push(*voucher);
            (member, before) = (voucher.signer, *index);
        }
        chain
    }
}

#[cfg(test)]
mod tests {
    use quorate_packet::PublicKey;

    use super::*;

    fn node(byte: u8) -> NodeId {
        NodeId(PublicKey::from_bytes([byte; 32]))
    }

    fn vouchers(of: &[(u64, u8, u8)]) -> Vouchers {
        let voucher = |(index, member, signer): &(u64, u8, u8)| Voucher {
            member: node(*member),
            index: LogIndex(*index),
            signer: node(*signer),
            r: [0; 32],
            s: [0; 32],
        };
        let mut vouchers = Vouchers::default();
        of.iter().for_each(|of| vouchers.insert(voucher(of)));
        vouchers
    }

    fn chain(vouchers: &Vouchers, of: u8) -> Vec<u64> {
        let chain = vouchers.chain(node(of)).into_iter();
        chain.map(|voucher| voucher.index.0).collect()
    }

    #[test]
    fn a_chain_leads_from_a_node_to_signers_that_were_registered_before() {
        // 1 registered 2 and 3; 3 registered 4, and 1 again, which had been removed.
        let vouchers = vouchers(&[(5, 2, 1), (9, 3, 1), (12, 4, 3), (20, 1, 3)]);
        assert_eq!(chain(&vouchers, 4), [12, 9]);
        assert_eq!(chain(&vouchers, 1), [20, 9]);
        assert_eq!(chain(&vouchers, 2), [5]);
        assert!(chain(&vouchers, 7).is_empty());
    }

    #[test]
    fn chains_and_vouchers_have_bounds() {
        let each_by_the_last: Vec<_> = (1..=200).map(|n| (n.into(), n, n - 1)).collect();
        let many = vouchers(&each_by_the_last);
        assert_eq!(chain(&many, 200).len(), CHAIN_LEN_MAX);
        let beyond = VOUCHER_COUNT_MAX as u64 + 1;
        let full: Vec<_> = (0..beyond).map(|index| (index, 1, 2)).collect();
        let full = vouchers(&full);
        assert_eq!(full.kept.len(), VOUCHER_COUNT_MAX);
        assert!(
            !full.kept.contains_key(&LogIndex(0)) && full.covers(LogIndex(0)),
            "the oldest went"
        );
    }
}
