//! What a server tells of itself in the class CH (RFC 4892).

use quorate_zone::Question;

pub(crate) const CLASS_CH: u16 = 3;

/// The types whose questions get the text.
const TYPE_TXT: u16 = 16;
const TYPE_ANY: u16 = 255;

/// The names on the wire, in lower case.
const ID_NAMES: [&[u8]; 2] = [b"\x02id\x06server\0", b"\x08hostname\x04bind\0"];
const VERSION_NAMES: [&[u8]; 2] = [b"\x07version\x06server\0", b"\x07version\x04bind\0"];

/// What this server tells of itself; an empty text is told nobody.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity {
    /// The name of this node.
    pub(crate) id: String,
    /// The software and its version.
    pub(crate) version: String,
}

impl Identity {
    /// What a question in the class CH is answered, if it is.
    pub(crate) fn text(&self, question: &Question<'_>) -> Option<&str> {
        if !matches!(question.record_type(), TYPE_TXT | TYPE_ANY) {
            return None;
        }
        let is_one_of = |names: &[&[u8]]| {
            let mut names = names.iter();
            names.any(|name| question.name().eq_ignore_ascii_case(name))
        };
        let text = match () {
            () if is_one_of(&ID_NAMES) => &self.id,
            () if is_one_of(&VERSION_NAMES) => &self.version,
            () => return None,
        };
        (!text.is_empty()).then_some(text)
    }

    /// What a query for the name of this server is answered (RFC 5001).
    pub(crate) fn nsid(&self) -> Option<&str> {
        (!self.id.is_empty()).then_some(&self.id)
    }
}
