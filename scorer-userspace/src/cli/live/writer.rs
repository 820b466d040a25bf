//! The writer's thread: waits for standard output, so that nobody else does.

use std::{
    io::Write as _,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::Receiver,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::anyhow;

/// How long the last lines may take to be read after the end.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Writes blocks until nobody sends any more. A reader that has gone away ends
/// the program without an error.
pub(super) fn write_lines(
    queue: &Receiver<Vec<u8>>,
    header: &str,
    stop: &AtomicBool,
) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let mut put = |bytes: &[u8]| stdout.write_all(bytes).and_then(|()| stdout.flush());
    let mut result = put(header.as_bytes());
    while result.is_ok() {
        match queue.recv() {
            Ok(block) => result = put(&block),
            Err(_) => return Ok(()),
        }
    }
    stop.store(true, Ordering::Release);
    result.or_else(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })
}

/// Waits for the writer, but not for ever for a reader that does not read.
pub(super) fn end_writer(
    writer: thread::JoinHandle<std::io::Result<()>>,
) -> anyhow::Result<std::io::Result<()>> {
    let since = Instant::now();
    while !writer.is_finished() && since.elapsed() < LAST_LINES {
        thread::sleep(Duration::from_millis(5));
    }
    if writer.is_finished() {
        return writer.join().map_err(|_| anyhow!("the writer panicked"));
    }
    // The process ends soon, and the thread with it.
    Ok(Err(std::io::Error::new(
        std::io::ErrorKind::TimedOut,
        "its reader has not read for two seconds; the last verdicts are lost",
    )))
}
