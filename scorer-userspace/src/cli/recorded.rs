//! Calls of captures, scored anew for commands that look at them.

use std::{path::PathBuf, sync::Arc};

use super::keeping;
use crate::{
    capture::pcap::{PcapError, Reader},
    config::Config,
    engine::{Assessment, Engine},
    history::Change,
    model::Model,
};

/// A call, or how one went on.
pub(super) enum What<'a> {
    Call(&'a Assessment<'a>),
    Change(&'a Change),
}

/// Scores the calls of captures, in this order as one stream. True when one of them was
/// cut short; what came before was scored.
pub(super) fn each_call(
    config: &Config,
    model: Arc<Model>,
    files: &[PathBuf],
    each: &mut dyn FnMut(&Assessment<'_>),
) -> anyhow::Result<bool> {
    self::each(config, model, files, &mut |what| {
        if let What::Call(assessment) = what {
            each(assessment);
        }
    })
}

/// The same, with how calls went on. True when one of them was
/// cut short; what came before was scored.
pub(super) fn each(
    config: &Config,
    model: Arc<Model>,
    files: &[PathBuf],
    each: &mut dyn FnMut(What<'_>),
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
    // Calls are told to other organisations by their marks.
    if config.consortium.folder.is_some() {
        engine.join_consortium();
    }
    let mut cut_short = false;
    for reader in &mut readers {
        loop {
            match reader.next() {
                Ok(Some(frame)) => {
                    engine.inspect(&frame, &mut |assessment| each(What::Call(assessment)));
                    engine.changes().for_each(|change| each(What::Change(&change)));
                }
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
    engine.settle(None, &mut |assessment| each(What::Call(assessment)));
    engine.changes().for_each(|change| each(What::Change(&change)));
    Ok(cut_short)
}
