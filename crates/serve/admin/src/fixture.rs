//! The routes with a replica in memory, for tests.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, Request, StatusCode, header},
};
use bytes::Bytes;
use futures_util::{StreamExt, future::BoxFuture, stream};
use http_body_util::BodyExt;
use prometheus::Registry;
use quorate_api::{PROBLEM_CONTENT_TYPE, Problem, ReloadReport};
use quorate_fake::{FakeCertificate, FakeDht, FakeReplica};
use quorate_replica::{DhtOperator, NamedSet, ReadError, WireName};
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt;

use crate::{
    AdminConfig, AdminNode, AdminRouters, BackupBytes, Backups, Build, LogControl, Reload, Scope,
    ServedZones, Token, TokenList, Tokens, routers,
};

pub(crate) const BUILD: Build = Build {
    version: "1.2.3",
    git_hash: "abc",
};

pub(crate) const LOOPBACK: &str = "127.0.0.1:4000";
pub(crate) const ELSEWHERE: &str = "192.0.2.1:4000";

pub(crate) struct Fixture {
    pub(crate) replica: Arc<FakeReplica>,
    pub(crate) dht: Arc<FakeDht>,
    pub(crate) runtime: Arc<FakeRuntime>,
    pub(crate) tokens: Arc<Tokens>,
    /// The version of the zones that is served: at first, every version.
    pub(crate) served: watch::Sender<u64>,
    /// For requests over TCP.
    pub(crate) router: Router,
    /// For requests on the Unix socket.
    pub(crate) socket: Router,
    known: Vec<(Scope, Token)>,
}

impl Fixture {
    /// With the default settings. There is a token for each scope, with the name of the scope.
    pub(crate) fn new() -> Self {
        Self::over(FakeReplica::new(), &AdminConfig::default())
    }

    pub(crate) fn over(replica: Arc<FakeReplica>, config: &AdminConfig) -> Self {
        Self::with(replica, config, true)
    }

    pub(crate) fn without_dht() -> Self {
        Self::with(FakeReplica::new(), &AdminConfig::default(), false)
    }

    fn with(replica: Arc<FakeReplica>, config: &AdminConfig, uses_dht: bool) -> Self {
        let dht = FakeDht::new();
        let scopes = [Scope::Metrics, Scope::Read, Scope::Operate];
        let known = scopes.map(|scope| (scope, Token::generate().unwrap()));
        let line = |(scope, token): &(Scope, Token)| {
            let name = scope.to_string().parse().unwrap();
            token.line(&name, *scope)
        };
        let tokens = Arc::new(Tokens::open("".as_ref()).unwrap());
        tokens.replace(TokenList::parse(&known.each_ref().map(line).join("\n")).unwrap());
        let runtime = Arc::new(FakeRuntime::default());
        let served = watch::Sender::new(u64::MAX);
        let node = AdminNode {
            replica: replica.clone(),
            registry: Registry::new(),
            build: BUILD,
            reload: Box::new(runtime.clone()),
            log: Box::new(runtime.clone()),
            zones: Box::new(FakeZones(served.clone())),
            backups: Box::new(FakeBackups::default()),
            dht: uses_dht.then(|| dht.clone() as Arc<dyn DhtOperator>),
            certificate: Arc::new(FakeCertificate),
        };
        let AdminRouters { tcp, socket } = routers(node, &tokens, config).unwrap();
        Self {
            router: tcp,
            socket,
            known: known.into(),
            replica,
            dht,
            runtime,
            tokens,
            served,
        }
    }

    /// The value of `Authorization` for the token of this scope.
    pub(crate) fn bearer(&self, scope: Scope) -> String {
        let known = self.known.iter().find(|(of, _)| *of == scope);
        format!("Bearer {}", known.unwrap().1)
    }

    /// Sends a request over TCP from this address.
    pub(crate) async fn send(&self, peer: &str, mut request: Request<Body>) -> Answer {
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        Answer::of(&self.router, request).await
    }

    /// Sends a request on the socket.
    pub(crate) async fn send_on_socket(&self, request: Request<Body>) -> Answer {
        Answer::of(&self.socket, request).await
    }

    /// Sends a request on the socket, without a token.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send_on_socket(request(method, path, body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "").await
    }
}

/// A request with the usual header fields.
pub(crate) fn request(method: &str, path: &str, body: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost:9100")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap()
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    async fn of(router: &Router, request: Request<Body>) -> Self {
        let response = router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        Self {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        let json = serde_json::from_slice(&self.body);
        json.unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The problem document in the answer, which must be one.
    pub(crate) fn problem(&self) -> Problem {
        let content_type = self.headers.get(header::CONTENT_TYPE);
        assert_eq!(content_type.unwrap(), PROBLEM_CONTENT_TYPE);
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.status, self.status.as_u16());
        problem
    }

    /// The last part of the problem's type.
    pub(crate) fn slug(&self) -> String {
        let uri = self.problem().problem_type.uri();
        uri.rsplit(':').next().unwrap().to_owned()
    }
}

/// The reload and the log filter of a node.
#[derive(Debug)]
pub(crate) struct FakeRuntime {
    pub(crate) reloads: Mutex<Result<ReloadReport, String>>,
    filter: Mutex<String>,
}

impl Default for FakeRuntime {
    fn default() -> Self {
        Self {
            reloads: Mutex::new(Ok(ReloadReport {
                changed: vec!["limit.put_burst".into()],
                needs_restart: vec!["http.listen".into()],
            })),
            filter: Mutex::new("info".into()),
        }
    }
}

/// Serves the root and `dns.example.`, which has a configured address at `www`.
/// All replicated records are served up to this version.
struct FakeZones(watch::Sender<u64>);

impl ServedZones for FakeZones {
    fn serials(&self) -> BTreeMap<WireName, u32> {
        let zone = |text| quorate_zone::file::parse_name(text, &WireName::root()).unwrap();
        [(zone("dns.example."), 7), (zone("."), 1)].into()
    }

    fn check(&self, _: &WireName, set: &NamedSet) -> Result<(), String> {
        match set.owner.to_string() == "www.dns.example." && set.record_type == 1 {
            true => Err("www.dns.example. has records of type A in the configuration".to_owned()),
            false => Ok(()),
        }
    }

    fn served(&self, version: u64) -> BoxFuture<'_, ()> {
        let mut served = self.0.subscribe();
        Box::pin(async move {
            let _ = served.wait_for(|served| *served >= version).await;
        })
    }
}

impl Reload for Arc<FakeRuntime> {
    fn reload(&self) -> Result<ReloadReport, String> {
        self.reloads.lock().unwrap().clone()
    }
}

impl LogControl for Arc<FakeRuntime> {
    fn filter(&self) -> String {
        self.filter.lock().unwrap().clone()
    }

    fn set_filter(&self, filter: &str) -> Result<(), String> {
        if filter.contains("loud") {
            return Err("there is no level `loud`".into());
        }
        filter.clone_into(&mut self.filter.lock().unwrap());
        Ok(())
    }
}

/// Backups of three bytes, one at a time.
#[derive(Default)]
struct FakeBackups(Arc<tokio::sync::Mutex<()>>);

impl Backups for FakeBackups {
    fn start(&self) -> BoxFuture<'_, Result<Option<BackupBytes>, ReadError>> {
        let turn = self.0.clone().try_lock_owned();
        Box::pin(async {
            Ok(turn.ok().map(|turn| -> BackupBytes {
                stream::iter([Ok(Bytes::from_static(b"abc"))])
                    .inspect(move |_| _ = &turn)
                    .boxed()
            }))
        })
    }
}
