//! Connections of clients that are not trusted: their time and memory are bounded.

use std::{io, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

/// How long a client may take to send a request's head, and may be idle.
const HEAD: Duration = Duration::from_secs(15);
/// How long the answer under way may take when a connection has had its time.
const LAST: Duration = Duration::from_secs(5);
/// Most bytes of a request's head.
const HEAD_BYTES: usize = 16 << 10;

/// Answers a connection's requests, and closes it after `life`.
pub(crate) async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    life: Duration,
) {
    let service = TowerToHyperService::new(router);
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // How a client's connection ends is the client's affair.
    if timeout(life, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(LAST, connection).await;
    }
}

/// Goes on after a connection could not be had: out of descriptors, or the client has
/// gone; both pass.
pub(crate) async fn pause(error: &io::Error) {
    log::debug!("no connection: {error}");
    tokio::time::sleep(Duration::from_millis(10)).await;
}
