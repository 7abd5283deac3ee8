//! A row of either database.

/// The size of a public key, in bytes.
pub(crate) const KEY_SIZE: usize = 32;

/// The size of the time before the key, in bytes.
const TIME_SIZE: usize = 8;

/// A packet that was not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignPacket {
    pub key: [u8; KEY_SIZE],
    /// When the other server saw it last, in milliseconds since 1970.
    pub seen_ms: Option<u64>,
    /// Signature, timestamp and DNS message, as relays transfer them.
    pub payload: Vec<u8>,
}

impl ForeignPacket {
    /// Parses a row. If the database has the `key` too, that decides whether the row begins with a time.
    pub(crate) fn parse(row: &[u8], key: Option<&[u8; KEY_SIZE]>) -> Option<Self> {
        let timed = row
            .split_first_chunk::<TIME_SIZE>()
            .and_then(|(time, rest)| {
                let (found, payload) = rest.split_first_chunk()?;
                key.is_none_or(|key| key == found).then(|| Self {
                    key: *found,
                    // pkarr writes 0 for a time that it does not know.
                    seen_ms: Some(u64::from_be_bytes(*time) / 1000).filter(|ms| *ms > 0),
                    payload: payload.to_vec(),
                })
            });
        timed.or_else(|| {
            let (found, payload) = row.split_first_chunk()?;
            (key? == found).then(|| Self {
                key: *found,
                seen_ms: None,
                payload: payload.to_vec(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_and_without_a_time_are_read() {
        let key = [7; KEY_SIZE];
        let payload = [9; 104];
        let old = [&key[..], &payload].concat();
        let new = [&1_700_000_000_123_456_u64.to_be_bytes()[..], &old].concat();
        let parsed = ForeignPacket::parse(&new, Some(&key)).unwrap();
        assert_eq!(parsed.seen_ms, Some(1_700_000_000_123));
        assert_eq!((parsed.key, &parsed.payload[..]), (key, &payload[..]));
        assert_eq!(ForeignPacket::parse(&new, None), Some(parsed.clone()));
        let without = ForeignPacket {
            seen_ms: None,
            ..parsed
        };
        assert_eq!(ForeignPacket::parse(&old, Some(&key)), Some(without));
        for row in [&new[..39], &old[..31], &[]] {
            assert_eq!(ForeignPacket::parse(row, Some(&key)), None);
        }
        assert_eq!(ForeignPacket::parse(&new, Some(&[8; KEY_SIZE])), None);
    }
}
