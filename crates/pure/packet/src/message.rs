//! The screen that every DNS message passes before a parser sees it.

/// Size of a DNS header, in bytes (RFC 1035, section 4.1.1).
pub const HEADER_SIZE: usize = 12;

/// The smallest question on the wire: root name 1, type 2, class 2.
const QUESTION_SIZE_MIN: usize = 5;

/// The smallest resource record: root name 1, type 2, class 2, TTL 4, length 2.
const RECORD_SIZE_MIN: usize = 11;

/// Whether the counts in the header are possible in a message of this size.
///
/// A parser may reserve memory by the counts before it reads the records (hickory-proto does: 12 bytes make
/// it reserve 11 MB). Messages with impossible counts never reach it.
pub fn counts_fit(message: &[u8]) -> bool {
    let Some((header, body)) = message.split_at_checked(HEADER_SIZE) else {
        return false;
    };
    let count = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
    let records = count(6) + count(8) + count(10);
    count(4) * QUESTION_SIZE_MIN + records * RECORD_SIZE_MIN <= body.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_alone_may_claim_nothing() {
        let mut message = [0; HEADER_SIZE];
        assert!(counts_fit(&message));
        for at in [5, 7, 9, 11] {
            message[at] = 1;
            assert!(!counts_fit(&message), "count at byte {at}");
            message[at] = 0;
        }
        assert!(!counts_fit(&message[..11]));
    }

    #[test]
    fn the_smallest_question_and_record_fit() {
        let mut message = vec![0; HEADER_SIZE + QUESTION_SIZE_MIN + RECORD_SIZE_MIN];
        message[5] = 1;
        message[7] = 1;
        assert!(counts_fit(&message));
        message[7] = 2;
        assert!(!counts_fit(&message));
    }
}
