//! A cluster key, and what it seals.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};
use quorate_state::{KEY_ID_SIZE, KeyId, SealedSecret, SecretKind, UnixMillis};
use serde::{Deserialize, Serialize};

/// The size of a key, in bytes.
pub const CLUSTER_KEY_SIZE: usize = 32;

/// What a key id is the hash of, with the key. So it is of no use for anything else.
const ID_CONTEXT: &[u8] = b"quorate cluster key 1";

/// What is bound into each seal, with the key id and the kind of the secret.
const SEAL_CONTEXT: &[u8] = b"quorate secret 1";

/// A key of a cluster: 32 random bytes. Nothing prints it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterKey([u8; CLUSTER_KEY_SIZE]);

/// Shows the id, and hides the key.
impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterKey({})", self.id())
    }
}

/// The system returned no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system returned no random bytes")]
pub struct NoRandomBytes;

/// The bytes were not sealed by this key for this kind of secret, or were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cluster key {0} does not open this secret")]
pub struct NotOpened(pub KeyId);

impl ClusterKey {
    /// A new key, of the system's random bytes.
    pub fn generate() -> Result<Self, NoRandomBytes> {
        random().map(Self)
    }

    /// The key with these bytes.
    pub fn from_bytes(bytes: [u8; CLUSTER_KEY_SIZE]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; CLUSTER_KEY_SIZE] {
        &self.0
    }

    /// Its id: the start of a hash, which does not reveal the key.
    pub fn id(&self) -> KeyId {
        let hash = digest(&SHA256, &[ID_CONTEXT, &self.0].concat());
        let mut id = [0; KEY_ID_SIZE];
        id.copy_from_slice(&hash.as_ref()[..KEY_ID_SIZE]);
        KeyId(id)
    }

    /// Seals a secret by AES-256-GCM (NIST SP 800-38D): a random nonce, then the sealed bytes with their tag.
    /// Random nonces are safe for 2³² secrets by one key, and a cluster seals a few each day.
    pub fn seal(
        &self,
        kind: SecretKind,
        content: &[u8],
        made: UnixMillis,
    ) -> Result<SealedSecret, NoRandomBytes> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut sealed = content.to_vec();
        let bound = Aad::from(self.bound(kind));
        let at = Nonce::assume_unique_for_key(nonce);
        let sealing = self.aead().seal_in_place_append_tag(at, bound, &mut sealed);
        sealing.expect("a secret is much smaller than what the algorithm can seal");
        Ok(SealedSecret {
            key: self.id(),
            bytes: [&nonce[..], &sealed].concat().into(),
            made,
        })
    }

    /// Opens a secret that this key has sealed.
    pub fn open(&self, kind: SecretKind, sealed: &SealedSecret) -> Result<Vec<u8>, NotOpened> {
        let error = NotOpened(self.id());
        let (nonce, bytes) = sealed.bytes.split_first_chunk().ok_or(error)?;
        let nonce: &[u8; NONCE_LEN] = nonce;
        let mut bytes = bytes.to_vec();
        let bound = Aad::from(self.bound(kind));
        let at = Nonce::assume_unique_for_key(*nonce);
        let opened = self.aead().open_in_place(at, bound, &mut bytes);
        Ok(opened.map_err(|_| error)?.to_vec())
    }

    fn aead(&self) -> LessSafeKey {
        let key = UnboundKey::new(&AES_256_GCM, &self.0);
        LessSafeKey::new(key.expect("the algorithm has keys of this size"))
    }

    /// A seal is of one key, for one kind of secret.
    fn bound(&self, kind: SecretKind) -> Vec<u8> {
        let kind: &str = kind.into();
        [SEAL_CONTEXT, &self.id().0, kind.as_bytes()].concat()
    }
}

fn random<const SIZE: usize>() -> Result<[u8; SIZE], NoRandomBytes> {
    let mut bytes = [0; SIZE];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map(|()| bytes).map_err(|_| NoRandomBytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: UnixMillis = UnixMillis(5);

    #[test]
    fn a_secret_is_opened_as_it_was_sealed_and_each_seal_is_another() {
        let key = ClusterKey::generate().unwrap();
        let [first, second] =
            [(); 2].map(|()| key.seal(SecretKind::Certificate, b"content", MADE).unwrap());
        assert_ne!(first.bytes, second.bytes);
        assert_eq!((first.key, first.made), (key.id(), MADE));
        for sealed in [first, second] {
            assert!(!sealed.bytes.windows(7).any(|bytes| bytes == b"content"));
            let opened = key.open(SecretKind::Certificate, &sealed);
            assert_eq!(opened.unwrap(), b"content");
        }
    }

    #[test]
    fn a_seal_is_of_one_key_for_one_kind_and_not_of_changed_bytes() {
        let key = ClusterKey::generate().unwrap();
        let sealed = key.seal(SecretKind::Certificate, b"content", MADE).unwrap();
        let other = ClusterKey::generate().unwrap();
        let not_opened = other.open(SecretKind::Certificate, &sealed);
        assert_eq!(not_opened, Err(NotOpened(other.id())));
        assert!(key.open(SecretKind::AcmeAccount, &sealed).is_err());
        for at in 0..sealed.bytes.len() {
            let mut bytes = sealed.bytes.to_vec();
            bytes[at] ^= 1;
            let changed = SealedSecret {
                bytes: bytes.into(),
                ..sealed.clone()
            };
            assert!(key.open(SecretKind::Certificate, &changed).is_err(), "{at}");
        }
        for size in 0..sealed.bytes.len() {
            let cut = SealedSecret {
                bytes: sealed.bytes.slice(..size),
                ..sealed.clone()
            };
            assert!(key.open(SecretKind::Certificate, &cut).is_err(), "{size}");
        }
    }

    #[test]
    fn an_id_is_of_its_key_and_does_not_show_it() {
        let key = ClusterKey::from_bytes([0xab; _]);
        assert_eq!(key.id(), ClusterKey::from_bytes([0xab; _]).id());
        assert_ne!(key.id(), ClusterKey::from_bytes([0xac; _]).id());
        assert!(!format!("{key:?}").contains("abab"));
    }
}
