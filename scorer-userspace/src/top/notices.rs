//! Where the log goes while the terminal is drawn on: the last lines are kept, and shown
//! when it is ours no more.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

/// Lines kept.
const LINES: usize = 200;
/// Bytes of a line that does not end.
const LINE: usize = 4 << 10;

/// The log's last lines.
#[derive(Clone, Debug, Default)]
pub struct Notices(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    whole: VecDeque<String>,
    begun: Vec<u8>,
    /// So many have come since the last was taken.
    new: usize,
}

impl Notices {
    /// The latest line, once.
    pub(super) fn latest(&self) -> Option<String> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut lines.new) > 0).then(|| lines.whole.back().cloned()).flatten()
    }

    /// All of them, for standard error.
    pub fn take(&self) -> Vec<String> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut lines.whole).into()
    }
}

impl Write for Notices {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in bytes {
            if *byte == b'\n' {
                let line = std::mem::take(&mut lines.begun);
                let line = super::clean::lines(&line, 1).concat();
                if lines.whole.len() == LINES {
                    lines.whole.pop_front();
                }
                lines.whole.push_back(line);
                lines.new += 1;
            } else if lines.begun.len() < LINE {
                lines.begun.push(*byte);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{LINES, Notices};

    #[test]
    fn the_last_lines_are_kept() {
        let mut notices = Notices::default();
        assert_eq!(notices.latest(), None);
        for i in 0..2 * LINES {
            write!(notices, "li\x1bne {i}\nhalf").expect("memory");
            notices.write_all(b" a\n").expect("memory");
        }
        assert_eq!(notices.latest().as_deref(), Some("half a"));
        assert_eq!(notices.latest(), None);
        let kept = notices.take();
        assert_eq!(kept.len(), LINES);
        assert!(kept[0].starts_with("li\\u{1b}ne "), "{}", kept[0]);
    }
}
