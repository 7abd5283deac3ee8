//! Serves the requests of one connection.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    extract::ConnectInfo,
    response::{IntoResponse, Response},
};
use hyper::{
    Request,
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    BandwidthLimiter, HttpConfig, IsTrusted, ProblemResponse, ProblemType, Routes,
    header_timer::HeaderTimer,
    listener::{ConnectionSlot, linger},
    request_id::{X_REQUEST_ID, request_id},
    request_places::{ConnectionPlaces, RequestPlaces, STREAM_COUNT_MAX},
    request_tracker::RequestTracker,
};

/// The read buffer of a connection, for a request's header and what follows it, in bytes.
pub(crate) const BUFFER_SIZE_MAX: usize = 16 * 1024;

/// How large the header of a request may be, in bytes. The longest that clients need is a GET of
/// DNS over HTTPS, with a path of 5,500 bytes. curl sends 80 bytes beside the path, pkarr and iroh
/// 200, browsers without cookies 1,200, and proxies add up to 500. In HTTP/2 every field counts 32
/// bytes more (RFC 9113, section 6.5.2).
pub(crate) const HEADER_SIZE_MAX: usize = 8 * 1024;

/// How many fields the header of a request may have: each takes 100 bytes of memory, even if the
/// client sends one byte. curl sends 3, browsers 20, and proxies add up to 10.
const FIELD_COUNT_MAX: usize = 64;

/// How many requests an HTTP/2 client may reset before they are handled. A client that resets more
/// only wants to cause work (CVE-2023-44487).
const RESET_COUNT_MAX: usize = 20;

/// How many malformed requests an HTTP/2 connection may send before it is closed. They are counted
/// for the life of the connection, and that of a proxy may live for days with errors of many
/// clients.
const ERROR_COUNT_MAX: usize = 1_024;

/// How much of the body of a request an HTTP/2 client may send before it is read, in bytes. A
/// packet has 1,072.
const STREAM_WINDOW_SIZE: u32 = 16 * 1024;

/// The same for all requests of a connection: the smallest possible (RFC 9113, section 6.9.2).
const CONNECTION_WINDOW_SIZE: u32 = 65_535;

/// How much of an answer is buffered until an HTTP/2 client reads it, in bytes.
const SEND_BUFFER_SIZE_MAX: usize = 16 * 1024;

/// How long an HTTP/2 client without an active request gets to receive that the connection ends.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) struct Service {
    pub(crate) config: HttpConfig,
    pub(crate) routes: Routes,
    pub(crate) is_trusted: IsTrusted,
    pub(crate) charge: Option<BandwidthLimiter>,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    places: RequestPlaces,
}

impl Service {
    pub(crate) fn new(
        config: HttpConfig,
        routes: Routes,
        is_trusted: IsTrusted,
        charge: Option<BandwidthLimiter>,
    ) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .header_read_timeout(config.header_read_timeout)
            // Answers are small, so copying one after its header costs less than a vectored write.
            .writev(false)
            .max_header_size(HEADER_SIZE_MAX)
            .max_buf_size(BUFFER_SIZE_MAX);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_header_list_size(HEADER_SIZE_MAX as u32)
            .max_concurrent_streams(STREAM_COUNT_MAX as u32)
            .max_pending_accept_reset_streams(RESET_COUNT_MAX)
            .max_local_error_reset_streams(ERROR_COUNT_MAX)
            .initial_stream_window_size(STREAM_WINDOW_SIZE)
            .initial_connection_window_size(CONNECTION_WINDOW_SIZE)
            .max_send_buf_size(SEND_BUFFER_SIZE_MAX)
            .keep_alive_interval(config.http2_ping_interval)
            .keep_alive_timeout(config.http2_ping_interval);
        Self {
            config,
            routes,
            is_trusted,
            charge,
            http1,
            http2,
            places: RequestPlaces::default(),
        }
    }
}

/// A connection whose requests are served.
#[derive(Clone)]
pub(crate) struct Connection {
    service: Arc<Service>,
    client: SocketAddr,
    requests: Arc<RequestTracker>,
    stop: CancellationToken,
}

