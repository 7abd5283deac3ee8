//! Where the names in RDATA lead.

use quorate_packet::PublicKey;

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
        /// Whether another record of the set has the same data but for this name, which ends in the
        /// bare key there: under the origin that this one has written out they are one.
        is_twin: bool,
        /// Where the rest of the name, behind the apex as it is written in the message, stands.
        /// `None` when there is none.
        rest_at: Option<u16>,
    },
}

/// The bit that tells a target inside.
const INSIDE: u32 = 1;
const BELOW_OWNER: u32 = 1 << 1;
const TWIN: u32 = 1 << 2;
const SIZE_SHIFT: u32 = 3;
const REST_SHIFT: u32 = SIZE_SHIFT + SIZE_BITS;

impl Target {
    pub(crate) fn to_word(self) -> u32 {
        match self {
            Self::Outside => 0,
            Self::Inside {
                prefix_size,
                is_below_owner,
                is_twin,
                rest_at,
            } => {
                let below_owner = if is_below_owner { BELOW_OWNER } else { 0 };
                let twin = if is_twin { TWIN } else { 0 };
                let size = u32::from(prefix_size) << SIZE_SHIFT;
                // Offset 0 is that of a header, never that of a name.
                let rest_at = u32::from(rest_at.unwrap_or(0)) << REST_SHIFT;
                INSIDE | below_owner | twin | size | rest_at
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
            is_twin: word & TWIN != 0,
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
    /// The size of the labels left of the apex, in bytes.
    pub(crate) fn prefix_label_size(self) -> usize {
        match self {
            Self::Inside { prefix_size, .. } => usize::from(prefix_size),
            Self::Outside => 0,
        }
    }

    /// Whether it may be the same as that of another record.
    pub(crate) fn is_twin(self) -> bool {
        matches!(self, Self::Inside { is_twin: true, .. })
    }

    /// The same as a twin of another record's, which is not.
    pub(crate) fn into_twin(self) -> Self {
        match self {
            Self::Inside {
                prefix_size,
                is_below_owner,
                rest_at,
                ..
            } => Self::Inside {
                prefix_size,
                is_below_owner,
                is_twin: true,
                rest_at,
            },
            Self::Outside => self,
        }
    }

    /// Whether the name is the same as another under the origin that it has written out and the
    /// other has not.
    pub(crate) fn is_same_under_origin(self, other: Self) -> bool {
        let of = |target: Self| match target {
            Self::Inside {
                prefix_size,
                rest_at,
                ..
            } => Some((prefix_size, rest_at.is_some())),
            Self::Outside => None,
        };
        match (of(self), of(other)) {
            (Some((size, true)), Some((of_other, false))) => size == of_other,
            _ => false,
        }
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
    Key(&'a PublicKey),
    /// That of an origin, in configuration.
    Origin(NameRef<'a>),
}
