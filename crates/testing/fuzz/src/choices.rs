//! Turns fuzzed bytes into choices.

/// Choices read from bytes. After the last byte all choices are zero.
pub(crate) struct Choices<'d> {
    rest: &'d [u8],
}

impl<'d> Choices<'d> {
    pub(crate) fn new(bytes: &'d [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let (byte, rest) = self.rest.split_first().unwrap_or((&0, &[]));
        self.rest = rest;
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

    /// Up to `size` bytes.
    pub(crate) fn bytes(&mut self, size: usize) -> &'d [u8] {
        let (bytes, rest) = self.rest.split_at(size.min(self.rest.len()));
        self.rest = rest;
        bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The remaining bytes.
    pub(crate) fn rest(self) -> &'d [u8] {
        self.rest
    }
}
