//! Where the names in RDATA lead.

use crate::name::{NAME_SIZE_MAX, NameRef, SourceLabels};

/// The bits for the size of what stands left of the apex: names have at most [`NAME_SIZE_MAX`]
/// bytes.
const SIZE_BITS: u32 = 8;

/// Where a name in RDATA leads, in one word. In a packet the key's zone has no origin yet: a name
/// that ends in the bare key is meant under whatever origin is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Out of the zone; or nobody asked.
    Outside,
    /// To the name of the `prefix_size` bytes of labels that it begins with, at the apex.
    Inside {
        prefix_size: u8,
        /// Whether it lies at or below the owner of its record.
        is_below_owner: bool,
        /// Where the rest of the name, behind the apex as it is written in the message, stands.
        /// `None` when there is none.
        rest_at: Option<u16>,
    },
}

/// The bit that tells a target inside.
const INSIDE: u32 = 1;
const BELOW_OWNER: u32 = 1 << 1;
const SIZE_SHIFT: u32 = 2;
const REST_SHIFT: u32 = SIZE_SHIFT + SIZE_BITS;

impl Target {
    pub(crate) fn to_word(self) -> u32 {
        match self {
            Self::Outside => 0,
            Self::Inside {
                prefix_size,
                is_below_owner,
                rest_at,
            } => {
                let below_owner = if is_below_owner { BELOW_OWNER } else { 0 };
                // Offset 0 is that of a header, never that of a name.
                let rest_at = u32::from(rest_at.unwrap_or(0));
                INSIDE | below_owner | u32::from(prefix_size) << SIZE_SHIFT | rest_at << REST_SHIFT
            }
        }
    }

    pub(crate) fn from_word(word: u32) -> Self {
        if word & INSIDE == 0 {
            return Self::Outside;
        }
        let rest_at = (word >> REST_SHIFT) as u16;
        Self::Inside {
            prefix_size: (word >> SIZE_SHIFT) as u8,
            is_below_owner: word & BELOW_OWNER != 0,
            rest_at: (rest_at != 0).then_some(rest_at),
        }
    }

    /// The size of the labels that stand before the apex, when the name leads into the zone of this
    /// `apex`, which stands under this `origin`. A name that would be too long there leads nowhere.
    pub(crate) fn prefix_size(self, message: &[u8], apex: &[u8], origin: &[u8]) -> Option<usize> {
        let Self::Inside {
            prefix_size,
            rest_at,
            ..
        } = self
        else {
            return None;
        };
        if let Some(rest_at) = rest_at
            && !is_name(SourceLabels::new(message, usize::from(rest_at)), origin)
        {
            return None;
        }
        let prefix_size = usize::from(prefix_size);
        (prefix_size + apex.len() <= NAME_SIZE_MAX).then_some(prefix_size)
    }

    /// Whether the name lies at or below the owner of its record, if it leads into the zone.
    pub(crate) fn is_below_owner(self) -> bool {
        matches!(
            self,
            Self::Inside {
                is_below_owner: true,
                ..
            }
        )
    }
}

/// Whether labels are those of an uncompressed name.
fn is_name(mut labels: SourceLabels<'_>, mut name: &[u8]) -> bool {
    loop {
        let len = usize::from(name.first().copied().unwrap_or(0));
        match labels.next() {
            None => return len == 0,
            Some((_, label)) => {
                let Some(same) = name.get(1..1 + len) else {
                    return false;
                };
                if len == 0 || !label.eq_ignore_ascii_case(same) {
                    return false;
                }
                name = &name[1 + len..];
            }
        }
    }
}

/// The zone that records are of, which tells the names that lie in it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Apex<'a> {
    /// That of a key, in its packet.
    Key(&'a quorate_packet::PublicKey),
    /// That of an origin, in configuration.
    Origin(NameRef<'a>),
}
