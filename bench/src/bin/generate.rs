//! `generate COUNT FILE`: a capture of so many INVITEs, a thousand a second.

use anyhow::Context as _;
use scorer::{
    capture::{Frame, LinkType, pcap},
    time::Timestamp,
};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(count), Some(path)) = (args.next(), args.next()) else {
        anyhow::bail!("usage: generate COUNT FILE");
    };
    let count: u32 = count.parse().context("COUNT must be a number")?;
    let mut writer = pcap::Writer::create(path.as_ref())?;
    for i in 0..count {
        let bytes = scorer_bench::frame(i);
        writer.write(&Frame {
            link: LinkType::Ethernet,
            timestamp: Timestamp(1_760_000_000_000_000_000 + u64::from(i) * 1_000_000),
            bytes: &bytes,
            wire_length: bytes.len() as u32,
            scan: None,
        })?;
    }
    writer.flush()?;
    Ok(())
}
