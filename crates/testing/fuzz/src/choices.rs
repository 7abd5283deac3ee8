//! Bytes as choices.

/// Choices that run out into zeros.
pub(crate) struct Choices<'d> {
    left: &'d [u8],
}

impl<'d> Choices<'d> {
    pub(crate) fn new(left: &'d [u8]) -> Self {
        Self { left }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let (byte, left) = self.left.split_first().unwrap_or((&0, &[]));
        self.left = left;
        *byte
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A number below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Up to so many bytes.
    pub(crate) fn bytes(&mut self, size: usize) -> &'d [u8] {
        let (taken, left) = self.left.split_at(size.min(self.left.len()));
        self.left = left;
        taken
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Whatever was not chosen yet.
    pub(crate) fn rest(self) -> &'d [u8] {
        self.left
    }
}
