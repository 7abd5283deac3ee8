//! Documents in the replicated secrets.

use quorate_replica::{LogIndex, SecretError, SecretKind, SecretStore};
use tracing::warn;

use crate::documents::{Document, OrderDocument};

/// The place of a document, with what this node has read there or stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slot<D> {
    pub(crate) document: Option<D>,
    /// The entry that it is from. Only the document of this entry is replaced.
    pub(crate) index: Option<LogIndex>,
}

impl<D: Document> Slot<D> {
    /// Reads the document. One that cannot be decoded counts as absent, and can be replaced.
    pub(crate) fn load(store: &dyn SecretStore) -> Result<Self, SecretError> {
        let secret = store.secret(D::KIND)?;
        let index = secret.as_ref().map(|secret| secret.index);
        let document = secret.and_then(|secret| {
            let document = serde_json::from_slice(&secret.content);
            // The text of the error could contain a part of a key.
            document.ok()
        });
        Ok(Self { document, index })
    }

    /// Whether there is one that cannot be decoded.
    pub(crate) fn is_damaged(&self) -> bool {
        self.index.is_some() && self.document.is_none()
    }

    /// Stores a document in place of the one that was read.
    pub(crate) async fn save(
        &mut self,
        store: &dyn SecretStore,
        document: D,
    ) -> Result<(), SecretError> {
        let content = serde_json::to_vec(&document);
        let content = content.map_err(|error| SecretError::Failed(error.to_string()))?;
        let index = store.store_secret(D::KIND, content, self.index).await?;
        if self.is_damaged() {
            // Not where it is read, which is each second.
            warn!(
                kind = kind_name(D::KIND),
                "a stored secret could not be decoded, and was replaced"
            );
        }
        self.index = Some(index);
        self.document = Some(document);
        Ok(())
    }
}

/// Reads the state of orders. An order whose key others may know is left out, so that whatever is stored next
/// drops it.
pub(crate) fn load_order(store: &dyn SecretStore) -> Result<Slot<OrderDocument>, SecretError> {
    let mut slot = Slot::<OrderDocument>::load(store)?;
    // A demand after this line changes the entry, so that nothing can be stored in its place.
    let is_demanded = store.renewal(SecretKind::AcmeOrder).is_some();
    if let Some(document) = &mut slot.document
        && is_demanded
    {
        document.pending = None;
    }
    Ok(slot)
}

fn kind_name(kind: SecretKind) -> &'static str {
    kind.into()
}
