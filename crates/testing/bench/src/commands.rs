//! Work on servers that run already.
//!
//! `put` with a seed and a number of keys writes what `get` and `dns` with the same seed and number
//! read.

use std::net::SocketAddr;

use anyhow::ensure;
use clap::Args;
use quorate_ctl::RelayUrl;

use crate::{
    load::{
        Bounds, Expect, Outcome,
        connections::drive,
        dns::{self, Shape},
        queries::Queries,
        requests::Requests,
    },
    measure::Servers,
    packets::{Keys, absent_names, shuffled},
    report,
};

/// The most PUTs a second that packets are signed for.
pub(crate) const PUTS_PER_SEC_MAX: u64 = 15_000;

/// The most packets that are signed ahead of time: 400 MB of them.
pub(crate) const PACKETS_MAX: u64 = 1_000_000;

/// The arguments that all kinds of work share.
#[derive(Debug, Args)]
struct WorkArgs {
    #[command(flatten)]
    bounds: Bounds,
    /// How many keys.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    keys: u64,
    /// Which keys: the same seed gives the same.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    servers: Servers,
}

impl WorkArgs {
    fn keys(&self) -> anyhow::Result<Keys> {
        Ok(Keys::new(self.seed, usize::try_from(self.keys)?))
    }

    /// Names to read: those that `put` wrote, or as many that nobody wrote.
    fn names(&self, absent: bool) -> anyhow::Result<(Vec<String>, Expect)> {
        let (names, expect) = if absent {
            (absent_names(usize::try_from(self.keys)?), Expect::Absent)
        } else {
            (self.keys()?.names().to_vec(), Expect::Found)
        };
        Ok((shuffled(names), expect))
    }

    /// Does the work, and prints a table of this one row.
    async fn measure(
        &self,
        name: String,
        run: impl Future<Output = anyhow::Result<Outcome>>,
    ) -> anyhow::Result<()> {
        let row = self.servers.measure(name, run).await?;
        report::print_header();
        report::print(&row)
    }
}

/// The arguments that all work over HTTP shares.
#[derive(Debug, Args)]
struct HttpArgs {
    /// A relay, http://host:port/path; repeat to spread connections over several.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8081/pkarr",
        value_parser = plain_relay
    )]
    relay: Vec<RelayUrl>,
    /// How many connections.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,
    #[command(flatten)]
    work: WorkArgs,
}

/// Encryption would be measured too.
fn plain_relay(url: &str) -> anyhow::Result<RelayUrl> {
    let relay: RelayUrl = url.parse()?;
    ensure!(
        relay.url().scheme() == "http",
        "a relay is measured over plain HTTP: write http://host:port/pkarr"
    );
    Ok(relay)
}

impl HttpArgs {
    async fn measure(self, what: &str, requests: Requests) -> anyhow::Result<()> {
        let connections = self.connections;
        let bounds = self.work.bounds;
        let run = drive(requests, self.relay, connections.into(), bounds);
        let name = format!("{what}, {connections} connections");
        self.work.measure(name, run).await
    }
}

/// Arguments of `quorate-bench put`.
#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    #[command(flatten)]
    http: HttpArgs,
    /// Signs one packet for each of the keys and sends these same bytes again and again.
    #[arg(long)]
    refresh: bool,
}

/// PUTs new packets, or the same ones again and again.
pub(crate) async fn put(args: PutArgs) -> anyhow::Result<()> {
    let work = &args.http.work;
    let count_max = (work.bounds.secs * PUTS_PER_SEC_MAX).min(PACKETS_MAX);
    let packet_count = match args.refresh {
        true => work.keys,
        false => work.bounds.count.unwrap_or(count_max),
    };
    ensure!(
        packet_count <= PACKETS_MAX,
        "{packet_count} packets are too many to sign ahead of time: at most {PACKETS_MAX}"
    );
    let packets = work.keys()?.sign(usize::try_from(packet_count)?);
    let requests = match args.refresh {
        true => Requests::refreshes(packets),
        false => Requests::puts(packets),
    };
    args.http.measure("PUT", requests).await
}

/// Arguments of `quorate-bench get`.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    http: HttpArgs,
    /// Requests keys that nobody has published, and expects 404.
    #[arg(long)]
    absent: bool,
}

/// GETs packets.
pub(crate) async fn get(args: GetArgs) -> anyhow::Result<()> {
    let work = &args.http.work;
    let (keys, expect) = work.names(args.absent)?;
    let requests = Requests::gets(keys, expect);
    args.http.measure("GET", requests).await
}

/// Arguments of `quorate-bench dns`.
#[derive(Debug, Args)]
pub(crate) struct DnsArgs {
    /// The server.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:5301")]
    dns: SocketAddr,
    /// The zone below which keys are names.
    #[arg(long, value_name = "NAME", default_value = "quorate.test.")]
    origin: String,
    #[command(flatten)]
    shape: Shape,
    /// Requests keys that nobody has published, and expects NXDOMAIN.
    #[arg(long)]
    absent: bool,
    #[command(flatten)]
    work: WorkArgs,
}

/// Queries TXT records.
pub(crate) async fn dns(args: DnsArgs) -> anyhow::Result<()> {
    let work = &args.work;
    let (names, expect) = work.names(args.absent)?;
    let name = format!("DNS UDP TXT, {} sockets", args.shape.sockets);
    let (shape, bounds) = (args.shape, work.bounds);
    let queries = Queries::txt(&names, &args.origin)?;
    let run = dns::run(queries, expect, args.dns, shape, bounds);
    work.measure(name, run).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_no_plain_relay_says_why() {
        plain_relay("http://127.0.0.1:8081/pkarr").unwrap();
        for (url, reason) in [
            ("https://127.0.0.1", "plain HTTP"),
            ("ftp://127.0.0.1", "ftp is not http"),
            ("127.0.0.1:8081", "relative URL"),
            ("http://:80", "empty host"),
        ] {
            let error = plain_relay(url).unwrap_err().to_string();
            assert!(error.contains(reason), "{url}: {error}");
        }
    }
}
