//! Packets outside of a cluster: `quorate export` and `quorate import`.

mod export;
mod format;
mod import;
mod source;

pub(crate) use export::{ExportArgs, export};
pub(crate) use import::{ImportArgs, import};
