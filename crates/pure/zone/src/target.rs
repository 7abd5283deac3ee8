//! Where the names in RDATA lead.

use quorate_packet::PublicKey;

use crate::name::{NAME_SIZE_MAX, NameRef, SourceLabels};

/// A name in RDATA that leads into the zone of its record. It fits one word.
///
/// In a packet the key's zone has no origin yet: a name that ends in the bare key is meant under
/// whatever origin is asked, and one that has an origin written out under that alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// The size of the labels left of the apex, in bytes.
    pub(crate) prefix_size: u8,
    /// Whether it lies at or below the owner of its record.
    pub(crate) is_below_owner: bool,
    /// Whether another record of the set has the same data but for this name, which ends in the
    /// bare key there: under the origin that this one has written out they are one.
    pub(crate) is_twin: bool,
    /// Where in the message the rest of the name stands, behind the apex as it is written there.
    /// `None` when there is none.
    pub(crate) rest_at: Option<u16>,
}

/// The word of a name that leads out of the zone.
pub(crate) const OUTSIDE: u32 = 0;

const INSIDE: u32 = 1;
const BELOW_OWNER: u32 = 1 << 1;
const TWIN: u32 = 1 << 2;
const SIZE_SHIFT: u32 = 3;
const REST_SHIFT: u32 = SIZE_SHIFT + u8::BITS;

impl Target {
    pub(crate) fn to_word(self) -> u32 {
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let size = u32::from(self.prefix_size) << SIZE_SHIFT;
        // Offset 0 is that of a header, never that of a name.
        let rest_at = u32::from(self.rest_at.unwrap_or(0)) << REST_SHIFT;
        INSIDE | flag(self.is_below_owner, BELOW_OWNER) | flag(self.is_twin, TWIN) | size | rest_at
    }

    /// The target of a word; `None` when it is that of no target.
    pub(crate) fn from_word(word: u32) -> Option<Self> {
        let rest_at = (word >> REST_SHIFT) as u16;
        (word & INSIDE != 0).then_some(Self {
            prefix_size: (word >> SIZE_SHIFT) as u8,
            is_below_owner: word & BELOW_OWNER != 0,
            is_twin: word & TWIN != 0,
            rest_at: (rest_at != 0).then_some(rest_at),
        })
    }

    /// The size of the labels that stand before the apex, in bytes, when the name leads into the
    /// zone of this `apex` under this `origin`. A name that would be too long there leads nowhere.
    pub(crate) fn prefix_size(self, message: &[u8], apex: &[u8], origin: &[u8]) -> Option<usize> {
        let prefix_size = usize::from(self.prefix_size);
        let is_inside = self.rest_at.is_none_or(|rest_at| {
            let rest = SourceLabels::new(message, usize::from(rest_at));
            is_name(rest, origin)
        });
        (is_inside && prefix_size + apex.len() <= NAME_SIZE_MAX).then_some(prefix_size)
    }

    /// Whether it may be the same as another target under the origin that it has written out and the
    /// other has not.
    pub(crate) fn may_be_twin_of(self, other: Self) -> bool {
        self.rest_at.is_some() && other.rest_at.is_none() && self.prefix_size == other.prefix_size
    }
}

/// Whether labels are those of an uncompressed name.
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

/// The zone that records are of, which tells the names that lie in it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Apex<'a> {
    /// That of a key, in its packet.
    Key(&'a PublicKey),
    /// That of an origin, in configuration.
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
                        is_twin: flags & 2 != 0,
                        rest_at,
                    };
                    assert_eq!(Target::from_word(target.to_word()), Some(target));
                }
            }
        }
        assert_eq!(Target::from_word(OUTSIDE), None);
    }
}
