//! What a case expects of a response.

/// What a response must say.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// Any of these response codes; none if there must be no response.
    pub(crate) rcodes: Vec<u16>,
    pub(crate) authoritative: bool,
    pub(crate) truncated: bool,
    /// Whether there is an OPT record; by default, if the query had one.
    pub(crate) opt: Option<bool>,
    /// Code, data, and whether more data may follow.
    pub(crate) options: Vec<(u16, Vec<u8>, bool)>,
    pub(crate) absent_options: Vec<u16>,
    /// What the size of the message is a multiple of, in bytes.
    pub(crate) size_multiple: Option<usize>,
    pub(crate) sections: [Section; 3],
}

/// What a section must and may hold, in any order.
#[derive(Debug, Default)]
pub(crate) struct Section {
    pub(crate) must: Vec<ExpectedRecord>,
    pub(crate) may: Vec<ExpectedRecord>,
    pub(crate) may_be_anything: bool,
}

/// A record that is expected.
#[derive(Debug, Clone)]
pub(crate) struct ExpectedRecord {
    /// `None` for the name that was asked.
    pub(crate) owner: Option<Vec<u8>>,
    pub(crate) ttl: Option<u32>,
    pub(crate) class: u16,
    pub(crate) record_type: u16,
    pub(crate) data: Option<Vec<u8>>,
}
