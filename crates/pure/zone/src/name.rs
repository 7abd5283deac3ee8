//! Names on the wire.

/// The longest name on the wire, in bytes (RFC 1035, section 2.3.4).
pub(crate) const NAME_SIZE_MAX: usize = 255;

/// The largest number of labels in a name, without the root label: each takes at least two bytes.
pub(crate) const LABEL_COUNT_MAX: usize = (NAME_SIZE_MAX - 1) / 2;

/// The longest label, in bytes.
const LABEL_SIZE_MAX: u8 = 63;

/// The offsets of the labels of an uncompressed name, from the left, without the root label.
#[derive(Debug, Clone)]
pub(crate) struct Labels {
    offsets: [u8; LABEL_COUNT_MAX],
    count: u8,
    /// The size of the name, in bytes, with the root label.
    size: u8,
}

impl Labels {
    /// Finds the labels of the name at the start of `bytes`. `None` if it is compressed or invalid.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut offsets = [0; LABEL_COUNT_MAX];
        let mut count = 0;
        let mut at = 0;
        loop {
            let len = *bytes.get(at)?;
            // A name ends within 255 bytes, so every offset fits a byte.
            let offset = u8::try_from(at).ok()?;
            if len == 0 {
                let size = offset.checked_add(1)?;
                return Some(Self {
                    offsets,
                    count,
                    size,
                });
            }
            if len > LABEL_SIZE_MAX {
                return None;
            }
            *offsets.get_mut(usize::from(count))? = offset;
            count += 1;
            at += 1 + usize::from(len);
        }
    }

    /// The size of the name, in bytes.
    pub(crate) fn size(&self) -> usize {
        usize::from(self.size)
    }
}

/// An uncompressed name and the offsets of its labels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NameRef<'n> {
    pub(crate) bytes: &'n [u8],
    offsets: &'n [u8],
}

impl<'n> NameRef<'n> {
    /// The name at the start of `bytes`, which `labels` were parsed from.
    pub(crate) fn new(bytes: &'n [u8], labels: &'n Labels) -> Self {
        Self {
            bytes: &bytes[..labels.size()],
            offsets: &labels.offsets[..usize::from(labels.count)],
        }
    }

    pub(crate) fn label_count(&self) -> usize {
        self.offsets.len()
    }

    /// The label at this index from the right, without its length byte and without the root.
    pub(crate) fn label_from_right(&self, index: usize) -> Option<&'n [u8]> {
        let at = self.offsets.len().checked_sub(index + 1)?;
        let at = usize::from(self.offsets[at]);
        let len = usize::from(self.bytes[at]);
        Some(&self.bytes[at + 1..][..len])
    }

    /// The offset of the last `label_count` labels, in bytes from the start of the name.
    pub(crate) fn suffix_offset(&self, label_count: usize) -> usize {
        match self.offsets.len().checked_sub(label_count) {
            Some(at) if label_count > 0 => usize::from(self.offsets[at]),
            _ => self.bytes.len() - 1,
        }
    }

    /// The last `label_count` labels as a name. The name must have that many.
    pub(crate) fn suffix(&self, label_count: usize) -> &'n [u8] {
        &self.bytes[self.suffix_offset(label_count)..]
    }

    /// Whether the name is at or below `zone`, which has `label_count` labels.
    pub(crate) fn is_within(&self, zone: &[u8], label_count: usize) -> bool {
        self.label_count() >= label_count && self.suffix(label_count).eq_ignore_ascii_case(zone)
    }

    pub(crate) fn is_same(&self, other: NameRef<'_>) -> bool {
        self.bytes.eq_ignore_ascii_case(other.bytes)
    }
}

/// A name that is not part of a message: the target of an alias under the origin of the question.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    bytes: [u8; NAME_SIZE_MAX],
    labels: Labels,
}

impl Name {
    /// Joins `pieces` into one name. `None` if the result is too long.
    pub(crate) fn from_pieces<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Option<Self> {
        let mut bytes = [0; NAME_SIZE_MAX];
        let mut size = 0;
        for piece in pieces {
            bytes
                .get_mut(size..size + piece.len())?
                .copy_from_slice(piece);
            size += piece.len();
        }
        let labels = Labels::parse(&bytes[..size])?;
        Some(Self { bytes, labels })
    }

    pub(crate) fn as_ref(&self) -> NameRef<'_> {
        NameRef::new(&self.bytes, &self.labels)
    }
}

/// The labels of a name in a message, from the left: the offset of each, and its bytes without the
/// length. Pointers are followed (RFC 1035, section 4.1.4). The name must have been
/// [checked](check), or the labels end early.
#[derive(Debug, Clone)]
pub(crate) struct SourceLabels<'m> {
    message: &'m [u8],
    /// The offset of the next label.
    pub(crate) at: usize,
}

impl<'m> SourceLabels<'m> {
    pub(crate) fn new(message: &'m [u8], at: usize) -> Self {
        Self { message, at }
    }

    /// Whether both are the same name, ignoring case.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let (mut labels, mut others) = (self.clone(), other.clone());
        loop {
            match (labels.next(), others.next()) {
                (None, None) => return true,
                // Labels at the same offset are the same, and so is the rest of both names.
                (Some((a, _)), Some((b, _))) if a == b => return true,
                (Some((_, a)), Some((_, b))) if a.eq_ignore_ascii_case(b) => {}
                _ => return false,
            }
        }
    }
}

