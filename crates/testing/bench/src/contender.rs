//! A name server of a comparison, and the queries for it.

use std::net::IpAddr;

use anyhow::Context;
use quorate_tests::Cluster;

use crate::{
    cluster::servers,
    load::{
        Bounds, Expect,
        dns::{self, Route, SHAPE},
        queries::Queries,
    },
    measure::{Row, Servers},
    peers::processes,
    servers_of_others::OtherServers,
};

/// A server and the queries for it.
#[derive(Clone)]
pub(crate) struct Contender {
    pub(crate) name: String,
    route: Route,
    servers: Servers,
    pub(crate) queries: Queries,
    /// What answers must contain; `None` accepts any.
    expect: Option<Expect>,
}

impl Contender {
    /// The first node of a cluster that this program started.
    pub(crate) async fn own(
        name: impl Into<String>,
        cluster: &Cluster,
        queries: &Queries,
        expect: impl Into<Option<Expect>>,
    ) -> Self {
        let Servers { ids, .. } = servers(cluster).await;
        Self {
            name: name.into(),
            route: cluster.node(1).addresses().dns.into(),
            servers: Servers {
                ids,
                admins: Vec::new(),
            },
            queries: queries.clone(),
            expect: expect.into(),
        }
    }

    pub(crate) fn other(
        server: &OtherServers,
        queries: &Queries,
        expect: impl Into<Option<Expect>>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            name: server.name.to_owned(),
            route: server.dns.context("it serves no DNS")?.into(),
            servers: processes(server),
            queries: queries.clone(),
            expect: expect.into(),
        })
    }

    /// The same, with queries from this address.
    pub(crate) fn with_source(mut self, source: IpAddr) -> Self {
        self.route.source = Some(source);
        self
    }

    /// The answer to the first of its queries.
    pub(crate) fn first_answer(&self) -> anyhow::Result<Vec<u8>> {
        self.route.ask(self.queries.first())
    }

    pub(crate) async fn measure(&self, secs: u64) -> anyhow::Result<Row> {
        let bounds = Bounds { secs, count: None };
        let run = dns::run(self.queries.clone(), self.expect, self.route, SHAPE, bounds);
        self.servers.measure(&*self.name, run).await
    }
}
