//! A port of this host's loopback that leads to a Unix socket: the demo's scorer is in a
//! network namespace of its own, whose loopback no browser reaches. Files are shared.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context as _, Result};

/// Connections are forwarded until the process ends.
///
/// # Errors
/// When the port cannot be had.
pub(crate) fn forward(port: u16, socket: &Path) -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", port))
        .with_context(|| format!("cannot have port {port}; choose another with --port"))?;
    let address = listener.local_addr()?;
    let socket = socket.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let socket = socket.clone();
            thread::spawn(move || {
                // A scorer that is not up yet, or has gone: the browser tries again.
                let _ = join(stream, socket);
            });
        }
    });
    Ok(address)
}

/// Copies both ways until both have ended.
fn join(browser: TcpStream, socket: PathBuf) -> io::Result<()> {
    let scorer = UnixStream::connect(socket)?;
    browser.set_nodelay(true)?;
    let (mut to, mut from) = (scorer.try_clone()?, browser.try_clone()?);
    let asks = thread::spawn(move || {
        let result = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
        result
    });
    let (mut to, mut from) = (browser, scorer);
    let _ = io::copy(&mut from, &mut to);
    // Whatever the browser still has to say, nobody listens.
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
    let _ = asks.join();
    Ok(())
}
