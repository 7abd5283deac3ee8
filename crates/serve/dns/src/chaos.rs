//! The identity that a server reports in the class CH (RFC 4892).

use quorate_zone::Question;

pub(crate) const CLASS_CH: u16 = 3;

/// Questions with these types get the text.
const TYPE_TXT: u16 = 16;
const TYPE_ANY: u16 = 255;

/// The names on the wire, in lower case.
const ID_NAMES: [&[u8]; 2] = [b"\x02id\x06server\0", b"\x08hostname\x04bind\0"];
const VERSION_NAMES: [&[u8]; 2] = [b"\x07version\x06server\0", b"\x07version\x04bind\0"];

/// The name and the version that this server reports. An empty text is not reported.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity {
    /// The name of this node.
    pub(crate) id: String,
    /// The software and its version.
    pub(crate) version: String,
}

impl Identity {
    /// The text that answers a question in the class CH, if there is one.
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

    /// The text of the NSID option (RFC 5001), if it is not empty.
    pub(crate) fn nsid(&self) -> Option<&str> {
        (!self.id.is_empty()).then_some(&self.id)
    }
}
