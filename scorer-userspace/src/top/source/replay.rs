//! Calls of captures.

use std::{
    path::PathBuf,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::SyncSender,
    },
};

use super::{
    Event, Scoring,
    local::{Full, Local},
};
use crate::capture::pcap::{PcapError, Reader};

/// Captures about to be read.
#[derive(Debug)]
pub(super) struct Replay {
    readers: Vec<Reader>,
    local: Local,
}

impl Replay {
    pub(super) fn open(files: &[PathBuf], mut scoring: Scoring) -> anyhow::Result<Self> {
        let readers = files.iter().map(|file| Reader::open(file)).collect::<Result<Vec<_>, _>>()?;
        // As `scorer replay` does: no more history than the captures could fill.
        let bytes: u64 = readers.iter().map(Reader::len).sum();
        if readers.iter().all(|reader| !reader.is_empty()) {
            let enough = (bytes / 2).max(8 << 20) as usize;
            let history = &mut scoring.config.engine.history;
            history.bytes = history.bytes.min(enough);
        }
        Ok(Self { readers, local: Local::new(scoring, Full::Wait)? })
    }

    pub(super) fn run(&mut self, events: &SyncSender<Event>, stop: &AtomicBool) {
        let Self { readers, local } = self;
        local.send_to(events.clone());
        local.tell(Event::State("reading".into()));
        let mut wrong = None;
        for reader in readers {
            loop {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                match reader.next() {
                    Ok(Some(frame)) => {
                        if !local.frame(&frame, &mut || None) {
                            return;
                        }
                    }
                    Ok(None) => break,
                    // Packets of a file's other interfaces may be read on.
                    Err(error @ PcapError::LinkType { .. }) => wrong = Some(error.to_string()),
                    Err(error) => {
                        wrong = Some(error.to_string());
                        break;
                    }
                }
            }
        }
        local.settle(None);
        local.tell(Event::End(wrong));
    }
}
