//! The oldest client of pkarr that sends `If-Match`.

use anyhow::{Context, ensure};
use pkarr_first_if_match::{
    Client, Keypair, SignedPacket,
    errors::{ConcurrencyError, PublishError},
};

use crate::server::Server;

pub(crate) async fn replaces(server: &Server, number: usize) -> anyhow::Result<()> {
    let keys = Keypair::random();
    let first = sign(&keys, "first")?;
    client(server, number)?.publish(&first, None).await?;

    let client = client(server, number)?;
    let read = client.resolve_most_recent(&keys.public_key()).await;
    let read = read.context("the published packet was not found")?;
    ensure!(
        read.to_relay_payload() == first.to_relay_payload(),
        "another packet was found"
    );
    let second = sign(&keys, "second")?;
    client.publish(&second, Some(read.timestamp())).await?;
    Ok(())
}

pub(crate) async fn detects_replacement(server: &Server, number: usize) -> anyhow::Result<()> {
    let keys = Keypair::random();
    let first = sign(&keys, "first")?;
    let alice = client(server, number)?;
    alice.publish(&first, None).await?;
    let second = sign(&keys, "second")?;
    client(server, number)?.publish(&second, None).await?;

    let third = sign(&keys, "third")?;
    let rejected = alice.publish(&third, Some(first.timestamp())).await;
    ensure!(
        matches!(
            rejected,
            Err(PublishError::Concurrency(ConcurrencyError::CasFailed))
        ),
        "the third PUT was answered {rejected:?}"
    );
    Ok(())
}

fn sign(keys: &Keypair, text: &str) -> anyhow::Result<SignedPacket> {
    let packet = SignedPacket::builder();
    Ok(packet
        .txt("_greeting".try_into()?, text.try_into()?, 30)
        .sign(keys)?)
}

fn client(server: &Server, number: usize) -> anyhow::Result<Client> {
    let mut builder = Client::builder();
    builder.no_default_network();
    builder.relays(&[server.url(number)])?;
    Ok(builder.build()?)
}
