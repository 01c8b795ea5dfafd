//! Connections: accepted, limited, secured and brought to an end.
//!
//! A connection that says nothing, or says it slowly, costs a task and a few kilobytes until its
//! time is over; it never holds a thread.

use super::AppState;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Longest time for the head of a request, also between two requests of a connection.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// Longest time for a TLS handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Largest head of a request, in bytes.
const HEAD_MAX: usize = 64 << 10;
/// Most headers of a request.
const HEADERS_MAX: usize = 100;
/// Longest time that a client takes no byte of its answer.
const WRITE_TIME: Duration = Duration::from_secs(30);
/// Longest time that is waited for the other side to close as well.
const LINGER_TIME: Duration = Duration::from_secs(1);
/// Time that requests under way are given when the server stops.
const STOP_TIME: Duration = Duration::from_secs(30);

/// Reads a certificate chain and its key, both PEM.
pub fn tls(certificates: &Path, key: &Path) -> io::Result<TlsAcceptor> {
    let other = |e: &dyn std::fmt::Display| io::Error::other(e.to_string());
    let chain = CertificateDer::pem_file_iter(certificates)
        .map_err(|e| other(&e))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| other(&e))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| other(&e))?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| other(&e))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| other(&e))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves until `stop` is done, then lets requests under way end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    app: Arc<AppState>,
    tls: Option<TlsAcceptor>,
    stop: impl Future<Output = ()>,
) {
    let permits = Arc::new(Semaphore::new(app.limits.connections));
    let graceful = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        // A connection over the limit waits in the queue of the system until another one ends.
        let permit = tokio::select! {
            permit = Arc::clone(&permits).acquire_owned() => permit,
            () = &mut stop => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                // Out of descriptors, most likely: others have to end first.
                tracing::warn!(error = %e, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (router, app, tls) = (router.clone(), Arc::clone(&app), tls.clone());
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            // The permit ends with the connection, however that ends.
            let _counted = (ConnectionGuard::new(app), permit);
            if let Err(e) = connection(stream, router, tls, watcher).await {
                tracing::debug!(%peer, error = %e, "connection");
            }
        });
    }
    // From here on new connections are refused.
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(STOP_TIME) => {
            tracing::warn!("requests still under way are given up");
        }
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    tls: Option<TlsAcceptor>,
    watcher: hyper_util::server::graceful::Watcher,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // Answers are small and written at once.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX);
    match tls {
        Some(tls) => {
            let accepted = tls.accept(TimeoutStream::new(stream));
            let stream = tokio::time::timeout(HANDSHAKE_TIME, accepted).await??;
            watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await?;
        }
        None => {
            let stream = TokioIo::new(TimeoutStream::new(stream));
            watcher.watch(http.serve_connection(stream, service)).await?;
        }
    }
    Ok(())
}

/// A stream whose other side has to take what is written within a time, so that nobody keeps a
/// connection and an answer in memory by not reading it.
struct TimeoutStream {
    stream: TcpStream,
    /// The end of the wait for the other side, while it does not read.
    end: Option<Pin<Box<Sleep>>>,
    /// The same, once we have said all.
    linger: Option<Pin<Box<Sleep>>>,
}

impl TimeoutStream {
    fn new(stream: TcpStream) -> TimeoutStream {
        TimeoutStream { stream, end: None, linger: None }
    }

    /// Passes on the result of a write, or an error if the write took too long.
    fn within_time<T>(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.end = None;
            return result;
        }
        let end = self.end.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_TIME)));
        match end.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for TimeoutStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for TimeoutStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.within_time(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.within_time(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        self.within_time(context, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            let result = Pin::new(&mut self.stream).poll_shutdown(context);
            match self.within_time(context, result) {
                Poll::Ready(Ok(())) => {}
                other => return other,
            }
        }
        // A connection that is dropped with bytes unread is reset, and the other side may then
        // lose the answer that says why. So what still comes is read and forgotten.
        let this = &mut *self;
        let linger = this.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER_TIME)));
        if linger.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut bytes = [0; 4096];
        // Bounded, so that a client that sends forever does not keep the thread.
        for _ in 0..64 {
            let mut into = ReadBuf::new(&mut bytes);
            match Pin::new(&mut this.stream).poll_read(context, &mut into) {
                Poll::Ready(Ok(())) if !into.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
        // More may be there to read, and nothing else would wake this task.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Counts a connection as long as it lives, however it ends.
struct ConnectionGuard(Arc<AppState>);

impl ConnectionGuard {
    fn new(app: Arc<AppState>) -> ConnectionGuard {
        app.metrics.connections.inc();
        ConnectionGuard(app)
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.metrics.connections.dec();
    }
}
