//! Public keys in z-base-32.

use std::{fmt, str::FromStr, sync::LazyLock};

use data_encoding::{Encoding, Specification};
use ed25519_dalek::VerifyingKey;

/// Size of an Ed25519 public key, in bytes.
pub const PUBLIC_KEY_SIZE: usize = 32;

/// Length of a public key in z-base-32, in characters: 52 × 5 bits, of which the last 4 are unused.
pub const Z32_LEN: usize = 52;

/// z-base-32 without padding. Upper case is read as lower case, because DNS names are
/// case-insensitive (RFC 4343). The 4 bits after the key are ignored, as in every pkarr program.
static Z_BASE_32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification
        .symbols
        .push_str("ybndrfg8ejkmcpqxot1uwisza345h769");
    specification.check_trailing_bits = false;
    specification
        .translate
        .from
        .push_str("YBNDRFGEJKMCPQXOTUWISZAH");
    specification
        .translate
        .to
        .push_str("ybndrfgejkmcpqxotuwiszah");
    specification
        .encoding()
        .expect("the alphabet has 32 distinct symbols")
});

/// The y of every point of small order in every encoding, without the sign of x, as two halves in
/// little-endian order. The points have the orders 1 (y = 1), 2 (-1), 4 (0) and 8; 0 and 1 can also be
/// encoded as p and p + 1.
const SMALL_ORDER_YS: [[u128; 2]; 7] = [
    [0, 0],
    [1, 0],
    [
        0xf098eff2_89f4c345_b027b2c2_8f95e826,
        0x05fc536d_880238b1_3933c6d3_05acdfd5,
    ],
    [
        0x0f67100d_760b3cba_4fd84d3d_706a17c7,
        0x7a03ac92_77fdc74e_c6cc392c_fa53202a,
    ],
    [
        0xffffffff_ffffffff_ffffffff_ffffffec,
        0x7fffffff_ffffffff_ffffffff_ffffffff,
    ],
    [
        0xffffffff_ffffffff_ffffffff_ffffffed,
        0x7fffffff_ffffffff_ffffffff_ffffffff,
    ],
    [
        0xffffffff_ffffffff_ffffffff_ffffffee,
        0x7fffffff_ffffffff_ffffffff_ffffffff,
    ],
];

/// All bits of the higher half but the sign of x.
const SIGN_MASK: u128 = u128::MAX >> 1;

/// An Ed25519 public key (RFC 8032): the name of an endpoint or of a node.
/// Any 32 bytes are accepted. [`validate`](Self::validate) checks whether a signer can own the key;
/// [`SignedPacket::parse`](crate::SignedPacket::parse) does so on its own.
/// Sixteen strings of 52 characters encode each key. Parsing accepts all of them, and `Display` writes the
/// one that ends in zero bits, so equal keys are equal values in any spelling.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; PUBLIC_KEY_SIZE]);

