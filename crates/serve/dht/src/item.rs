//! Packets as mutable items of the DHT (BEP 44), and back.

use bytes::{BufMut, Bytes, BytesMut};
use mainline::MutableItem;
use quorate_packet::{PacketError, PublicKey, SignedPacket};

/// The size of an Ed25519 signature, in bytes.
const SIGNATURE_SIZE: usize = 64;

/// The packet in an item. Its signature is verified again, strictly: clients of this node accept
/// nothing else.
pub(crate) fn packet(key: PublicKey, item: &MutableItem) -> Result<SignedPacket, PacketError> {
    let mut payload = BytesMut::with_capacity(SIGNATURE_SIZE + 8 + item.value().len());
    payload.put_slice(item.signature());
    // A negative sequence number becomes a time in the far future, which is rejected as such.
    payload.put_u64(item.seq() as u64);
    payload.put_slice(item.value());
    SignedPacket::parse(key, payload.freeze())
}

/// The item of a packet, with the signature of its owner.
pub(crate) fn item(packet: &SignedPacket) -> MutableItem {
    let payload: &Bytes = packet.payload();
    let signature = payload.first_chunk::<SIGNATURE_SIZE>();
    MutableItem::new_signed_unchecked(
        *packet.key().as_bytes(),
        *signature.expect("a packet begins with its signature"),
        packet.dns(),
        packet.timestamp().as_micros() as i64,
        None,
    )
}

#[cfg(test)]
mod tests {
    use mainline::SigningKey;

    use super::*;

    #[test]
    fn a_packet_survives_the_way_to_an_item_and_back() {
        let packet = quorate_fake::packet(1, 5, "here", 30);
        let item = item(&packet);
        assert_eq!(super::packet(*packet.key(), &item).unwrap(), packet);
    }

    #[test]
    fn an_item_with_another_signature_or_no_dns_message_is_rejected() {
        let packet = quorate_fake::packet(1, 5, "here", 30);
        let forged = MutableItem::new_signed_unchecked(
            *packet.key().as_bytes(),
            [7; 64],
            packet.dns(),
            5,
            None,
        );
        let error = super::packet(*packet.key(), &forged).unwrap_err();
        assert!(matches!(error, PacketError::Signature(_)), "{error}");
        let signer = SigningKey::from_bytes(&[3; 32]);
        let key = PublicKey::from_bytes(signer.verifying_key().to_bytes());
        let no_message = MutableItem::new(signer, b"hello", 5, None);
        let error = super::packet(key, &no_message).unwrap_err();
        assert!(matches!(error, PacketError::Dns(_)), "{error}");
    }
}
