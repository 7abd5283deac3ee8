//! HTTP on a Unix socket, for users of this machine that the mode of its file permits.

use std::{
    fs::{self, Permissions},
    io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    sync::Arc,
};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::{
    net::{UnixListener, UnixStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    HttpConfig, Routes,
    connection::{Connection, Service},
    listener::{
        Accept, ConnectionLimits, ConnectionSlot, Connections, ListenerMetrics, ListenerName,
        Protocol, serve,
    },
    stream::{ClientStream, Throttle},
};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 128;

/// All clients of the socket count as one, because they have no addresses.
const CLIENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A Unix socket that is bound and not served yet. Its file is removed when this is dropped.
#[derive(Debug)]
pub struct SocketListener {
    listener: UnixListener,
    file: SocketFile,
}

impl SocketListener {
    /// Binds `path`, with mode 0600, or with mode 0660 for the group with the id `group`. Clients can
    /// connect from now on, and wait until [`serve`](Self::serve). A file that a killed process left
    /// is replaced.
    ///
    /// # Errors
    /// A process listens there, the file is not a socket, or the system rejects one of the steps.
    pub fn bind(path: &Path, group: Option<u32>) -> Result<Self, SocketError> {
        let error = |source| SocketError::Io {
            path: path.to_owned(),
            source,
        };
        remove_stale(path)?;
        let bound = || {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            socket.bind(&SockAddr::unix(path)?)?;
            let file = SocketFile::of(path)?;
            // Nobody can connect before `listen`.
            if let Some(group) = group {
                chown(path, None, Some(group))?;
            }
            let mode = if group.is_some() { 0o660 } else { 0o600 };
            fs::set_permissions(path, Permissions::from_mode(mode))?;
            socket.listen(BACKLOG)?;
            socket.set_nonblocking(true)?;
            let listener = UnixListener::from_std(socket.into())?;
            Ok(Self { listener, file })
        };
        bound().map_err(error)
    }

    /// Serves `routes` until [`SocketServer::shutdown`], within the limits of `config`. `name` is the
    /// name of the listener in metrics.
    pub fn serve(
        self,
        config: HttpConfig,
        routes: impl Into<Routes>,
        name: ListenerName,
        metrics: &ListenerMetrics,
    ) -> SocketServer {
        let connections = Connections::new(ConnectionLimits {
            connection_count_max: config.connection_count_max,
            connection_count_per_client_max: Some(config.connection_count_per_client_max),
            drain_timeout: config.drain_timeout,
        });
        let service = Service::new(config, routes.into(), Arc::new(|_| false), None);
        let protocol = Arc::new(SocketProtocol(Arc::new(service)));
        let stop = CancellationToken::new();
        let metrics = (name, metrics);
        let accepting = serve(self.listener, protocol, &connections, metrics, stop.clone());
        SocketServer {
            acceptor: tokio::spawn(accepting),
            stop: stop.drop_guard(),
            _file: self.file,
        }
    }
}

/// Removes the file of a socket on which nobody listens any more.
fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let error = |source| SocketError::Io {
        path: path.to_owned(),
        source,
    };
    let file = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(error)?,
    };
    if !file.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    let connected = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // A process that hangs may have a full backlog.
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    match connected() {
        Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(error)
        }
        Err(other) if other.kind() != io::ErrorKind::WouldBlock => Err(error(other)),
        _ => Err(SocketError::InUse(path.to_owned())),
    }
}

/// The file of a socket, which is removed when this is dropped.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// The device and the inode, because a later process may have bound the path again.
    id: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            id: id_of(path)?,
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if id_of(&self.path).is_ok_and(|id| id == self.id) {
            // The next start removes a file that is left.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn id_of(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

/// Why a Unix socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A process listens there.
    #[error("another process listens on the socket {}: stop it or configure another path", .0.display())]
    InUse(PathBuf),
    /// There is another kind of file.
    #[error("{} exists and is not a socket: remove it or configure another path", .0.display())]
    NotASocket(PathBuf),
    /// The system rejected it.
    #[error("cannot listen on the socket {}", path.display())]
    Io {
        /// The path of the socket.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

/// A running server on a Unix socket. Dropping it starts a shutdown without waiting for it.
#[derive(Debug)]
pub struct SocketServer {
    acceptor: JoinHandle<()>,
    stop: DropGuard,
    _file: SocketFile,
}

impl SocketServer {
    /// Closes the listener, lets each connection finish, and removes the file. At the drain limit it
    /// closes those connections that are left.
    pub async fn shutdown(self) {
        drop(self.stop);
        if let Err(error) = self.acceptor.await {
            tracing::error!(%error, "the task of a socket panicked");
        }
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((stream, CLIENT))
    }
}

/// HTTP on a Unix socket.
struct SocketProtocol(Arc<Service>);

impl Protocol<UnixStream> for SocketProtocol {
    async fn serve(
        self: Arc<Self>,
        stream: UnixStream,
        slot: ConnectionSlot,
        stop: CancellationToken,
    ) {
        let config = &self.0.config;
        let throttle = Throttle::new(CLIENT.ip(), None, config.connection_bytes_per_sec);
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(config.write_timeout));
        let mut stream = ClientStream::new(Box::pin(stream), Some(throttle));
        let is_http2 = timeout(config.header_read_timeout, stream.is_http2());
        // A shutdown only waits for requests, and there is none yet.
        let is_http2 = stop.run_until_cancelled(is_http2).await;
        let connection = Connection::new(self.0.clone(), CLIENT, slot, stop);
        match is_http2 {
            Some(Ok(Ok(true))) => Box::pin(connection.serve_http2(stream)).await,
            Some(Ok(Ok(false))) => Box::pin(connection.serve_http1(stream)).await,
            // It was lost, it was too slow, or the node stops.
            Some(Ok(Err(_)) | Err(_)) | None => {}
        }
    }
}

#[cfg(test)]
#[path = "unix_tests.rs"]
mod tests;