impl PublicKey {
    /// The key of these bytes.
    pub const fn from_bytes(bytes: [u8; PUBLIC_KEY_SIZE]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the key.
    pub const fn as_bytes(&self) -> &[u8; PUBLIC_KEY_SIZE] {
        &self.0
    }

    /// Parses z-base-32 in either case.
    pub fn parse_z32(z32: &[u8]) -> Result<Self, KeyError> {
        if z32.len() != Z32_LEN {
            return Err(KeyError::Length(z32.len()));
        }
        // One byte more than a key, for the 4 unused bits.
        let mut bytes = [0; PUBLIC_KEY_SIZE + 1];
        let len = Z_BASE_32
            .decode_mut(z32, &mut bytes[..PUBLIC_KEY_SIZE])
            .map_err(|partial| KeyError::Symbol(partial.error.position))?;
        debug_assert_eq!(len, PUBLIC_KEY_SIZE);
        let mut key = [0; PUBLIC_KEY_SIZE];
        key.copy_from_slice(&bytes[..PUBLIC_KEY_SIZE]);
        Ok(Self(key))
    }

    /// Fails unless exactly one signer can own this key: it must be a point on the curve (RFC 8032, section
    /// 5.1.3), and not one of small order.
    pub fn validate(&self) -> Result<(), InvalidKeyError> {
        match VerifyingKey::from_bytes(&self.0) {
            Err(_) => Err(InvalidKeyError::NotOnCurve(*self)),
            Ok(_) if self.has_small_order() => Err(InvalidKeyError::Weak(*self)),
            Ok(_) => Ok(()),
        }
    }

    /// Whether this encodes a point of small order, in any of its encodings.
    pub(crate) fn has_small_order(&self) -> bool {
        let (low, high) = self.0.split_at(PUBLIC_KEY_SIZE / 2);
        let half = |bytes: &[u8]| u128::from_le_bytes(bytes.try_into().expect("it has 16 bytes"));
        SMALL_ORDER_YS.contains(&[half(low), half(high) & SIGN_MASK])
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(s: &str) -> Result<Self, KeyError> {
        Self::parse_z32(s.as_bytes())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Z_BASE_32.encode_display(&self.0).fmt(f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// Why a string is not a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The string has another length than [`Z32_LEN`].
    #[error("a public key is {Z32_LEN} characters of z-base-32, this has {0}")]
    Length(usize),
    /// The character at this position is not in z-base-32.
    #[error("the character at position {0} is not in the z-base-32 alphabet")]
    Symbol(usize),
}

/// Why a key cannot have exactly one owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyError {
    /// The key is not a point on the curve, so nothing can be signed with it. This is true of half of all
    /// 32-byte strings, so it detects most mistyped keys.
    #[error("{0} is not an Ed25519 public key: not a point on the curve")]
    NotOnCurve(PublicKey),
    /// The key is a point of small order, for which anyone can create signatures.
    #[error("{0} is a weak key, for which anyone can sign")]
    Weak(PublicKey),
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const ALPHABET: &str = "ybndrfg8ejkmcpqxot1uwisza345h769";

    #[test]
    fn all_sixteen_spellings_name_one_key() {
        let key = PublicKey::from_bytes([0xab; 32]);
        let canonical = key.to_string();
        let first = ALPHABET.find(canonical.chars().last().unwrap()).unwrap();
        assert_eq!(first % 16, 0, "the canonical spelling ends in zero bits");
        for alias in ALPHABET[first..first + 16].chars() {
            let spelling = format!("{}{alias}", &canonical[..Z32_LEN - 1]);
            assert_eq!(spelling.parse(), Ok(key), "{spelling}");
        }
        assert_eq!(key.to_string(), canonical);
    }

    #[test]
    fn case_does_not_matter() {
        let key = PublicKey::from_bytes(*b"0123456789abcdefghijklmnopqrstuv");
        assert_eq!(key.to_string().to_uppercase().parse(), Ok(key));
    }

    #[test]
    fn what_is_no_key_says_why() {
        assert_eq!("".parse::<PublicKey>(), Err(KeyError::Length(0)));
        assert_eq!(
            "y".repeat(53).parse::<PublicKey>(),
            Err(KeyError::Length(53))
        );
        assert_eq!(
            format!("{}l{}", "y".repeat(8), "y".repeat(43)).parse::<PublicKey>(),
            Err(KeyError::Symbol(8))
        );
        assert_eq!(
            PublicKey::parse_z32(&[0xff; Z32_LEN]),
            Err(KeyError::Symbol(0))
        );
    }

    #[test]
    fn the_key_of_a_signer_is_valid() {
        for seed in 0..32 {
            let signer = SigningKey::from_bytes(&[seed; 32]);
            let key = PublicKey::from_bytes(signer.verifying_key().to_bytes());
            assert_eq!(key.validate(), Ok(()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(256)
        })]

        #[test]
        fn any_key_is_read_as_it_was_written(bytes: [u8; PUBLIC_KEY_SIZE]) {
            let key = PublicKey::from_bytes(bytes);
            prop_assert_eq!(key.to_string().parse(), Ok(key));
        }

        #[test]
        fn no_bytes_break_the_parser(bytes in vec(any::<u8>(), Z32_LEN - 1..=Z32_LEN + 1)) {
            if let Ok(key) = PublicKey::parse_z32(&bytes) {
                prop_assert_eq!(key.to_string().parse(), Ok(key));
            }
        }
    }

    /// No y of 2 is on the curve; 0 and 1 are those of points of order 4 and 1.
    #[test]
    fn a_key_that_nobody_owns_is_invalid() {
        let key = |first| {
            let mut bytes = [0; PUBLIC_KEY_SIZE];
            bytes[0] = first;
            PublicKey::from_bytes(bytes)
        };
        let of = |first| key(first).validate();
        assert_eq!(of(2), Err(InvalidKeyError::NotOnCurve(key(2))));
        assert_eq!(of(0), Err(InvalidKeyError::Weak(key(0))));
        assert_eq!(of(1), Err(InvalidKeyError::Weak(key(1))));
    }
}