impl<'m> Iterator for SourceLabels<'m> {
    type Item = (usize, &'m [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        #[cfg(test)]
        crate::work_fixture::step();
        let mut len = *self.message.get(self.at)?;
        while len >= POINTER {
            let target = pointer_target(self.message, self.at)?;
            if target >= self.at {
                return None;
            }
            self.at = target;
            len = *self.message.get(self.at)?;
        }
        if len == 0 {
            return None;
        }
        let at = self.at;
        let label = self.message.get(at + 1..)?.get(..usize::from(len))?;
        self.at += 1 + usize::from(len);
        Some((at, label))
    }
}

/// The contiguous pieces of a name in a message: at most one more than it has pointers. The root
/// label is left out, and so is the rest after `size_max` bytes, which must end at a label.
#[derive(Debug, Clone)]
pub(crate) struct SourcePieces<'m> {
    message: &'m [u8],
    at: usize,
    size_left: usize,
}

impl<'m> SourcePieces<'m> {
    pub(crate) fn new(message: &'m [u8], at: usize, size_max: usize) -> Self {
        Self {
            message,
            at,
            size_left: size_max,
        }
    }
}

impl<'m> Iterator for SourcePieces<'m> {
    type Item = &'m [u8];

    fn next(&mut self) -> Option<Self::Item> {
        // `SourceLabels` follows the pointers.
        let mut labels = SourceLabels::new(self.message, self.at);
        if self.size_left == 0 {
            return None;
        }
        let (start, label) = labels.next()?;
        let mut end = start + 1 + label.len();
        while end - start < self.size_left
            && let Some(len @ 1..POINTER) = self.message.get(end).copied()
        {
            #[cfg(test)]
            crate::work_fixture::step();
            end += 1 + usize::from(len);
        }
        self.at = end;
        let piece = self.message.get(start..end)?;
        self.size_left = self.size_left.saturating_sub(piece.len());
        Some(piece)
    }
}

/// The two high bits that distinguish a pointer from the length of a label.
pub(crate) const POINTER: u8 = 0xc0;

/// The offset that the pointer at `at` refers to.
fn pointer_target(message: &[u8], at: usize) -> Option<usize> {
    let high = usize::from(*message.get(at)? & !POINTER);
    let low = usize::from(*message.get(at + 1)?);
    Some(high << 8 | low)
}

/// A name in a message that [`check`] found well-formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CheckedName {
    /// The offset after its last byte in index: after the root label, or after the first pointer.
    pub(crate) end: usize,
    /// Its size without pointers, in bytes.
    pub(crate) size: usize,
}

/// Checks the name at this offset: `None` if it is malformed, too long, or has a pointer that does
/// not lead backwards. So pointers never form a circle.
pub(crate) fn check(message: &[u8], start: usize) -> Option<CheckedName> {
    let mut at = start;
    let mut piece_start = start;
    let mut end = None;
    let mut size = 1;
    loop {
        match *message.get(at)? {
            0 => {
                let end = end.unwrap_or(at + 1);
                return Some(CheckedName { end, size });
            }
            len @ 1..=LABEL_SIZE_MAX => {
                size += 1 + usize::from(len);
                at += 1 + usize::from(len);
                if size > NAME_SIZE_MAX {
                    return None;
                }
            }
            POINTER.. => {
                let target = pointer_target(message, at)?;
                end = end.or(Some(at + 2));
                if target >= piece_start {
                    return None;
                }
                (at, piece_start) = (target, target);
            }
            _ => return None,
        }
    }
}

/// The offset after a [checked](check) name in index.
pub(crate) fn end_in_place(message: &[u8], mut at: usize) -> usize {
    loop {
        match message.get(at).copied() {
            Some(len @ 1..POINTER) => at += 1 + usize::from(len),
            Some(POINTER..) => return at + 2,
            _ => return at + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_point_backwards_only() {
        let message = b"\x01a\0\x01b\xc0\x00\xc0\x03\xc0\x09\xc0\x0d\x01c\xc0\x0b";
        let size_at = |at| check(message, at).map(|checked| checked.size);
        assert_eq!(size_at(0), Some(3));
        assert_eq!(size_at(3), Some(5));
        assert_eq!(size_at(7), Some(5), "a pointer to a name with a pointer");
        assert_eq!(size_at(9), None, "to itself");
        assert_eq!(size_at(11), None, "forwards");
        assert_eq!(size_at(13), None, "to what leads forwards");
        assert_eq!(check(message, 3).unwrap().end, 7);
    }

    #[test]
    fn a_name_has_255_bytes_at_most() {
        let mut message = Vec::new();
        for _ in 0..127 {
            message.extend_from_slice(b"\x01x");
        }
        message.push(0);
        assert_eq!(check(&message, 0).unwrap().size, 255);
        assert_eq!(Labels::parse(&message).unwrap().size(), 255);
        let longer = [&b"\x01x"[..], &message].concat();
        assert_eq!(check(&longer, 0), None);
        assert!(Labels::parse(&longer).is_none());
        let pointer = [&message[..], b"\x01x\xc0\x00"].concat();
        assert_eq!(check(&pointer, 255), None);
    }
}
