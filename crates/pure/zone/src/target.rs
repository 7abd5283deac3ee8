//! Targets: names in RDATA that are in the same zone as their record.

use quorate_packet::PublicKey;

use crate::name::{NAME_SIZE_MAX, NameRef, SourceLabels};

/// A name in RDATA that is in the zone of its record. It fits one word.
///
/// In a packet the key's zone has no origin yet. A name that ends in the bare key counts under
/// every origin of a question; a name that includes an origin counts only under that origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// The size of the labels left of the apex, in bytes.
    pub(crate) prefix_size: u8,
    /// Whether it is at or below the owner of its record.
    pub(crate) is_below_owner: bool,
    /// Whether another record of the set has the same data except that its name ends in the bare
    /// key: under the origin that this name includes, the two records are duplicates.
    pub(crate) may_be_duplicate: bool,
    /// The offset in the message of the labels after the key: the origin that the name includes.
    /// `None` if there are none.
    pub(crate) rest_at: Option<u16>,
}

/// The word of a name that is outside the zone.
pub(crate) const OUTSIDE: u32 = 0;

const INSIDE: u32 = 1;
const BELOW_OWNER: u32 = 1 << 1;
const DUPLICATE: u32 = 1 << 2;
const SIZE_SHIFT: u32 = 3;
const REST_SHIFT: u32 = SIZE_SHIFT + u8::BITS;

impl Target {
    pub(crate) fn to_word(self) -> u32 {
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let size = u32::from(self.prefix_size) << SIZE_SHIFT;
        // Offset 0 is the header, never a name.
        let rest_at = u32::from(self.rest_at.unwrap_or(0)) << REST_SHIFT;
        INSIDE
            | flag(self.is_below_owner, BELOW_OWNER)
            | flag(self.may_be_duplicate, DUPLICATE)
            | size
            | rest_at
    }

    /// Decodes a word; `None` if the name is outside the zone.
    pub(crate) fn from_word(word: u32) -> Option<Self> {
        let rest_at = (word >> REST_SHIFT) as u16;
        (word & INSIDE != 0).then_some(Self {
            prefix_size: (word >> SIZE_SHIFT) as u8,
            is_below_owner: word & BELOW_OWNER != 0,
            may_be_duplicate: word & DUPLICATE != 0,
            rest_at: (rest_at != 0).then_some(rest_at),
        })
    }

    /// The size of the labels before the apex, in bytes. `None` if the name is not in the zone of
    /// this `apex` under this `origin`, or would be too long there.
    pub(crate) fn prefix_size(self, message: &[u8], apex: &[u8], origin: &[u8]) -> Option<usize> {
        let prefix_size = usize::from(self.prefix_size);
        let is_inside = self.rest_at.is_none_or(|rest_at| {
            let rest = SourceLabels::new(message, usize::from(rest_at));
            is_name(rest, origin)
        });
        (is_inside && prefix_size + apex.len() <= NAME_SIZE_MAX).then_some(prefix_size)
    }

    /// Whether this name, which includes an origin, may equal `other`, which does not, under it.
    pub(crate) fn may_equal(self, other: Self) -> bool {
        self.rest_at.is_some() && other.rest_at.is_none() && self.prefix_size == other.prefix_size
    }
}

/// Whether `labels` and the uncompressed `name` are the same, ignoring case.
fn is_name(mut labels: SourceLabels<'_>, mut name: &[u8]) -> bool {
    loop {
        let len = usize::from(name.first().copied().unwrap_or(0));
        let Some((_, label)) = labels.next() else {
            return len == 0;
        };
        match name.get(1..1 + len) {
            Some(same) if len > 0 && label.eq_ignore_ascii_case(same) => name = &name[1 + len..],
            _ => return false,
        }
    }
}

/// The apex of the zone of some records. It decides which names are in the zone.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Apex<'a> {
    /// The zone of a key: the records come from its packet.
    Key(&'a PublicKey),
    /// The zone of an origin: the records come from configuration.
    Origin(NameRef<'a>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_holds_a_target() {
        for prefix_size in [0, 1, u8::MAX] {
            for flags in 0..4 {
                for rest_at in [None, Some(1), Some(u16::MAX)] {
                    let target = Target {
                        prefix_size,
                        is_below_owner: flags & 1 != 0,
                        may_be_duplicate: flags & 2 != 0,
                        rest_at,
                    };
                    assert_eq!(Target::from_word(target.to_word()), Some(target));
                }
            }
        }
        assert_eq!(Target::from_word(OUTSIDE), None);
    }
}
