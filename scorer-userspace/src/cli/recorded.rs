//! Calls of captures, scored anew for commands that look at them.

use std::{path::PathBuf, sync::Arc};

use super::keeping;
use crate::{
    capture::pcap::{PcapError, Reader},
    config::Config,
    engine::{Assessment, Engine},
    model::Model,
};

/// Scores the calls of captures, in this order as one stream. True when one of them was
/// cut short; what came before was scored.
pub(super) fn each_call(
    config: &Config,
    model: Arc<Model>,
    files: &[PathBuf],
    each: &mut dyn FnMut(&Assessment<'_>),
) -> anyhow::Result<bool> {
    let mut config = config.clone();
    // All of them, before any is scored: a wrong name should not come up after an hour.
    let mut readers = files.iter().map(|path| Reader::open(path)).collect::<Result<Vec<_>, _>>()?;
    let bytes: u64 = readers.iter().map(Reader::len).sum();
    if readers.iter().all(|reader| !reader.is_empty()) {
        let enough = (bytes / 2).max(8 << 20) as usize;
        config.engine.history.bytes = config.engine.history.bytes.min(enough);
    }
    let mut engine = Engine::new(&config.engine, model)?;
    if let Some(store) = keeping::kept_certificates(&config.stir)? {
        engine.set_store(Arc::new(store));
    }
    let mut cut_short = false;
    for reader in &mut readers {
        loop {
            match reader.next() {
                Ok(Some(frame)) => engine.inspect(&frame, each),
                Ok(None) => break,
                Err(error @ (PcapError::Truncated { .. } | PcapError::Damaged { .. })) => {
                    log::warn!("{error}");
                    cut_short = true;
                    break;
                }
                // Packets of a file's other interfaces may be read on.
                Err(PcapError::LinkType { .. }) => cut_short = true,
                Err(error) => return Err(error.into()),
            }
        }
    }
    engine.settle(None, each);
    Ok(cut_short)
}
