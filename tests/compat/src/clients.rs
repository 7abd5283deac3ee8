//! Tests whether clients work with a relay: iroh's endpoints, and two versions of pkarr's.

use std::{future::Future, pin::Pin, time::Duration};

use anyhow::{Context, ensure};
use iroh::{
    Endpoint, RelayMode,
    address_lookup::{AddrFilter, DnsAddressLookup, PkarrPublisher, PkarrResolver},
    dns::{DnsResolver, NameserverConfig},
    endpoint::{Builder, presets},
};
use pkarr::{ResolvePolicy, errors::ResolveError};
use tokio::time::{sleep, timeout};

use crate::{oldest_pkarr, server::Server};

const ALPN: &[u8] = b"quorate-compat/0";

/// How long two endpoints may take to find each other.
const IROH_WITHIN: Duration = Duration::from_secs(30);

/// The pause between attempts to connect.
const TRY_INTERVAL: Duration = Duration::from_millis(200);

/// A client, and its test.
pub(crate) struct Client {
    pub(crate) does: &'static str,
    pub(crate) needs_dns: bool,
    pub(crate) run: Run,
}

pub(crate) type Run = for<'a> fn(&'a Server, usize) -> Running<'a>;
pub(crate) type Running<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

/// All clients.
pub(crate) fn all() -> Vec<Client> {
    let client = |does, run| Client {
        does,
        needs_dns: false,
        run,
    };
    vec![
        client(
            "iroh 1.4: endpoints publish, resolve over HTTP and connect",
            |server, number| Box::pin(iroh_over_http(server, number)),
        ),
        Client {
            does: "iroh 1.4: endpoints publish, resolve by DNS and connect",
            needs_dns: true,
            run: |server, number| Box::pin(iroh_by_dns(server, number)),
        },
        client(
            "pkarr 8.1: publishes twice, and resolves with each policy",
            |server, number| Box::pin(pkarr_resolves(server, number)),
        ),
        client(
            "pkarr 8.1: is told that a newer packet is there, and that there is none",
            |server, number| Box::pin(pkarr_is_rejected(server, number)),
        ),
        client(
            "pkarr 3.5.3: publishes, resolves, and replaces what it read (If-Match)",
            |server, number| Box::pin(oldest_pkarr::replaces(server, number)),
        ),
        client(
            "pkarr 3.5.3: is told that another has replaced what it read (If-Match)",
            |server, number| Box::pin(oldest_pkarr::detects_replacement(server, number)),
        ),
    ]
}

async fn iroh_over_http(server: &Server, number: usize) -> anyhow::Result<()> {
    let resolver = || -> anyhow::Result<_> {
        let url = server.url(number + 1).parse()?;
        Ok(PkarrResolver::builder(url))
    };
    let alice = endpoint(server, number)?.address_lookup(resolver()?);
    let bob = endpoint(server, number)?.address_lookup(resolver()?);
    meet(alice.bind().await?, bob.bind().await?).await
}

async fn iroh_by_dns(server: &Server, number: usize) -> anyhow::Result<()> {
    let (dns, origin) = server.dns.context("the server has no DNS")?;
    let lookup = |builder: Builder| {
        let nameserver = NameserverConfig::udp(dns.ip()).with_port(dns.port());
        let resolver = DnsResolver::builder()
            .add_nameserver_config(nameserver)
            .disable_fallback()
            .build();
        let builder = builder.dns_resolver(resolver);
        builder.address_lookup(DnsAddressLookup::builder(origin.to_owned()))
    };
    let alice = lookup(endpoint(server, number)?);
    let bob = lookup(endpoint(server, number)?);
    meet(alice.bind().await?, bob.bind().await?).await
}

/// An endpoint that publishes, and looks nothing up.
fn endpoint(server: &Server, number: usize) -> anyhow::Result<Builder> {
    let url = server.url(number).parse()?;
    let publisher = PkarrPublisher::builder(url).addr_filter(AddrFilter::unfiltered());
    Ok(Endpoint::builder(presets::Minimal)
        .relay_mode(RelayMode::Disabled)
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")?
        .alpns(vec![ALPN.to_vec()])
        .address_lookup(publisher))
}

/// Each endpoint connects to the other, and knows only its id.
async fn meet(alice: Endpoint, bob: Endpoint) -> anyhow::Result<()> {
    for (from, to) in [(&alice, &bob), (&bob, &alice)] {
        let accept = async {
            let incoming = to.accept().await.context("the endpoint is closed")?;
            anyhow::Ok(incoming.await?.remote_id())
        };
        // Fails until the other endpoint has published its address.
        let connect = async {
            loop {
                match from.connect(to.id(), ALPN).await {
                    Ok(connection) => break anyhow::Ok(connection),
                    Err(_) => sleep(TRY_INTERVAL).await,
                }
            }
        };
        let both = async { tokio::try_join!(accept, connect) };
        let (caller, _connection) = timeout(IROH_WITHIN, both)
            .await
            .context("they did not find each other")??;
        ensure!(
            caller == from.id(),
            "the connection is from another endpoint"
        );
    }
    alice.close().await;
    bob.close().await;
    Ok(())
}

async fn pkarr_resolves(server: &Server, number: usize) -> anyhow::Result<()> {
    let keys = pkarr::Keypair::random();
    let publisher = pkarr_client(server, number)?;
    for text in ["first", "second"] {
        let packet = sign(&keys, text)?;
        publisher.publish(&packet).await?;
        for policy in [ResolvePolicy::NetworkOnly, ResolvePolicy::CacheFirst] {
            // A new client each time, because it caches what it read.
            let found = pkarr_client(server, number)?
                .resolve(&keys.public_key(), policy)
                .await?;
            let is_same = found.to_relay_payload() == packet.to_relay_payload();
            ensure!(is_same, "{policy:?} found another packet");
        }
    }
    Ok(())
}

async fn pkarr_is_rejected(server: &Server, number: usize) -> anyhow::Result<()> {
    let keys = pkarr::Keypair::random();
    let (first, second) = (sign(&keys, "first")?, sign(&keys, "second")?);
    pkarr_client(server, number)?.publish(&second).await?;
    // Another client, which has not seen the second.
    let rejected = pkarr_client(server, number)?.publish(&first).await;
    let rejected = rejected.err().context("the older packet was accepted")?;
    ensure!(rejected.to_string().contains("recent"), "{rejected}");
    let nobody = pkarr::Keypair::random().public_key();
    let absent = pkarr_client(server, number)?
        .resolve(&nobody, ResolvePolicy::NetworkOnly)
        .await;
    ensure!(
        matches!(absent, Err(ResolveError::NotFound)),
        "an unpublished key resolved to {absent:?}"
    );
    Ok(())
}

fn sign(keys: &pkarr::Keypair, text: &str) -> anyhow::Result<pkarr::SignedPacket> {
    let packet = pkarr::SignedPacket::builder();
    Ok(packet
        .txt("_greeting".try_into()?, text.try_into()?, 30)
        .sign(keys)?)
}

fn pkarr_client(server: &Server, number: usize) -> anyhow::Result<pkarr::Client> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut builder = pkarr::Client::builder();
    builder.no_default_network().reqwest_client(http);
    builder.relays(&[server.url(number)])?;
    Ok(builder.build()?)
}
