//! The same requests and clients against Quorate, iroh-dns-server and pkarr-relay.
//!
//! The specification of pkarr's relays states what a relay must do, and HTTP states the rules of
//! its methods and conditions. [`cases`] lists both as data: requests, and the expected
//! properties of their answers, each with its source. Each case has its own key, so that their order
//! does not matter, and each request its own connection. Quorate runs with three nodes: each case
//! uses one of them.
//!
//! It prints the tables of `docs/COMPATIBILITY.md`, and the differences of all relays to standard
//! error. It fails if Quorate does not follow a source and the case states no reason, or if Quorate
//! follows the source although the case states a reason why it differs.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod case;
mod cases;
mod clients;
mod exchange;
mod oldest_pkarr;
mod payload;
mod pkarr_relay;
mod server;
mod table;

use std::{env, process::ExitCode};

use case::{Case, Limits, Requirement};
use clients::Client;
use server::Server;
use table::{Row, Verdict};

#[tokio::main]
async fn main() -> ExitCode {
    let is_relay = env::args().nth(1).as_deref() == Some(pkarr_relay::ARGUMENT);
    let faults = match is_relay {
        true => pkarr_relay::run().await.map(|()| Vec::new()),
        false => compare().await,
    };
    match faults {
        Ok(faults) if faults.is_empty() => ExitCode::SUCCESS,
        Ok(faults) => {
            eprintln!("\nQuorate differs from a source, or from what a case states:");
            for fault in faults {
                eprintln!("- {fault}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("quorate-compat: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the failures of Quorate.
async fn compare() -> anyhow::Result<Vec<String>> {
    let relays = Relays::start().await?;
    let names = relays.names();
    let mut rows = Vec::new();
    for (heading, cases) in cases::all() {
        let mut part = Vec::new();
        for (number, case) in cases.iter().enumerate() {
            part.push(relays.put(case, number).await);
        }
        table::print(heading, &names, &part);
        rows.extend(part);
    }
    let mut part = Vec::new();
    for (number, client) in clients::all().iter().enumerate() {
        part.push(relays.serve(client, number).await);
    }
    table::print("Clients", &names, &part);
    rows.extend(part);
    table::print_sums(&names, &rows);
    table::print_differences(&names, &rows);
    Ok(rows.iter().filter_map(Row::fault).collect())
}

/// The relays, Quorate first.
struct Relays {
    plain: Vec<Server>,
    /// The same relays with limits for clients, in the same order.
    limited: Vec<Option<Server>>,
}

impl Relays {
    async fn start() -> anyhow::Result<Self> {
        Ok(Self {
            plain: vec![
                Server::quorate(Limits::Off).await,
                Server::iroh(Limits::Off).await?,
                Server::pkarr().await?,
            ],
            limited: vec![
                Some(Server::quorate(Limits::On).await),
                Some(Server::iroh(Limits::On).await?),
                None,
            ],
        })
    }

    fn names(&self) -> Vec<&'static str> {
        self.plain.iter().map(|server| server.name).collect()
    }

    async fn put(&self, case: &Case, number: usize) -> Row {
        let mut verdicts = Vec::new();
        for (plain, limited) in self.plain.iter().zip(&self.limited) {
            let server = match case.limits {
                Limits::Off => Some(plain),
                Limits::On => limited.as_ref(),
            };
            verdicts.push(match server {
                Some(server) => exchange::run(case, server, server.address(number))
                    .await
                    .into(),
                None => Verdict::NotTested,
            });
        }
        Row {
            claim: case.claim,
            source: case.source,
            requirement: case.requirement,
            purpose: case.differs,
            verdicts,
        }
    }

    async fn serve(&self, client: &Client, number: usize) -> Row {
        let mut verdicts = Vec::new();
        for server in &self.plain {
            verdicts.push(match client.needs_dns && server.dns.is_none() {
                true => Verdict::NotTested,
                false => (client.run)(server, number).await.into(),
            });
        }
        Row {
            claim: client.does,
            source: "the client",
            requirement: Requirement::Must,
            purpose: None,
            verdicts,
        }
    }
}
