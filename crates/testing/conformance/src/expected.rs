//! What a case expects of a response.

/// What a response must contain.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// The allowed response codes; empty if there must be no response.
    pub(crate) rcodes: Vec<u16>,
    pub(crate) authoritative: bool,
    pub(crate) truncated: bool,
    /// Whether there must be an OPT record. The default is whether the query had one.
    pub(crate) opt: Option<bool>,
    /// Options that must be there: code, data, and whether more data may follow.
    pub(crate) options: Vec<(u16, Vec<u8>, bool)>,
    pub(crate) absent_options: Vec<u16>,
    /// The size of the message must be a multiple of this, in bytes.
    pub(crate) size_multiple: Option<usize>,
    pub(crate) sections: [Section; 3],
}

/// The records that a section must and may have, in any order.
#[derive(Debug, Default)]
pub(crate) struct Section {
    pub(crate) required: Vec<ExpectedRecord>,
    pub(crate) optional: Vec<ExpectedRecord>,
    pub(crate) may_have_any: bool,
}

/// A record that is expected.
#[derive(Debug, Clone)]
pub(crate) struct ExpectedRecord {
    /// `None` for the name in the question.
    pub(crate) owner: Option<Vec<u8>>,
    pub(crate) ttl: Option<u32>,
    pub(crate) class: u16,
    pub(crate) record_type: u16,
    pub(crate) data: Option<Vec<u8>>,
}