impl Connection {
    pub(crate) fn new(
        service: Arc<Service>,
        client: SocketAddr,
        slot: ConnectionSlot,
        stop: CancellationToken,
    ) -> Self {
        Self {
            service,
            client,
            requests: RequestTracker::new(Arc::new(slot)),
            stop,
        }
    }

    /// Serves requests one after the other.
    pub(crate) async fn serve_http1<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S) {
        let mut stream = TokioIo::new(stream);
        let answer = service_fn(|request| self.answer(request));
        let result = {
            let mut http1 = self.service.http1.clone();
            let connection = http1.timer(HeaderTimer::new());
            let connection = connection.serve_connection(&mut stream, answer);
            let mut connection = pin!(connection);
            match self.stop.run_until_cancelled(connection.as_mut()).await {
                Some(result) => result,
                None => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        };
        let malformed = result.as_ref().is_err_and(hyper::Error::is_parse);
        self.log(result);
        // Wait only for a client that may still be sending.
        if malformed || self.requests.is_unread() {
            Box::pin(linger(stream.into_inner())).await;
        }
    }

    /// Serves requests concurrently.
    pub(crate) async fn serve_http2<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (connection, places) = (self.clone(), self.places());
        let places_of_requests = places.clone();
        let answer =
            service_fn(move |request| connection.answer_within(&places_of_requests, request));
        let stream = TokioIo::new(stream);
        let connection = self.service.http2.serve_connection(stream, answer);
        let mut connection = pin!(connection);
        let idle_timeout = self.service.config.http2_idle_timeout;
        tokio::select! {
            result = connection.as_mut() => return self.log(result),
            () = self.stop.cancelled() => {}
            () = self.requests.idle_for(idle_timeout) => {}
            () = places.unread_for(self.service.config.write_timeout) => return,
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            result = connection => self.log(result),
            // The client may never react.
            () = self.requests.idle_for(CLOSE_TIMEOUT) => {}
        }
    }

    fn places(&self) -> Arc<ConnectionPlaces> {
        let is_proxy = (self.service.is_trusted)(self.client.ip());
        let client = (!is_proxy).then(|| self.client.ip());
        self.service.places.connect(client)
    }

    /// Answers a request of HTTP/2 if there is a place for it.
    fn answer_within(
        &self,
        places: &Arc<ConnectionPlaces>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response, Infallible>> + Send + 'static + use<> {
        let place = places.take();
        let answered = place.is_some().then(|| self.answer(request));
        async move {
            let (Some(place), Some(answered)) = (place, answered) else {
                let detail = "too many requests of this connection are under way: wait for answers";
                return Ok(ProblemResponse::new(ProblemType::Overloaded, detail)
                    .retry_after(1)
                    .into_response());
            };
            Ok(place.until_sent(answered.await?))
        }
    }

    fn log(&self, result: hyper::Result<()>) {
        if let Err(error) = result {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(client = %self.client, error, "the connection ended early");
        }
    }

    fn answer(
        &self,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response, Infallible>> + Send + 'static + use<> {
        let active = self.requests.begin();
        request.extensions_mut().insert(ConnectInfo(self.client));
        let read_timeout = self.service.config.body_read_timeout;
        let request = request.map(|body| active.track_body(body, read_timeout));
        let id = request_id(request.headers());
        let span = tracing::debug_span!("request", id = id.to_str().unwrap_or_default());
        let field_count = request.headers().len();
        let routes = (field_count <= FIELD_COUNT_MAX).then(|| self.service.routes.clone());
        let response = routes.map(|routes| routes.answer(request).instrument(span));
        async move {
            let mut response = match response {
                Some(response) => response.await,
                None => too_many_fields(field_count),
            };
            response.headers_mut().insert(X_REQUEST_ID, id);
            Ok(active.until_sent(response))
        }
    }
}

fn too_many_fields(count: usize) -> Response {
    let detail = format!("the header has {count} fields: send at most {FIELD_COUNT_MAX}");
    ProblemResponse::new(ProblemType::HeaderTooLarge, detail).into_response()
}
